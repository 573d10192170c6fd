"""The method's steps on one support and one query."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.ct import read_ct
from OneShotSegLib.imaging.intensity import check_ct
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.resampling import resample_labels, working_grid
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.steps.alignment import (
    AlignmentReference,
    AlignmentSettings,
    Displacement,
    align,
    prepare_alignment,
)
from OneShotSegLib.steps.denoising import (
    Denoised,
    DenoisingSettings,
    PatchFeatures,
    denoise,
    features_at,
    similarity_of,
    spread_to_neighbours,
)
from OneShotSegLib.steps.expansion import Expansion, ExpansionSettings, Reach, expand, measure_reach, part_in_reach
from OneShotSegLib.steps.following import FollowingSettings, follow
from OneShotSegLib.steps.propagation import (
    Landmarks,
    PreparedCT,
    Propagation,
    PropagationSettings,
    find_landmarks,
    propagate,
)
from OneShotSegLib.steps.refinement import RefinementSettings, refine
from OneShotSegLib.steps.scribbles import ScribblePoints, Structures, check_grid, points_of, structures_of, thin

STEPS = ("prepare", "propagate", "align", "denoise", "expand", "refine")
StepListener = Callable[[str], None]


@dataclass(frozen=True)
class Method:
    """The settings of all steps.

    Attributes:
        name: "default", "paper" or the user's own.
        following: How long thin structures are followed beyond their strokes in the support; not in the paper.
        propagation: Section III-B.
        alignment: What sharpens the propagation's fit; not in the paper.
        denoising: Section III-C.
        expansion: Section III-D, first half.
        refinement: Section III-D, second half.
        smooth_mm: Width of the smoothing of a mask's border as it is put on the query's own grid; 0 for none.
        seed: Seed of everything random.
    """

    name: str = "default"
    following: FollowingSettings = field(default_factory=FollowingSettings)
    propagation: PropagationSettings = field(default_factory=PropagationSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    denoising: DenoisingSettings = field(default_factory=DenoisingSettings)
    expansion: ExpansionSettings = field(default_factory=ExpansionSettings)
    refinement: RefinementSettings = field(default_factory=lambda: RefinementSettings(enabled=False))
    smooth_mm: float = 2.0
    seed: int = 0


PAPER = Method(
    name="paper",
    following=FollowingSettings(enabled=False),
    propagation=PropagationSettings(
        starts=5,
        starts_over_body=False,
        reduce="mean",
        coarse_jumps=1,
        fine_jumps=1,
        fit=False,
        points_per_label=None,
    ),
    alignment=AlignmentSettings(enabled=False),
    denoising=DenoisingSettings(threshold=0.1, points_per_label=None),
    expansion=ExpansionSettings(
        exact=False, spacing=None, smooth_mm=0.0, air_is_background=False, reach=False, between_voxels=False
    ),
    refinement=RefinementSettings(),
    smooth_mm=0.0,
)
DEFAULT = Method()
METHODS: Mapping[str, Method] = {method.name: method for method in (DEFAULT, PAPER)}


@dataclass(frozen=True, eq=False)
class Support:
    """The scribbled CT with all that is computed once for a batch.

    Attributes:
        prepared: The CT on the working grids.
        structures: What the labels mean.
        landmarks: Scribble points and their latent positions.
        alignment: What the CT looks like around the structures' strokes; None where the method does not align.
        described: Indices of the scribble points whose features are compared, shape (k,).
        features: What the fine network says of them.
        reach: How far each structure extends from its strokes.
        expansion: The strokes grown in the support itself.
    """

    prepared: PreparedCT
    structures: Structures
    landmarks: Landmarks
    alignment: AlignmentReference | None
    described: NDArray[np.intp]
    features: PatchFeatures
    reach: Mapping[int, Reach]
    expansion: Expansion


@dataclass(frozen=True, eq=False)
class QueryResult:
    """What came out for one query.

    Attributes:
        prepared: The query on the working grids.
        propagation: Where the scribbles went, the alignment included.
        displacement: What the alignment adds to the propagation's affine map; None where the method does not align.
        features: What the fine network says of the described points where they arrived.
        denoised: Which of them to trust.
        expansion: Masks grown from the trusted ones.
        refined: The pseudo mask on the expansion's grid; background is 0.
        smooth_mm: How its border is smoothed on the way to the query's own grid.
        seconds: Time each step took.
    """

    prepared: PreparedCT
    propagation: Propagation
    displacement: Displacement | None
    features: PatchFeatures
    denoised: Denoised
    expansion: Expansion
    refined: Volume
    smooth_mm: float
    seconds: Mapping[str, float]

    @property
    def kept_scribbles(self) -> ScribblePoints:
        """The propagated scribbles after denoising."""
        return self.propagation.points.select(self.denoised.keep)

    @property
    def soft(self) -> SoftLabels:
        """The pseudo mask with its voxels' shares; a refined one has whole voxels."""
        return self.expansion.soft if self.refined is self.expansion.labels else SoftLabels.hard(self.refined)

    def pseudo_mask(self, absent: Collection[int] = ()) -> Volume:
        """The pseudo mask on the query's own grid, without the structures judged absent."""
        return resample_labels(self.soft.without(absent), self.prepared.ct, self.smooth_mm)


def prepare_support(
    ct: Volume, scribbles: LabelMap, weights: Weights, method: Method, device: torch.device | str = "cpu"
) -> Support:
    """Check the support and compute what all queries share.

    Raises:
        InputError: If CT or scribbles cannot be used; the sentence says why.
    """
    check_ct(ct.array, "The support")
    structures = structures_of(scribbles)
    check_grid(scribbles.volume, ct)
    prepared = PreparedCT.prepare(ct, weights, device)
    image = _expansion_image(prepared, weights, method)
    points = follow(points_of(scribbles.volume), structures, image, ct, method.following)
    landmarks = find_landmarks(prepared, points, weights, method.propagation)
    limit = method.denoising.points_per_label
    described = np.arange(len(points)) if limit is None else thin(points, limit)
    features = features_at(weights.fine, prepared.fine, points.positions[described])
    strokes = points.positions[points.labels != structures.background.value]
    alignment = prepare_alignment(prepared, strokes, method.alignment) if method.alignment.enabled else None
    reach = measure_reach(points, structures, method.expansion, image)
    in_reach = part_in_reach(image, points, reach, method.expansion)
    expansion = expand(in_reach, points, structures, reach, method.expansion)
    return Support(prepared, structures, landmarks, alignment, described, features, reach, expansion)


def prepare_query(ct: Volume, weights: Weights, device: torch.device | str = "cpu") -> PreparedCT:
    """Check a query in HU and bring it to the working grids.

    Raises:
        InputError: If it cannot be a CT.
    """
    check_ct(ct.array, "The query")
    return PreparedCT.prepare(ct, weights, device)


def segment_query(
    support: Support,
    ct: Volume,
    weights: Weights,
    method: Method,
    device: torch.device | str = "cpu",
    on_step: StepListener = lambda step: None,
    prepared: PreparedCT | None = None,
) -> QueryResult:
    """Carry the support's scribbles to a query and grow them into a pseudo mask.

    Args:
        support: The prepared support.
        ct: The query in HU, on its own grid.
        weights: Both networks.
        method: Settings of the steps.
        device: Where the networks run.
        on_step: Told each step's name as it begins.
        prepared: The query as ``prepare_query`` made it, where several supports share it.

    Raises:
        InputError: If the query cannot be a CT.
    """
    clock = _Clock(on_step)
    with clock("prepare"):
        query = prepared or prepare_query(ct, weights, device)
    with clock("propagate"):
        propagation = propagate(support.landmarks, query, weights, method.propagation, method.seed)
    with clock("align"):
        propagation, displacement = _align(support, query, propagation, method)
    with clock("denoise"):
        features = features_at(weights.fine, query.fine, propagation.points.positions[support.described])
        denoised = _denoise(support, features, propagation, ct, method)
    kept = propagation.points.select(denoised.keep)
    with clock("expand"):
        if not len(kept):
            raise InputError("None of the scribbles found a place in this scan: it shows another part of the body.")
        image = _expansion_image(
            query, weights, method, lambda grid: part_in_reach(grid, kept, support.reach, method.expansion)
        )
        expansion = expand(image, kept, support.structures, support.reach, method.expansion)
    with clock("refine"):
        refined = refine(expansion.labels, query.fine, weights.fine, method.refinement, method.seed)
    return QueryResult(
        query, propagation, displacement, features, denoised, expansion, refined, method.smooth_mm, clock.seconds
    )


def _align(
    support: Support, query: PreparedCT, propagation: Propagation, method: Method
) -> tuple[Propagation, Displacement | None]:
    if support.alignment is None:
        return propagation, None
    displacement = align(support.alignment, query, propagation.affine, method.alignment)
    positions = propagation.points.positions + displacement(support.landmarks.points.positions)
    after = {**propagation.after, "aligned": positions}
    return replace(propagation, points=propagation.points.moved(positions), after=after), displacement


def _denoise(
    support: Support, arrived: PatchFeatures, propagation: Propagation, query: Volume, method: Method
) -> Denoised:
    similarity: NDArray[np.float32] = similarity_of(support.features, arrived)
    everywhere = spread_to_neighbours(similarity, support.landmarks.points, support.described)
    background = support.structures.background.value
    return denoise(propagation.points, everywhere, query, background, method.denoising)


def _expansion_image(
    prepared: PreparedCT, weights: Weights, method: Method, part_of: Callable[[Volume], Volume] = lambda grid: grid
) -> Volume:
    """The CT where scribbles grow: on the expansion's grid, or only on a part of it."""
    if method.expansion.spacing is None:
        return part_of(prepared.fine_volume)
    grid = part_of(working_grid(prepared.ct, method.expansion.spacing))
    return read_ct(prepared.ct, grid, weights.fine.info.window)


class _Clock:
    """Times the steps and announces them."""

    def __init__(self, on_step: StepListener) -> None:
        self.on_step = on_step
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        self.on_step(step)
        started = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - started, 3)
