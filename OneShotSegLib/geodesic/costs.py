"""What one step between neighbouring voxels costs: our own rule, and those of the two published libraries.

Every rule is one fraction of the intensity difference between the two voxels,

    step = (slope * difference + constant) / (bend * difference + base),

whose coefficients depend only on the length of the step, so that one kernel serves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

GEODISTK_EPSILON = 1e-5


class StepCoefficients(NamedTuple):
    """Coefficients of the fraction for steps of given lengths: two arrays of the lengths' shape, two numbers."""

    slope: NDArray[np.float32]
    constant: NDArray[np.float32]
    bend: float
    base: float


class StepCost(Protocol):
    """A rule for the cost of a step."""

    @property
    def sums_channels(self) -> bool:
        """Whether the difference over several channels is the sum of absolute differences, not the L2 norm."""

    def coefficients(self, lengths: NDArray[np.float64]) -> StepCoefficients:
        """The coefficients for steps of these lengths in mm."""


def _check_weight(name: str, value: float, upper: float = np.inf) -> None:
    if not (np.isfinite(value) and 0 <= value <= upper):
        limits = "0 or more" if np.isinf(upper) else f"between 0 and {upper:g}"
        raise ValueError(f"{name} must be a finite number, {limits}; got {value}.")


@dataclass(frozen=True)
class IntensityCost:
    """Our rule: ``intensity_weight * |dI| + spatial_weight * mm``.

    Attributes:
        intensity_weight: Cost of one unit of intensity difference.
        spatial_weight: Cost of one mm. The default suits images scaled to 0-1: it stops the front from running
            through the noise of a whole organ for free.
    """

    intensity_weight: float = 1.0
    spatial_weight: float = 0.005
    sums_channels = False

    def __post_init__(self) -> None:
        _check_weight("intensity_weight", self.intensity_weight)
        _check_weight("spatial_weight", self.spatial_weight)

    def coefficients(self, lengths: NDArray[np.float64]) -> StepCoefficients:
        """The coefficients for steps of these lengths in mm."""
        slope = np.full(lengths.shape, self.intensity_weight, np.float32)
        return StepCoefficients(slope, (self.spatial_weight * lengths).astype(np.float32), 0.0, 1.0)


@dataclass(frozen=True)
class GeodisTKCost:
    """GeodisTK 0.1.7's raster scan: ``mm / ((1 - lamb) + lamb / (|dI| + 1e-5))``.

    At ``lamb`` 1 (the paper's choice) this is ``mm * (|dI| + 1e-5)``; at 0 it is the length alone.
    """

    lamb: float = 1.0
    sums_channels = False

    def __post_init__(self) -> None:
        _check_weight("lamb", self.lamb, 1.0)

    def coefficients(self, lengths: NDArray[np.float64]) -> StepCoefficients:
        """The coefficients for steps of these lengths in mm."""
        slope = lengths.astype(np.float32)
        constant = (GEODISTK_EPSILON * lengths).astype(np.float32)
        return StepCoefficients(slope, constant, 1.0 - self.lamb, self.lamb + (1.0 - self.lamb) * GEODISTK_EPSILON)


@dataclass(frozen=True)
class FastGeodisCost:
    """FastGeodis 1.0.5's generalised distance: ``(1 - lamb) * mm + lamb * |dI|``; channels' differences add up."""

    lamb: float = 1.0
    sums_channels = True

    def __post_init__(self) -> None:
        _check_weight("lamb", self.lamb, 1.0)

    def coefficients(self, lengths: NDArray[np.float64]) -> StepCoefficients:
        """The coefficients for steps of these lengths in mm."""
        slope = np.full(lengths.shape, self.lamb, np.float32)
        return StepCoefficients(slope, ((1.0 - self.lamb) * lengths).astype(np.float32), 0.0, 1.0)
