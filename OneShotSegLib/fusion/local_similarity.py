"""How alike two CTs are around each voxel: what weights a candidate in the label fusion, voxel by voxel.

Locally weighted fusion as in Artaechevarria et al., IEEE TMI 2009; the measure is the local normalised correlation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

LEAST_VARIANCE = 1e-6


class LocalSimilarity:
    """Compares CTs with one CT.

    Args:
        image: Intensities in 0-1, shape (D, H, W).
        spacing: Voxel size, mm, shape (3,).
        width_mm: Standard deviation of the Gaussian that says how far around a voxel is compared.
    """

    def __init__(self, image: NDArray[np.float32], spacing: ArrayLike, width_mm: float) -> None:
        self._sigma = width_mm / np.asarray(spacing, dtype=np.float64)
        self._image = image
        self._mean = self._smoothed(image)
        self._variance = self._smoothed(image * image) - self._mean**2

    def to(self, other: NDArray[np.float32]) -> NDArray[np.float32]:
        """Local normalised correlation with a CT of the same shape, -1 to 1; 0 where either is uniform."""
        mean = self._smoothed(other)
        variance = self._smoothed(other * other) - mean**2
        covariance = self._smoothed(self._image * other) - self._mean * mean
        size = np.sqrt(np.maximum(self._variance * variance, LEAST_VARIANCE))
        found: NDArray[np.float32] = np.clip(covariance / size, -1, 1)
        return found

    def _smoothed(self, array: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = gaussian_filter(array, self._sigma, mode="nearest", truncate=3.0)
        return found
