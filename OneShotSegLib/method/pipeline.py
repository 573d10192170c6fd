"""The method as a whole: all steps on one support and one query (Lei et al., section III).

A new step needs: its name in ``STEPS``, in order, and a call within ``timer(name)`` in ``segment_query``, because the
progress of a case is counted by ``STEPS``; a field of ``Candidate`` for what scoring or fusion read of it; a field of
``Method`` with its settings, and their value in ``PAPER``. What it does with the support alone goes into ``support``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.alignment import align
from OneShotSegLib.method.denoising import (
    Denoised,
    PatchFeatures,
    denoise,
    features_at,
    similarity_of,
    spread_to_neighbours,
)
from OneShotSegLib.method.displacement import Displacement
from OneShotSegLib.method.expansion import Expansion, expand, part_in_extent
from OneShotSegLib.method.placement import Placement
from OneShotSegLib.method.propagation import PreparedCT, PropagatedScribbles, propagate
from OneShotSegLib.method.refinement import refine
from OneShotSegLib.method.registration import register
from OneShotSegLib.method.scribbles import ScribblePoints
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.support import Support, expansion_image
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.timer import OnStep, StepTimer, ignore_steps

STEPS = ("prepare", "propagate", "align", "denoise", "expand", "refine")


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidate:
    """The result of one support for one query: one candidate for its segmentation.

    Attributes:
        support: The support.
        prepared: The query on the working grids.
        propagation: Where the scribbles went, the alignment included.
        displacement: What the alignment adds to the propagation's affine map; None where the method does not align.
        features: What the fine network computes for the support's described points where they arrived; None where
            denoising decides nothing.
        denoised: Which scribble points are kept.
        expansion: Masks grown from the kept ones.
        refined: The pseudo mask on the expansion's grid; background is 0.
        smooth_mm: Width of the smoothing of its borders on the query's own grid, mm.
        seconds: Time of each step, by name.
    """

    support: Support
    prepared: PreparedCT
    propagation: PropagatedScribbles
    displacement: Displacement | None
    features: PatchFeatures | None
    denoised: Denoised
    expansion: Expansion
    refined: Volume
    smooth_mm: float
    seconds: Mapping[str, float]

    @property
    def placement(self) -> Placement:
        """Where the support lies in the query."""
        return Placement(affine=self.propagation.affine, displacement=self.displacement)

    @property
    def kept_scribbles(self) -> ScribblePoints:
        """The propagated scribbles after denoising."""
        return self.propagation.points.select(self.denoised.keep)

    @property
    def soft(self) -> SoftLabels:
        """The pseudo mask with its voxels' shares; after refinement a voxel belongs to one label as a whole."""
        return self.expansion.soft if self.refined is self.expansion.labels else SoftLabels.hard(self.refined)

    def pseudo_mask(self, absent: Collection[int] = ()) -> Volume:
        """The pseudo mask on the query's own grid, without the structures that are absent."""
        return resample_labels(self.soft.without(absent), self.prepared.ct, self.smooth_mm)


def prepare_query(ct: Volume, weights: Weights, device: torch.device | str = "cpu") -> PreparedCT:
    """Check a query in HU and resample it to the working grids.

    Raises:
        InputError: If it cannot be a CT.
    """
    return PreparedCT.prepare(as_hounsfield(ct, "The query"), weights, device)


def segment_query(
    support: Support,
    ct: Volume,
    weights: Weights,
    method: Method,
    device: torch.device | str = "cpu",
    on_step: OnStep = ignore_steps,
    prepared: PreparedCT | None = None,
) -> Candidate:
    """Propagate the support's scribbles to a query and grow them into a pseudo mask.

    Args:
        support: The prepared support.
        ct: The query in HU, on its own grid.
        weights: Both networks.
        method: Settings of the steps.
        device: Where the networks run.
        on_step: Called with each step's name as it begins.
        prepared: The query as ``prepare_query`` made it, where several supports share it.

    Raises:
        InputError: If the query cannot be a CT, or no scribble is left to grow from.
    """
    timer = StepTimer(on_step)
    with timer("prepare"):
        query = prepared or prepare_query(ct, weights, device)
    with timer("propagate"):
        propagation = propagate(support.scribbles, query, weights, method.propagation, method.seed)
        propagation = _register(support, query, propagation, weights, method)
    with timer("align"):
        propagation, displacement = _align(support, query, propagation, method)
    with timer("denoise"):
        features = None
        if method.denoising.decides:
            features = features_at(weights.fine, query.fine, propagation.points.positions[support.described])
        denoised = _denoise(support, features, propagation, query.ct, method)
    kept = propagation.points.select(denoised.keep)
    with timer("expand"):
        if not len(kept):
            raise InputError("None of the scribbles found a place in this scan: it shows another part of the body.")
        image = expansion_image(
            query, weights, method, lambda grid: part_in_extent(grid, kept, support.extent, method.expansion)
        )
        expansion = expand(image, kept, support.structures, support.extent, method.expansion)
    with timer("refine"):
        refined = refine(expansion.labels, query.fine, weights.fine, method.refinement, method.seed)
    return Candidate(
        support=support,
        prepared=query,
        propagation=propagation,
        displacement=displacement,
        features=features,
        denoised=denoised,
        expansion=expansion,
        refined=refined,
        smooth_mm=method.smooth_mm,
        seconds=timer.seconds,
    )


def _register(
    support: Support, query: PreparedCT, propagation: PropagatedScribbles, weights: Weights, method: Method
) -> PropagatedScribbles:
    if not method.registration.enabled:
        return propagation
    points = support.scribbles.points
    strokes = points.positions[points.labels != support.structures.background.value]
    window = weights.coarse.info.window
    affine = register(support.prepared, strokes, query, [propagation.affine], window, method.registration)
    positions = affine(points.positions)
    after = {**propagation.after, "registered": positions}
    return replace(propagation, points=points.moved(positions), affine=affine, after=after)


def _align(
    support: Support, query: PreparedCT, propagation: PropagatedScribbles, method: Method
) -> tuple[PropagatedScribbles, Displacement | None]:
    if support.alignment is None:
        return propagation, None
    displacement = align(support.alignment, query, propagation.affine, method.alignment)
    positions = propagation.points.positions + displacement(support.scribbles.points.positions)
    after = {**propagation.after, "aligned": positions}
    return replace(propagation, points=propagation.points.moved(positions), after=after), displacement


def _denoise(
    support: Support, arrived: PatchFeatures | None, propagation: PropagatedScribbles, query: Volume, method: Method
) -> Denoised:
    everywhere: NDArray[np.float32] | None = None
    if support.features is not None and arrived is not None:
        similarity = similarity_of(support.features, arrived)
        everywhere = spread_to_neighbours(similarity, support.scribbles.points, support.described)
    background = support.structures.background.value
    return denoise(propagation.points, everywhere, query, background, method.denoising)
