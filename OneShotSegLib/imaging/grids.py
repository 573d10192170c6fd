"""What a grid must be to be read as one: the same rules for all file formats."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.errors import InputError

Vector = NDArray[np.float64]

SMALLEST_MM = 0.05
GREATEST_MM = 50.0
ROUNDING = 1e-5
"""Relative: a spacing that was stored in single precision may be this much off."""
RIGHT_ANGLE_TOLERANCE = 1e-3
FARTHEST_MM = 1e6


def grid_fault(spacing: ArrayLike, origin: ArrayLike, direction: ArrayLike) -> str:
    """What keeps numbers from being a regular grid in a patient, as the end of a sentence; '' if nothing does.

    Args:
        spacing: Voxel size in mm, shape (3,).
        origin: Position of the first voxel in mm, shape (3,).
        direction: 3x3 matrix, one column per axis of the image; its determinant may be negative.
    """
    steps, position, matrix = (np.asarray(values, dtype=np.float64) for values in (spacing, origin, direction))
    size = " x ".join(f"{step:.4g}" for step in steps)
    if not np.isfinite(steps).all():
        return f"expected a voxel size in numbers, found {size} mm"
    if not ((steps >= SMALLEST_MM * (1 - ROUNDING)) & (steps <= GREATEST_MM * (1 + ROUNDING))).all():
        return f"expected voxels of {SMALLEST_MM:g} to {GREATEST_MM:g} mm, found {size} mm"
    if not np.isfinite(position).all() or np.abs(position).max() > FARTHEST_MM:
        return f"expected a position of the image in mm, found ({', '.join(f'{p:.4g}' for p in position)})"
    if not np.isfinite(matrix).all():
        return "expected the directions of the axes in numbers, found some that are none"
    if np.allclose(matrix.T @ matrix, np.eye(3), atol=RIGHT_ANGLE_TOLERANCE):
        return ""
    if (np.abs(np.linalg.norm(matrix, axis=0) - 1) > RIGHT_ANGLE_TOLERANCE).any():
        return "expected axes with directions of length 1, found others"
    if abs(np.linalg.det(matrix)) < RIGHT_ANGLE_TOLERANCE:
        return "expected three axes, found some that coincide"
    return f"expected a grid with axes at right angles, found a sheared one ({_shear(matrix):.3g} degrees off)"


def check_grid(name: object, spacing: ArrayLike, origin: ArrayLike, direction: ArrayLike) -> None:
    """Refuse what is no regular grid; the arguments are those of `grid_fault`.

    Raises:
        InputError: With one sentence that starts with the name.
    """
    fault = grid_fault(spacing, origin, direction)
    if fault:
        raise InputError(f"{name}: {fault}.")


def split_steps(steps: ArrayLike) -> tuple[Vector, Vector]:
    """Steps from voxel to voxel as spacing and directions.

    Args:
        steps: 3x3 matrix, one column per axis of the image, mm.

    Returns:
        Spacing, shape (3,), and the columns of length 1 (a column without a length stays as it is).
    """
    matrix = np.asarray(steps, dtype=np.float64)
    spacing = np.linalg.norm(matrix, axis=0)
    return spacing, matrix / np.where(spacing > 0, spacing, 1)


def _shear(matrix: Vector) -> float:
    """By how much the worst pair of axes misses the right angle, degrees."""
    cosine = float(np.abs(matrix.T @ matrix - np.eye(3))[~np.eye(3, dtype=bool)].max())
    return math.degrees(math.asin(min(cosine, 1.0)))
