"""Two scans between one another in one image, told by the voxels: every second slice is unlike those on both sides."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FEWEST_SLICES = 24
FEWEST_CELLS = 8
"""Across the slices."""
WINDOW_HU = (-150.0, 250.0)
"""Air, lung and bone differ by so much from slice to slice that they would hide everything else."""
CELLS = 64
LAGS = range(4, 13)
"""Slices: nearer ones have slices in common, so that noise alone makes them alike."""
# Of 149 plain CTs, whole and in thirds, two are over NOTED, by the scanner: by up to 3.4 HU, a share of 0.24.
NOTED = 0.08
LEAST_HU = 1.0
TWO_SCANS = 0.28
TWO_SCANS_HU = 6.0


def two_phases(slices: NDArray[Any]) -> Literal["no", "perhaps", "yes"]:
    """Whether every second slice is of another scan than those between: two phases of one series.

    Phases that differ by less than the anatomy does from slice to slice are not told (docs/decisions/017-geometry.md).

    Args:
        slices: HU, shape (D, H, W).
    """
    if len(slices) < FEWEST_SLICES or min(slices.shape[1:]) < FEWEST_CELLS:
        return "no"
    share, size = alternation(slices)
    if share <= NOTED or size <= LEAST_HU:
        return "no"
    return "yes" if share > TWO_SCANS or size > TWO_SCANS_HU else "perhaps"


def alternation(slices: NDArray[Any]) -> tuple[float, float]:
    """How much of what tells a slice from the mean of its neighbours comes back with the other sign in the next one.

    Args:
        slices: HU, at least `FEWEST_SLICES` of them, shape (D, H, W).

    Returns:
        The share of it that alternates (about 0 for one scan), and its size in HU.
    """
    cells = np.clip(_coarse(slices), *WINDOW_HU)
    differences = (cells[1:-1] - (cells[:-2] + cells[2:]) / 2).reshape(len(cells) - 2, -1)
    power = float(np.mean(differences**2))
    if power == 0:
        return 0.0, 0.0
    alike = {lag: float(np.mean(differences[:-lag] * differences[lag:])) / power for lag in LAGS}
    even = np.mean([alike[lag] for lag in LAGS if lag % 2 == 0])
    odd = np.mean([alike[lag] for lag in LAGS if lag % 2])
    share = float(even - odd)
    return share, float(np.sqrt(max(share, 0.0) * power)) / 2


def _coarse(slices: NDArray[Any]) -> NDArray[np.float32]:
    """Slices of few large pixels, as means: less noise, and little to compute."""
    rows, columns = (max(1, extent // CELLS) for extent in slices.shape[1:])
    height, width = (slices.shape[1] // rows * rows, slices.shape[2] // columns * columns)
    coarse = np.empty((len(slices), height // rows, width // columns), dtype=np.float32)
    for number, one in enumerate(slices):
        clipped = np.clip(one[:height, :width], *WINDOW_HU).astype(np.float32)
        coarse[number] = clipped.reshape(height // rows, rows, width // columns, columns).mean(axis=(1, 3))
    return coarse
