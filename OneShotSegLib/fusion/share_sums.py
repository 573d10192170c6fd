"""Weighted sums of structures' shares, each kept only where the structure can be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.boxes import Box, box_shape, union, within


class ShareSums:
    """Adds up candidates one by one; what is kept grows with the structures' boxes, not with grid times structures."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[Box, NDArray[np.float32]]] = {}
        self._weights: dict[frozenset[int], NDArray[np.float32]] = {}

    def add(
        self,
        weight: NDArray[np.float32],
        values: frozenset[int],
        shares: Iterable[tuple[int, Box, NDArray[np.float32]]],
    ) -> None:
        """Add a candidate.

        Args:
            weight: Of each voxel of the grid, over 0, shape (D, H, W).
            values: Labels of the structures that it knows of; where it has no share of one, it speaks against it.
            shares: Labels with a box of the grid and the structure's share of its voxels.
        """
        for value, box, share in shares:
            if value in values:
                sums = self._room_for(value, box)
                sums[within(box, self._sums[value][0])] += share * weight[box]
        # Candidates with the same structures, which is the usual case, share one sum of weights.
        self._weights[values] = self._weights[values] + weight if values in self._weights else weight

    def means(self) -> tuple[dict[int, Box], dict[int, NDArray[np.float32]]]:
        """Each structure's box, and its mean share there (0-1, the box's shape), by label."""
        means = {}
        for value, (box, sums) in sorted(self._sums.items()):
            total = np.zeros(sums.shape, dtype=np.float32)
            for values, weight in self._weights.items():
                if value in values:
                    total += weight[box]
            means[value] = sums / total
        return {value: self._sums[value][0] for value in means}, means

    def _room_for(self, value: int, box: Box) -> NDArray[np.float32]:
        """The sums of a structure, enlarged to hold a box."""
        if value not in self._sums:
            self._sums[value] = box, np.zeros(box_shape(box), dtype=np.float32)
        old, sums = self._sums[value]
        whole = union([old, box])
        if whole != old:
            larger = np.zeros(box_shape(whole), dtype=np.float32)
            larger[within(old, whole)] = sums
            self._sums[value] = whole, larger
        return self._sums[value][1]
