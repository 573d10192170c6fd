"""The window from Hounsfield units to the networks' 0-1 range, and a check that values can be those of a CT."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError

AIR_HU = -1000.0
BODY_HU = -300.0


@dataclass(frozen=True)
class HUWindow:
    """A piecewise linear map from HU to 0-1; values beyond the ends are clipped.

    Attributes:
        hu: Two or more corners, rising.
        level: What each becomes, 0-1.

    Raises:
        ValueError: If the corners do not make such a map.
    """

    hu: tuple[float, ...] = (-500.0, -100.0, 200.0, 1500.0)
    level: tuple[float, ...] = (0.0, 0.2, 0.8, 1.0)

    def __post_init__(self) -> None:
        numbers = all(isinstance(v, (int, float)) and math.isfinite(v) for v in (*self.hu, *self.level))
        if (
            not numbers
            or not 2 <= len(self.hu) == len(self.level)
            or any(low >= high for low, high in pairwise(self.hu))
            or min(self.level) < 0
            or max(self.level) > 1
        ):
            raise ValueError(
                f"expected an HU window of rising corners with levels 0-1, found {self.hu} to {self.level}"
            )

    def apply(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """HU of any shape to float32 in [0, 1] of the same shape."""
        found: NDArray[np.float32] = np.interp(array, self.hu, self.level).astype(np.float32)
        return found


def check_ct(array: NDArray[Any], name: str) -> None:
    """Refuse what cannot be a CT in Hounsfield units.

    Raises:
        InputError: For values that are not numbers, a constant image, or an image without air and tissue.
    """
    if not np.isfinite(array).all():
        raise InputError(f"{name}: expected a CT in HU, found values that are not numbers (NaN or infinite).")
    low, high = float(array.min()), float(array.max())
    if low == high:
        raise InputError(f"{name}: expected a CT in HU, found one constant value ({low:g}) in all voxels.")
    if low > -500 or high < 0:
        raise InputError(
            f"{name}: expected a CT in HU (air near -1000, tissue near 0), found values from {low:g} to {high:g}."
        )
