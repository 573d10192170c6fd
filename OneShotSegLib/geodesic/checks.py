"""Checks of what the geodesic distances accept; each refuses with a ValueError that names what it got."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST_LABEL = 65535


def as_channels(image: ArrayLike) -> NDArray[Any]:
    """The image, (D, H, W) or (C, D, H, W), as (C, D, H, W)."""
    array = np.asarray(image)
    if array.ndim not in (3, 4) or array.size == 0 or array.dtype.kind not in "fiub":
        raise ValueError(
            "image must hold real numbers, shape (D, H, W) or (C, D, H, W), not empty; "
            f"got {array.dtype} of shape {array.shape}."
        )
    return array[None] if array.ndim == 3 else array


def as_labels(seeds: ArrayLike, grid: tuple[int, ...]) -> NDArray[Any]:
    """The seeds as a label map of the image's grid, shape (D, H, W)."""
    labels = np.asarray(seeds)
    check_shape("seeds", labels.shape, grid)
    if labels.dtype.kind not in "iub" or labels.min() < 0 or labels.max() > LARGEST_LABEL:
        raise ValueError(
            f"seeds must be a label map of integers, 0 to {LARGEST_LABEL}; "
            f"got {labels.dtype} from {labels.min()} to {labels.max()}."
        )
    return labels


def as_region(region: ArrayLike, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    """The region as a mask of the image's grid, shape (D, H, W)."""
    mask = np.asarray(region)
    check_shape("region", mask.shape, grid)
    return mask.astype(bool)


def as_spacing(spacing: ArrayLike) -> NDArray[np.float64]:
    """Three voxel sizes over 0 in mm [z, y, x], shape (3,)."""
    values = np.asarray(spacing, np.float64)
    if values.shape != (3,) or not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError(f"spacing must be three positive lengths in mm, [z, y, x]; got {spacing!r}.")
    return values


def check_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Refuse an array that is not on the image's grid."""
    if got != expected:
        raise ValueError(f"{name} must have the image's grid, shape {expected}; got {got}.")
