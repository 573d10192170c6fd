"""What goes to the live worker and comes back: parts of label maps on the worker's grid. Nothing here needs Slicer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.boxes import Box, bounding_box, cropped, union
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.snapshots import CroppedLabels, Snapshot


@dataclass(frozen=True)
class SentStrokes:
    """Strokes in a file.

    Attributes:
        path: The file, `.npy`.
        box: First voxel and the one after the last along z, y and x.
        segments: Value and name of each.
        values: The values that have voxels.
    """

    path: Path
    box: list[list[int]]
    segments: list[dict[str, Any]]
    values: tuple[int, ...]


def grid_of(answer: Mapping[str, Any]) -> Volume:
    """The grid of a CT that the worker opened, without voxels in memory."""
    shape = tuple(int(size) for size in answer["shape"])
    return Volume.create(
        np.broadcast_to(np.uint8(0), shape), answer["spacing"], answer["origin"], np.array(answer["direction"])
    )


def write_strokes_part(snapshot: Snapshot, grid: Volume, path: Path) -> SentStrokes:
    """Write the part of a segmentation that is painted, on the worker's grid.

    Raises:
        OSError: If it cannot be written.
    """
    labels = snapshot.merged(grid).volume.array
    box = bounding_box(labels > 0) or tuple(slice(0, 1) for _axis in range(3))
    part = np.ascontiguousarray(labels[box])
    np.save(path, part, allow_pickle=False)
    segments = [{"value": segment.value, "name": segment.name} for segment in snapshot.segments]
    values = tuple(int(value) for value in np.unique(part) if value)
    return SentStrokes(path, [[side.start, side.stop] for side in box], segments, values)


def read_part(answer: Mapping[str, Any]) -> tuple[NDArray[np.uint8], Box] | None:
    """The part of a mask that the worker wrote; None if it wrote none."""
    if "mask" not in answer:
        return None
    labels = np.load(answer["mask"], allow_pickle=False)
    return labels, tuple(slice(int(first), int(last)) for first, last in answer["box"])


def with_part(snapshot: Snapshot, grid: Volume, labels: NDArray[np.uint8], box: Box) -> CroppedLabels:
    """A segmentation in which a part of the grid is replaced.

    Args:
        snapshot: The segmentation.
        grid: The grid of the part.
        labels: The part's labels.
        box: Where it lies in the grid.
    """
    boxes = [box, *(found for layer in snapshot.layers if (found := layer.box_on(grid)) is not None)]
    whole = union(boxes)
    array = snapshot.merged(cropped(grid, whole)).volume.array
    inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, whole, strict=True))
    array[inner] = labels
    empty = grid.with_array(np.broadcast_to(np.uint8(0), grid.shape))
    z, y, x = (side.start for side in whole)
    return CroppedLabels(LabelMap(empty, snapshot.segments), array, (z, y, x))
