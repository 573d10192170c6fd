"""Networks and supports, made ready once a process, and what they make of a query, with or without GPU memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.batches import give_memory_back
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.pipeline import Method, StepListener, Support, prepare_query, prepare_support, segment_query
from OneShotSegLib.steps.propagation import PreparedCT
from OneShotSegLib.steps.resemblance import most_alike, resemblance
from OneShotSegLib.steps.scribbles import Structures
from OneShotSegLib.study.scoring import judge
from OneShotSegLib.study.segmented import Opinion, Segmented, settle
from OneShotSegLib.study.tables import common_structures

log = logging.getLogger(__name__)
CPU = torch.device("cpu")
MOST_VOTERS = 3


@dataclass(frozen=True, eq=False)
class ScribbledCT:
    """A support as it was read: the CT in HU and, on its grid, the scribbles."""

    ct: Volume
    scribbles: LabelMap


@dataclass(frozen=True, eq=False)
class Bench:
    """All that a query needs, on one device.

    Attributes:
        device: Where.
        weights: Both networks.
        supports: The prepared supports.
        structures: What the labels of all of them mean.
    """

    device: torch.device
    weights: Weights
    supports: tuple[Support, ...]
    structures: Structures


class Engine:
    """Segments queries after one support or several.

    What does not fit the GPU's memory goes on the CPU, with a warning logged.

    Args:
        supports: At least one. Of more than three, the three that resemble a query most vote on it.
        weights: Folder of the networks.
        method: Settings of the steps.
        device: Where to work.

    Raises:
        InputError: If supports or weights cannot be used, or the supports' labels disagree.
    """

    def __init__(
        self, supports: Sequence[ScribbledCT], weights: Path, method: Method, device: torch.device = CPU
    ) -> None:
        self.supports, self.folder, self.method = tuple(supports), weights, method
        self._on_cpu: Bench | None = None
        try:
            self.bench = self._make(device)
        except torch.OutOfMemoryError:
            log.warning("The GPU's memory does not suffice for the support: everything runs on the CPU.")
            self.bench = self._make(CPU)

    @property
    def structures(self) -> Structures:
        """What the labels mean."""
        return self.bench.structures

    @property
    def voters(self) -> int:
        """How many supports each query is segmented after."""
        return min(len(self.supports), MOST_VOTERS)

    @property
    def weights(self) -> Weights:
        """Both networks."""
        return self.bench.weights

    def segment(self, case: str, ct: Volume, on_step: StepListener) -> Segmented:
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

    def _segment(self, bench: Bench, case: str, ct: Volume, on_step: StepListener) -> Segmented:
        query = prepare_query(ct, bench.weights, bench.device) if len(bench.supports) > 1 else None
        opinions = []
        for voter in bench.supports if query is None else self._voters(bench, query):
            result = segment_query(voter, ct, bench.weights, self.method, bench.device, on_step, query)
            opinions.append(Opinion(voter, result, judge(case, voter, result, bench.weights)))
        return settle(opinions, bench.structures, self.method.smooth_mm)

    def _voters(self, bench: Bench, query: PreparedCT) -> list[Support]:
        """The supports that resemble the query most."""
        if len(bench.supports) <= MOST_VOTERS:
            return list(bench.supports)
        settings, seed = self.method.propagation, self.method.seed
        alike = [
            resemblance(one.prepared, one.landmarks, query, bench.weights, settings, seed) for one in bench.supports
        ]
        return [bench.supports[index] for index in most_alike(alike, MOST_VOTERS)]

    def _make(self, device: torch.device) -> Bench:
        weights = load_weights(self.folder, device)
        supports = tuple(prepare_support(one.ct, one.scribbles, weights, self.method, device) for one in self.supports)
        return Bench(device, weights, supports, common_structures([support.structures for support in supports]))
