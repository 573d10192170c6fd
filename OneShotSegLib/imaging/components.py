"""Clean-up of label maps, structure by structure: the largest component alone, holes filled."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.imaging.boxes import label_boxes


def keep_largest(labels: NDArray[np.uint8], values: Collection[int]) -> NDArray[np.uint8]:
    """A copy in which each of these structures has only its largest 26-connected component.

    Args:
        labels: Label map, shape (D, H, W).
        values: The structures to reduce; those that do not occur are ignored.
    """
    result = labels.copy()
    neighbours = np.ones((3, 3, 3), dtype=bool)
    for value, box in label_boxes(labels).items():
        if value not in values:
            continue
        mask = labels[box] == value
        components, count = ndimage.label(mask, structure=neighbours)
        if count > 1:
            sizes = np.bincount(components.ravel())
            sizes[0] = 0
            result[box][mask & (components != sizes.argmax())] = 0
    return result


def fill_holes(labels: NDArray[np.uint8], values: Collection[int]) -> NDArray[np.uint8]:
    """A copy in which background that one of these structures encloses altogether belongs to it.

    Args:
        labels: Label map, shape (D, H, W).
        values: The structures to fill; other structures inside them stay.
    """
    result = labels.copy()
    for value, box in label_boxes(labels).items():
        if value in values:
            filled = ndimage.binary_fill_holes(labels[box] == value)
            result[box][filled & (result[box] == 0)] = value
    return result
