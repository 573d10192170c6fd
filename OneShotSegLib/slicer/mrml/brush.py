"""The brush that fits a structure: about half as wide as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from OneShotSegLib.slicer.mrml.geometry import image_array
from OneShotSegLib.slicer.mrml.segmentations import BINARY_LABELMAP, segments_of

UNKNOWN_MM = 6.0
"""For a structure of which nothing is known yet."""
SMALLEST_VOXELS, GREATEST_MM = 1.5, 40.0


def brush_for(segmentation: Any, name: str) -> float:
    """Diameter in mm of a brush about half as wide as a structure is within its slices.

    Args:
        segmentation: A segmentation that has the structure's mask; None if there is none yet.
        name: The structure's.
    """
    for _segment_id, segment in segments_of(segmentation) if segmentation is not None else ():
        if segment.GetName() == name:
            width, voxel = _width(segment)
            if width > 0:
                return round(float(np.clip(width / 2, SMALLEST_VOXELS * voxel, GREATEST_MM)), 1)
    return UNKNOWN_MM


def _width(segment: Any) -> tuple[float, float]:
    """Mean length in mm of the lines within a segment, along the axis where they are shorter, and the voxel size."""
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if image is None or image.GetPointData().GetScalars() is None:
        return 0.0, 0.0
    mask = image_array(image) == segment.GetLabelValue()
    count, spacing = int(mask.sum()), image.GetSpacing()
    if not count:
        return 0.0, 0.0
    found = []
    for axis, size in ((2, spacing[0]), (1, spacing[1])):
        lines = np.moveaxis(mask, axis, 0)
        starts = int(lines[0].sum()) + int((lines[1:] & ~lines[:-1]).sum())
        found.append(count / starts * size)
    return min(found), min(spacing[:2])
