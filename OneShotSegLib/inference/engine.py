"""The engine: segments queries with networks and supports that are loaded once per process, on the GPU or the CPU.

When GPU memory runs out, there is CPU fallback: for everything if the support does not fit, else for the case at hand;
networks and supports are then loaded on the CPU once, and the next case is tried on the GPU again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.fusion.candidates import ScoredCandidate, best_of, fuse
from OneShotSegLib.fusion.combination import combine
from OneShotSegLib.fusion.support_selection import most_similar, similarity_to_query
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.mask_supports import MaskSource, MaskSupports
from OneShotSegLib.inference.network_candidate import NetworkCandidate
from OneShotSegLib.inference.own_case import own_segmentation
from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.mask_support import PlacedMask
from OneShotSegLib.method.pipeline import STEPS, prepare_query, segment_query
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.structures import Structures, common_structures, with_common_values
from OneShotSegLib.method.support import ScribbledCT, Support, prepare_support
from OneShotSegLib.networks.batches import release_gpu_memory
from OneShotSegLib.networks.inference import Segmenter
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.scoring.propagation import score_candidate
from OneShotSegLib.scoring.region import shows_region_of_support
from OneShotSegLib.study.case_ct import fingerprint_of_ct
from OneShotSegLib.study.segmentation import Segmentation
from OneShotSegLib.timer import OnStep, StepTimer, ignore_steps

log = logging.getLogger(__name__)
CPU = torch.device("cpu")
MOST_CANDIDATES = 3
MOST_AHEAD = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedModels:
    """Networks and supports on one device.

    Attributes:
        device: The device.
        weights: Both networks.
        supports: The prepared supports.
        masks: The supports with whole masks.
        structures: What the labels of all of them mean.
        network: A trained network whose masks are one more candidate, if there is one.
    """

    device: torch.device
    weights: Weights
    supports: tuple[Support, ...]
    masks: MaskSupports
    structures: Structures
    network: NetworkCandidate | None = None


class Engine:
    """Segments queries with one support or several.

    What does not fit into the GPU's memory runs on the CPU, with a warning logged.

    Args:
        supports: At least one; structures are matched by name. Of more than three, the three that are most similar to a
            query are used for it.
        weights: Folder of the networks.
        method: Settings of the steps.
        device: Where networks and alignment run.
        masks: Reviewed cases with their whole masks; each is read when it is needed, so there may be many.
        cache: Keeps for later runs where they lie in the queries; None to keep nothing.
        network: A trained segmentation network, its file or folder, whose masks are one more candidate.

    Raises:
        InputError: If supports or weights cannot be used, or the supports' labels cannot be matched.
    """

    def __init__(
        self,
        supports: Sequence[ScribbledCT],
        weights: Path,
        method: Method,
        device: torch.device = CPU,
        masks: Sequence[MaskSource] = (),
        cache: PlacementCache | None = None,
        network: Path | None = None,
    ) -> None:
        scribbles = with_common_values([one.scribbles for one in supports])
        self.supports = tuple(ScribbledCT(one.ct, own) for one, own in zip(supports, scribbles, strict=True))
        self.folder, self.method, self.masks, self.cache = weights, method, tuple(masks), cache
        self.network = network
        self._on_cpu: LoadedModels | None = None
        self._ahead: dict[int, tuple[Volume, PreparedCT]] = {}
        try:
            self.models = self._load(device)
        except torch.cuda.OutOfMemoryError:
            log.warning("The GPU's memory does not suffice for the support: everything runs on the CPU.")
            self.models = self._load(CPU)

    @property
    def structures(self) -> Structures:
        """What the labels mean."""
        return self.models.structures

    def steps_per_query(self, case: str) -> int:
        """How many steps ``segment`` announces for a query of this name."""
        candidates = len(STEPS) * min(len(self.supports), MOST_CANDIDATES)
        if not self.method.fusion.enabled:
            return candidates
        return candidates + self.models.masks.count_for(case) + (self.network is not None) + 1

    @property
    def weights(self) -> Weights:
        """Both networks."""
        return self.models.weights

    def prepare(self, ct: Volume) -> None:
        """Resample a query ahead of `segment`, which then need not: in another thread, while the one before is done.

        Raises:
            InputError: If the query cannot be a CT.
        """
        prepared = prepare_query(ct, self.weights, self.models.device)
        self._ahead[id(ct)] = ct, prepared
        while len(self._ahead) > MOST_AHEAD:  # one that was never asked for, of a case that was done before
            self._ahead.pop(next(iter(self._ahead)), None)

    def segment(self, case: str, ct: Volume, on_step: OnStep = ignore_steps) -> Segmentation:
        """Propagate the scribbles to a query, grow them and score the result.

        Args:
            case: The case's name.
            ct: The query in HU, on its own grid.
            on_step: Called with each step's name as it begins.

        Raises:
            InputError: If the query cannot be a CT, or shows another part of the body.
        """
        try:
            return self._segment(self.models, case, ct, on_step)
        except torch.cuda.OutOfMemoryError:
            log.warning("The GPU's memory does not suffice for this case: it runs on the CPU.")
        # Outside the except block: the error's traceback holds the tensors whose memory is to be released.
        release_gpu_memory()
        if self._on_cpu is None:
            self._on_cpu = self._load(CPU)
        return self._segment(self._on_cpu, case, ct, on_step)

    def _segment(self, models: LoadedModels, case: str, ct: Volume, on_step: OnStep) -> Segmentation:
        _, query = self._ahead.pop(id(ct), (ct, None))
        if query is None or query.coarse.image.device.type != models.device.type:
            query = prepare_query(ct, models.weights, models.device)
        candidates = []
        for support in self._select_supports(models, query):
            candidate = segment_query(support, ct, models.weights, self.method, models.device, on_step, query)
            score = score_candidate(case, candidate, models.weights, hold_missing=not self.method.fusion.enabled)
            candidates.append(ScoredCandidate(candidate, score.quality, score.sides))
        kept = self._of_this_region(candidates)
        if not self.method.fusion.enabled:
            return fuse(kept, models.structures, self.method.smooth_mm)
        timer = StepTimer(on_step)
        best = best_of(kept).candidate
        masks = models.masks.placed_in(case, ct, query, best.soft.labels, timer)
        predicted = None if models.network is None else models.network.masks_in(case, ct, timer)
        return combine(
            case,
            query,
            kept,
            masks,
            models.structures,
            models.weights,
            self.method,
            timer,
            predicted,
            self._reviewed_supports(models, masks),
        )

    def own_segmentation(self, case: str, ct: Volume) -> Segmentation | None:
        """What a support's own strokes grew into, as the result of a case; None if this is the CT of no support.

        Args:
            case: The case's name.
            ct: The CT.
        """
        fingerprint = fingerprint_of_ct(ct)
        for own, scribbled, support in zip(self._fingerprints, self.supports, self.models.supports, strict=True):
            if own == fingerprint:
                return own_segmentation(case, scribbled, support, self.structures, self.method.smooth_mm)
        return None

    def _reviewed_supports(self, models: LoadedModels, masks: Sequence[PlacedMask]) -> set[Support]:
        """The scribbled supports whose own mask a reviewer has accepted or corrected, with all their structures."""
        if not masks:
            return set()
        known = {self._masks_by_name[one.support.name].ct_fingerprint: one.support.values for one in masks}
        pairs = zip(self._fingerprints, models.supports, strict=True)
        return {own for ct, own in pairs if _values(own) <= known.get(ct, frozenset())}

    @cached_property
    def _masks_by_name(self) -> dict[str, MaskSource]:
        """The reviewed cases, so that a query asks those alone that are placed in it, however many there are."""
        return {source.name: source for source in self.masks}

    @cached_property
    def _fingerprints(self) -> tuple[str, ...]:
        """Of the supports' CTs; each is read as a whole for it, so once per engine and not once per query."""
        return tuple(fingerprint_of_ct(one.ct) for one in self.supports)

    def _of_this_region(self, candidates: list[ScoredCandidate]) -> list[ScoredCandidate]:
        """The candidates whose supports show the query's part of the body.

        Raises:
            InputError: If there is none.
        """
        if not self.method.check_region:
            return candidates
        kept = [one for one in candidates if shows_region_of_support(one.candidate, one.quality)]
        if not kept:
            raise InputError(
                "Expected a scan of the support's part of the body, found other tissue where the scribbles arrived: it "
                "shows another region, or too little of this one."
            )
        if len(kept) < len(candidates):
            left_out = len(candidates) - len(kept)
            log.warning("%d of %d supports show another part of the body: not used.", left_out, len(candidates))
        return kept

    def _select_supports(self, models: LoadedModels, query: PreparedCT) -> list[Support]:
        """The supports that are most similar to the query."""
        if len(models.supports) <= MOST_CANDIDATES:
            return list(models.supports)
        settings, seed = self.method.propagation, self.method.seed
        similarities = [
            similarity_to_query(one.prepared, one.scribbles, query, models.weights, settings, seed)
            for one in models.supports
        ]
        return [models.supports[index] for index in most_similar(similarities, MOST_CANDIDATES)]

    def _load(self, device: torch.device) -> LoadedModels:
        weights = load_weights(self.folder, device)
        supports = tuple(prepare_support(one.ct, one.scribbles, weights, self.method, device) for one in self.supports)
        structures = common_structures([support.structures for support in supports])
        network = None
        if self.network is not None:
            network = NetworkCandidate(Segmenter.load(self.network, device), structures.foreground)
        return LoadedModels(
            device=device,
            weights=weights,
            supports=supports,
            masks=MaskSupports(self.masks, weights, self.method, device, self.cache),
            structures=structures,
            network=network,
        )


def _values(support: Support) -> frozenset[int]:
    """The values of a support's structures."""
    return frozenset(segment.value for segment in support.structures.foreground)
