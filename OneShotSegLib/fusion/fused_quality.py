"""Measures of a fused mask without a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from OneShotSegLib.fusion.candidates import ScoredCandidate, best_of
from OneShotSegLib.fusion.mask_fusion import FusedShares
from OneShotSegLib.imaging.boxes import bounding_box, grown, union
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.expansion import Expansion
from OneShotSegLib.method.mask_support import PlacedMask
from OneShotSegLib.method.structures import Structures
from OneShotSegLib.scoring.overlap import core_dice, expected_dice
from OneShotSegLib.scoring.paired_organs import UnlikeSides, unlike_sides
from OneShotSegLib.scoring.predicted_dice import predict_dice
from OneShotSegLib.scoring.propagation import held_absent, state_of, warnings_of
from OneShotSegLib.study.quality import StructureQuality

AROUND_MM = 6.0
LEAST_CORRELATION = 0.5
"""Of the images around a side that is held to be missing; kidneys beside which masks lay had 0.06 to 0.34."""


@dataclass(frozen=True)
class FusedQuality:
    """The measures of a fused mask's structures, and what a reviewer is to know of them."""

    structures: tuple[StructureQuality, ...]
    warnings: tuple[str, ...]


def score_fused(
    fused: FusedShares,
    expansion: Expansion,
    candidates: Sequence[ScoredCandidate],
    masks: Sequence[PlacedMask],
    structures: Structures,
) -> FusedQuality:
    """Measure the structures of a fused mask.

    Args:
        fused: What share of each voxel the candidates together give each structure.
        expansion: The mask grown from it, on the same grid.
        candidates: The scribbled supports' candidates, at least one.
        masks: The supports with whole masks.
        structures: All structures of the study.
    """
    ct = candidates[0].candidate.prepared.ct
    scored = [_score_structure(segment, fused, expansion, candidates, masks, ct) for segment in structures.foreground]
    sides = _unlike_sides(scored, expansion, candidates, ct, structures)
    # A mask that was looked for in another place may lie in fat beside its organ: that does not show a resection.
    located = {one.value for one in scored if (one.local_correlation or 0.0) >= LEAST_CORRELATION}
    sides = [pair if pair.suspect.value in located else replace(pair, is_missing=False) for pair in sides]
    missing = {pair.suspect.value for pair in sides if pair.is_missing}
    final = tuple(held_absent(one) if one.value in missing else one for one in scored)
    # What every support held to be absent was not drawn, so nothing is left of it to compare with its other side.
    absent = {one.value for one in final if one.state == "absent"} - missing
    sides += [pair for one in candidates for pair in one.sides if pair.is_missing and pair.suspect.value in absent]
    return FusedQuality(final, tuple(warnings_of(final, sides)))


def _score_structure(
    segment: Segment,
    fused: FusedShares,
    expansion: Expansion,
    candidates: Sequence[ScoredCandidate],
    masks: Sequence[PlacedMask],
    ct: Volume,
) -> StructureQuality:
    value = segment.value
    known = [found for one in candidates if (found := one.of(value)) is not None]
    # What only strokes have (similarity, cycle) is that of the best scribbled support, if one has the structure.
    best = max(known, key=lambda found: found.score, default=None)
    base = best or StructureQuality(value=value, name=segment.name, state="found", score=0.0)
    volume_ml = expansion.volumes_ml.get(value, 0.0)
    in_view_of_masks = _in_view(value, masks, ct)
    in_view = max([*(found.in_view for found in known), *in_view_of_masks], default=0.0)
    expected = [
        *(found.volume_ml / found.volume_ratio for found in known if found.volume_ml and found.volume_ratio),
        *(
            one.support.volumes_ml[value] * one.placement.affine.volume_change
            for one in masks
            if value in one.support.volumes_ml
        ),
    ]
    ratio = volume_ml / float(np.median(expected)) if expected else None
    absent_everywhere = known and not in_view_of_masks and all(found.state == "absent" for found in known)
    state = "absent" if absent_everywhere else state_of(in_view, ratio if ratio is not None else volume_ml)
    if state == "absent" or not volume_ml:
        return replace(held_absent(base), in_view=round(in_view, 4))
    mask = expansion.labels.array == value
    box = bounding_box(mask)
    assert box is not None  # its volume is over 0
    near = union([box, fused.boxes[value]]) if value in fused.boxes else box
    share = np.zeros(mask.shape, dtype=np.float32)
    if value in fused.boxes:
        share[fused.boxes[value]] = fused.shares[value]
    consensus = expected_dice(share[near], mask[near])
    core = core_dice(mask, expansion.labels.spacing)
    measured = replace(
        base,
        state=state,
        in_view=round(in_view, 4),
        volume_ml=round(volume_ml, 4),
        volume_ratio=None if ratio is None else round(ratio, 4),
        core_dice=round(core, 4),
        certainty=round(float(expansion.certainty[mask].mean()), 4),
        consensus=round(consensus, 4),
        local_correlation=round(_mean_around(fused.similarity, mask, expansion.labels.spacing), 4),
    )
    predicted = predict_dice(measured)
    return replace(measured, score=predicted.expected, score_low=predicted.low, score_high=predicted.high)


def _mean_around(values: NDArray[np.float32], mask: NDArray[np.bool_], spacing: Vector) -> float:
    """The mean of values in a mask and ``AROUND_MM`` about it; the mask is not empty."""
    box = bounding_box(mask)
    assert box is not None
    near = grown(box, np.ceil(AROUND_MM / spacing).astype(int), mask.shape)
    around = distance_transform_edt(~mask[near], sampling=spacing) <= AROUND_MM
    return float(values[near][around].mean())


def _in_view(value: int, masks: Sequence[PlacedMask], ct: Volume) -> list[float]:
    """The share of a structure's points that lie in the query's field of view, for each support that has it."""
    shares = []
    for one in masks:
        places = one.support.inside.only(value)
        if len(places):
            shares.append(float(ct.contains(one.placement.to_query(places)).mean()))
    return shares


def _unlike_sides(
    scored: Sequence[StructureQuality],
    expansion: Expansion,
    candidates: Sequence[ScoredCandidate],
    ct: Volume,
    structures: Structures,
) -> list[UnlikeSides]:
    """Pairs that are wholly in view and whose tissues differ, compared with the best scribbled support's."""
    best = best_of(candidates).candidate.support
    found = {structure.value for structure in scored if structure.state == "found"} & set(best.structures.values)
    segments = [segment for segment in structures.foreground if segment.value in found]
    return unlike_sides(segments, (expansion.labels, ct), (best.expansion.labels, best.prepared.ct))
