"""Networks and support, made ready once a process, and what they make of a query, with or without GPU memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.batches import give_memory_back
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.pipeline import Method, QueryResult, StepListener, Support, prepare_support, segment_query
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.scoring import judge

log = logging.getLogger(__name__)
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Bench:
    """All that a query needs, on one device.

    Attributes:
        device: Where.
        weights: Both networks.
        support: The prepared support.
    """

    device: torch.device
    weights: Weights
    support: Support


class Engine:
    """Segments queries after one support. What does not fit the GPU's memory goes on the CPU, with a warning logged.

    Raises:
        InputError: If support, scribbles or weights cannot be used.
    """

    def __init__(
        self, ct: Volume, scribbles: LabelMap, weights: Path, method: Method, device: torch.device = CPU
    ) -> None:
        self.ct, self.scribbles, self.folder, self.method = ct, scribbles, weights, method
        self._on_cpu: Bench | None = None
        try:
            self.bench = self._make(device)
        except torch.OutOfMemoryError:
            log.warning("The GPU's memory does not suffice for the support: everything runs on the CPU.")
            self.bench = self._make(CPU)

    @property
    def support(self) -> Support:
        """The prepared support."""
        return self.bench.support

    @property
    def weights(self) -> Weights:
        """Both networks."""
        return self.bench.weights

    def segment(self, case: str, ct: Volume, on_step: StepListener) -> tuple[QueryResult, CaseQuality]:
        """Carry the scribbles to a query, grow them and judge the result.

        Args:
            case: The case's name.
            ct: The query in HU, on its own grid.
            on_step: Told each step's name as it begins.

        Raises:
            InputError: If the query cannot be a CT, or shows another part of the body.
        """
        try:
            return self._segment(self.bench, case, ct, on_step)
        except torch.OutOfMemoryError:
            log.warning("The GPU's memory does not suffice for this case: it runs on the CPU.")
        # Outside the except block: the error's traceback holds the tensors that are to be given back.
        give_memory_back()
        if self._on_cpu is None:
            self._on_cpu = self._make(CPU)
        return self._segment(self._on_cpu, case, ct, on_step)

    def _segment(
        self, bench: Bench, case: str, ct: Volume, on_step: Callable[[str], None]
    ) -> tuple[QueryResult, CaseQuality]:
        result = segment_query(bench.support, ct, bench.weights, self.method, bench.device, on_step)
        return result, judge(case, bench.support, result, bench.weights)

    def _make(self, device: torch.device) -> Bench:
        weights = load_weights(self.folder, device)
        return Bench(device, weights, prepare_support(self.ct, self.scribbles, weights, self.method, device))
