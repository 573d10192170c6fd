"""Overlap of masks, and the overlap that a small border error leaves: measures for scores, without a reference.

Dice of two empty masks is 0 here: where nothing agrees, nothing is to be trusted. `OneShotSegLib.evaluation.metrics`
has the Dice against references.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from OneShotSegLib.imaging.boxes import bounding_box, grown
from OneShotSegLib.imaging.volume import Vector

BORDER_MM = 3.01


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice of two masks of one shape, 0-1; 0 if both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 0.0


def core_dice(mask: NDArray[np.bool_], spacing: Vector) -> float:
    """Dice of a mask (D, H, W) with its core, the mask less a border of 3 mm, 0-1; low for thin or ragged masks."""
    box = bounding_box(mask)
    if box is None:
        return 0.0
    # One voxel more all round, so that distances to the nearest voxel outside the mask are right.
    near = mask[grown(box, 1, mask.shape)]
    core = int((distance_transform_edt(near, sampling=spacing) > BORDER_MM).sum())
    return 2 * core / (core + int(mask.sum())) if core else 0.0


def expected_dice(probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """The Dice of a mask to expect from its probabilities: 2 sum(p in the mask) / (sum(p) + size of the mask), 0-1."""
    total = float(probability.sum()) + int(mask.sum())
    return 2 * float(probability[mask].sum()) / total if total else 0.0
