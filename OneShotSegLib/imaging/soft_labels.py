"""A label map with the share of each voxel that belongs to its label, which places borders within voxels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.volume import Volume


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Each voxel's label, the share of the voxel that belongs to it, and the label of the rest.

    A border read from shares lies between voxel centres; one read from labels alone lies on voxel faces, and moves when
    the scan is stored on another grid.

    Attributes:
        labels: The label with the greatest share; values below 1 are unlabelled. Shape (D, H, W).
        second_labels: The label of the rest of the voxel, 0 for none; shape (D, H, W).
        shares: The label's share, 0.5-1, shape (D, H, W).
    """

    labels: Volume
    second_labels: NDArray[np.uint8]
    shares: NDArray[np.float32]

    @classmethod
    def hard(cls, labels: Volume) -> SoftLabels:
        """Labels to which their voxels belong as a whole."""
        return cls(labels, np.zeros(labels.shape, np.uint8), np.ones(labels.shape, np.float32))

    def share_of(self, value: int, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """How much of each voxel within a box belongs to a label, 0-1."""
        labels, second_labels, shares = self.labels.array[box], self.second_labels[box], self.shares[box]
        share = np.where(second_labels == value, 1 - shares, np.float32(0))
        return np.where(labels == value, shares, share).astype(np.float32)

    def without(self, values: Collection[int]) -> SoftLabels:
        """The same map with some labels' voxels unlabelled."""
        if not values:
            return self
        labels, second_labels = (_emptied(array, values) for array in (self.labels.array, self.second_labels))
        return replace(self, labels=self.labels.with_array(labels), second_labels=second_labels)


def _emptied(array: NDArray[Any], values: Collection[int]) -> NDArray[Any]:
    return np.where(np.isin(array, list(values)), 0, array).astype(array.dtype)
