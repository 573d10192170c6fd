"""Arrays of labels: which labels occur, and labelled points painted into voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.volume import Vector, Volume

LABEL_COUNT = 256


def present_labels(array: NDArray[Any]) -> list[int]:
    """The label values over 0 that occur, ascending."""
    return [int(value) for value in np.unique(array) if value > 0]


def paint_points(grid: Volume, world: Vector, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Paint labelled points into the voxels that contain them; points outside the grid are left out.

    A voxel with several points gets their most frequent label (ties: the lower), so that the order of painting does not
    matter.

    Args:
        grid: Grid, shape (D, H, W).
        world: Positions, shape (N, 3), mm.
        values: Labels over 0, shape (N,).

    Returns:
        Labels, shape (D, H, W); 0 where no point lies.
    """
    exact = grid.to_index(world)
    inside = np.all((exact > -0.5) & (exact < np.asarray(grid.shape) - 0.5), axis=1) & (values > 0)
    index = np.clip(np.rint(exact[inside]).astype(np.int64), 0, np.asarray(grid.shape) - 1)
    voxels = np.ravel_multi_index(tuple(index.T), grid.shape)
    # Voxel and label as one number: sorting numbers takes a fraction of the time of sorting pairs.
    pairs, counts = np.unique(voxels * LABEL_COUNT + values[inside], return_counts=True)
    where, label = np.divmod(pairs, LABEL_COUNT)
    order = np.lexsort((-label, counts, where))  # the label that each voxel keeps is painted last
    painted = np.zeros(int(np.prod(grid.shape)), dtype=np.uint8)
    painted[where[order]] = label[order]
    return painted.reshape(grid.shape)
