"""The agreement of a mask with its reference, for one structure: Dice, HD95, ASSD, volumes.

Dice of two empty masks is None here: a structure that neither has is no success and no failure, and does not enter a
mean. `OneShotSegLib.scoring.overlap` has the Dice without a reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.evaluation.figures import Presence, StructureFigures
from OneShotSegLib.imaging.boxes import bounding_box, whole_box
from OneShotSegLib.imaging.volume import Vector

Mask = NDArray[np.bool_]


def compare(case: str, value: int, name: str, reference: Mask, predicted: Mask, spacing: Vector) -> StructureFigures:
    """Compare two masks of one structure on the same grid.

    Args:
        case: The case's name.
        value: The structure's label value.
        name: The structure's name.
        reference: Shape (D, H, W).
        predicted: Shape (D, H, W).
        spacing: Voxel size, mm [z, y, x].
    """
    reference, predicted = crop_to_both(reference, predicted)
    voxel_ml = float(np.prod(spacing)) / 1000
    sizes = int(reference.sum()), int(predicted.sum())
    presence = _presence(*sizes)
    hd95, assd = surface_distances(reference, predicted, spacing) if presence == "both" else (None, None)
    return StructureFigures(
        case=case,
        value=value,
        name=name,
        presence=presence,
        dice=None if presence == "absent" else 2 * int((reference & predicted).sum()) / sum(sizes),
        hd95_mm=hd95,
        assd_mm=assd,
        reference_ml=sizes[0] * voxel_ml,
        predicted_ml=sizes[1] * voxel_ml,
    )


def _presence(reference: int, predicted: int) -> Presence:
    if reference and predicted:
        return "both"
    if reference:
        return "false negative"
    return "false positive" if predicted else "absent"


def crop_to_both(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two masks or label arrays in the smallest box that holds all of both; distances do not change by it.

    The time that everything else takes goes with the box, not with the image.
    """
    box = bounding_box((a > 0) | (b > 0)) or whole_box((0, 0, 0))
    return a[box], b[box]


def surface_distances(reference: Mask, predicted: Mask, spacing: Vector) -> tuple[float, float]:
    """HD95 and ASSD in mm of two masks that are not empty; shape (D, H, W), spacing in mm [z, y, x].

    A surface is the mask's voxels with a 6-neighbour outside it, the faces at the border of the image included.
    """
    ours, theirs = (np.argwhere(_surface(mask)).astype(np.float64) * spacing for mask in (predicted, reference))
    there, back = _distances(ours, theirs), _distances(theirs, ours)
    hd95 = max(float(np.percentile(distances, 95)) for distances in (there, back))
    return hd95, float(np.concatenate([there, back]).mean())


def _surface(mask: Mask) -> Mask:
    """The voxels with a 6-neighbour outside the mask; what is outside the image is outside the mask."""
    from scipy.ndimage import binary_erosion

    surface: Mask = mask & ~binary_erosion(mask)
    return surface


def _distances(from_points: NDArray[np.float64], to_points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of each point, shape (N, 3) in mm, to the nearest of the others."""
    from scipy.spatial import cKDTree

    distances: NDArray[np.float64] = cKDTree(to_points).query(from_points)[0]
    return distances
