"""Label fusion: merges label maps of one scan by a weighted mean of their shares of each voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from OneShotSegLib.imaging.boxes import box_shape, union, within
from OneShotSegLib.imaging.label_resampling import label_share, resampling_boxes
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume


@dataclass(frozen=True, eq=False)
class WeightedLabels:
    """A label map with a weight for the fusion of each of its labels.

    Attributes:
        labels: On any grid; values below 1 are unlabelled.
        weights: Weight of each label, over 0; labels without one are left out of the fusion here.
    """

    labels: Volume | SoftLabels
    weights: Mapping[int, float]


def fuse_labels(candidates: Sequence[WeightedLabels], grid: Volume, smooth_mm: float = 0.0) -> Volume:
    """Merge label maps: a label's share of a voxel is the weighted mean over the candidates that have a weight for it.

    Args:
        candidates: At least one.
        grid: Where the result lies, shape (D, H, W); its voxels are not used.
        smooth_mm: As in ``resample_labels``.

    Returns:
        The labels with the greatest share of each voxel, 0 where none of them has more than the rest; (D, H, W), uint8.
    """
    boxes_of = [resampling_boxes(candidate.labels, grid, smooth_mm) for candidate in candidates]
    pairs = list(zip(candidates, boxes_of, strict=True))
    values = sorted({value for candidate, mine in pairs for value in mine if value in candidate.weights})
    result = np.zeros(grid.shape, dtype=np.uint8)
    if not values:
        return grid.with_array(result)
    whole = union([boxes.target for mine in boxes_of for boxes in mine.values()])
    best = np.zeros(box_shape(whole), dtype=np.float32)
    labelled, winner = np.zeros_like(best), np.zeros(best.shape, dtype=np.uint8)
    for value in values:
        total = sum(candidate.weights.get(value, 0.0) for candidate in candidates)
        share = np.zeros_like(best)
        for candidate, mine in pairs:
            if value in mine and value in candidate.weights:
                own = label_share(candidate.labels, value, mine[value], grid, smooth_mm)
                share[within(mine[value].target, whole)] += own * np.float32(candidate.weights[value] / total)
        winner[share > best] = value
        np.maximum(best, share, out=best)
        labelled += share
    winner[1 - labelled >= best] = 0
    result[whole] = winner
    return grid.with_array(result)
