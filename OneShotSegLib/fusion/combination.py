"""From all candidates for a query, grown strokes and propagated whole masks, to its segmentation."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from OneShotSegLib.fusion.candidates import ScoredCandidate, best_of, propagated_scribbles
from OneShotSegLib.fusion.fused_quality import score_fused
from OneShotSegLib.fusion.mask_fusion import PredictedMasks, PropagatedMasks, fuse_masks, grow_consensus
from OneShotSegLib.imaging.boxes import part_around
from OneShotSegLib.imaging.ct import read_ct
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.resampling import working_grid
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.mask_support import PlacedMask, some_voxels
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.soft_tissue import SOFT_TISSUE
from OneShotSegLib.method.structures import Structures
from OneShotSegLib.method.support import Support
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.study.quality import CaseQuality, mean_score
from OneShotSegLib.study.segmentation import Segmentation
from OneShotSegLib.timer import StepTimer

MARGIN_MM = 12.0


def combine(
    case: str,
    query: PreparedCT,
    candidates: Sequence[ScoredCandidate],
    masks: Sequence[PlacedMask],
    structures: Structures,
    weights: Weights,
    method: Method,
    timer: StepTimer,
    predicted: PredictedMasks | None = None,
    reviewed: Collection[Support] = (),
) -> Segmentation:
    """Fuse the candidates of all supports for a query.

    Args:
        case: The case's name.
        query: The query.
        candidates: What propagated strokes grew into, at least one.
        masks: Supports with whole masks; may be none.
        structures: All structures of the study.
        weights: Both networks; the fine one's HU window is that of the growth.
        method: Settings of the steps.
        timer: Takes the time of the fusion.
        predicted: A trained network's masks; None without one.
        reviewed: The scribbled supports whose own mask is among the whole masks, reviewed: their grown mask gives way.
    """
    best = best_of(candidates)
    with timer("fuse"):
        strokes = [_of_strokes(one, method, len(masks), reviewed) for one in candidates]
        sources = [*strokes, *(_of_mask(one) for one in masks)]
        grid = _grid(query.ct, [places for _, places in sources], method)
        propagated = [source for source, _ in sources]
        fused = fuse_masks(propagated, read_ct(query.ct, grid, SOFT_TISSUE), method.fusion, predicted)
        image = read_ct(query.ct, grid, weights.fine.info.window)
        expansion = grow_consensus(fused, image, structures.background.value, method.fusion, method.expansion)
    scored = score_fused(fused, expansion, candidates, masks, structures)
    seconds = {step: sum(one.candidate.seconds[step] for one in candidates) for step in best.candidate.seconds}
    quality = CaseQuality(
        case=case,
        score=mean_score(scored.structures),
        structures=scored.structures,
        seconds={**seconds, **timer.seconds},
        warnings=scored.warnings,
    )
    absent = [structure.value for structure in quality.structures if structure.state == "absent"]
    soft = expansion.soft.without(absent)
    mask = LabelMap(resample_labels(soft, query.ct, method.smooth_mm), structures.foreground)
    return Segmentation(mask, quality, propagated_scribbles(best, structures), soft)


def _of_strokes(
    scored: ScoredCandidate, method: Method, masks: int, reviewed: Collection[Support]
) -> tuple[PropagatedMasks, Vector]:
    """A scribbled support: its own grown masks, and what its strokes grew into; with places that it covers."""
    candidate, support = scored.candidate, scored.candidate.support
    placement = candidate.placement
    absent, beside = scored.absent, method.fusion.beside(masks)
    own, grown = support.expansion.soft.without(absent), candidate.soft.without(absent)
    source = PropagatedMasks(
        image=support.image,
        labels=own,
        values=frozenset(support.structures.values) - frozenset(absent),
        placement=placement,
        weight=0.0 if support in reviewed else beside * method.fusion.own_mask_weight,
        grown=grown,
        grown_weight=beside * method.fusion.strokes_weight,
    )
    return source, np.concatenate([placement.to_query(some_voxels(own.labels)), some_voxels(grown.labels)])


def _of_mask(placed: PlacedMask) -> tuple[PropagatedMasks, Vector]:
    """A support with whole masks, with places that it covers."""
    support, placement = placed.support, placed.placement
    source = PropagatedMasks(image=support.image, labels=support.labels, values=support.values, placement=placement)
    return source, placement.to_query(support.inside.positions)


def _grid(ct: Volume, places: Sequence[Vector], method: Method) -> Volume:
    """The part of the expansion's grid that the candidates cover, with a margin."""
    grid = working_grid(ct, method.expansion.spacing or ct.spacing)
    index = grid.to_index(np.concatenate(list(places)))
    return part_around(grid, index.min(axis=0), index.max(axis=0), MARGIN_MM / grid.spacing)
