"""Segmentations as plain data: copied out of the scene at once, worked on and written by a child process.

Nothing here needs Slicer, so that the child process need not load it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.boxes import Box, bounding_box, box_between, box_shape, grown, whole_box
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.volume import Volume

VOXEL_TOLERANCE = 0.05
AXIS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Overlap:
    """Two segments that share voxels.

    Attributes:
        first: Name.
        second: Name.
        voxels: How many they share.
    """

    first: str
    second: str
    voxels: int


@dataclass(frozen=True, eq=False)
class Layer:
    """One labelmap of a segmentation, copied.

    Attributes:
        labels: Its own label values, shape (D, H, W); the grid is that of the labelmap.
        values: Own label value to the study's.
    """

    labels: Volume
    values: dict[int, int]

    def box_on(self, grid: Volume) -> Box | None:
        """The part of a grid that it covers; None if it covers nothing of it."""
        box = _on_grid(self, grid)[0]
        return None if 0 in box_shape(box) else box


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A copy of a segmentation node's content: taken at once, worked on elsewhere.

    Attributes:
        layers: Its labelmaps.
        segments: Value, name, colour, tags of each segment.
    """

    layers: tuple[Layer, ...]
    segments: tuple[Segment, ...]

    def merged(self, grid: Volume) -> LabelMap:
        """One label map on a grid; where segments overlap the later one has the voxel."""
        return self.merged_with_overlaps(grid)[0]

    def merged_with_overlaps(self, grid: Volume) -> tuple[LabelMap, tuple[Overlap, ...]]:
        """The same, and the pairs of segments that share voxels."""
        array, overlaps = self._merge(grid)
        return LabelMap(grid.with_array(array), self.segments), overlaps

    def _merge(self, grid: Volume) -> tuple[NDArray[np.uint8], tuple[Overlap, ...]]:
        names = {segment.value: segment.name for segment in self.segments}
        merged = np.zeros(grid.shape, dtype=np.uint8)
        overlaps: list[Overlap] = []
        for layer in self.layers:
            window, labels = _on_grid(layer, grid)
            target = merged[window]
            painted = labels > 0
            both = painted & (target > 0)
            if both.any():
                pairs, counts = np.unique(np.stack([target[both], labels[both]]), axis=1, return_counts=True)
                overlaps += [Overlap(names[a], names[b], int(n)) for (a, b), n in zip(pairs.T, counts, strict=True)]
            np.copyto(target, labels, where=painted)
        return merged, tuple(overlaps)


def write_snapshot(snapshot: Snapshot, grid: Volume, path: Path) -> None:
    """Write a segmentation on a grid as ``.seg.nrrd``.

    Raises:
        OSError: If nothing can be written.
    """
    write_label_map(snapshot.merged(grid), path)


def _on_grid(layer: Layer, grid: Volume) -> tuple[Box, NDArray[np.uint8]]:
    """The part of a grid that a layer covers, and the study's label values there."""
    start = _whole_voxel_offset(layer.labels, grid)
    if start is None:
        on_grid = resample(layer.labels, grid, fill=0, order=0).array
        return whole_box(grid.shape), _translated(on_grid, layer.values)
    array = layer.labels.array
    low = np.clip(start, 0, grid.shape)
    high = np.clip(start + array.shape, low, grid.shape)
    part = box_between(low - start, high - start)
    return box_between(low, high), _translated(array[part], layer.values)


def _translated(labels: NDArray[np.generic], values: dict[int, int]) -> NDArray[np.uint8]:
    """Own label values to the study's; a value of no segment becomes 0."""
    if not labels.size:
        return np.zeros(labels.shape, dtype=np.uint8)
    table = np.zeros(max(int(labels.max()), *values) + 1, dtype=np.uint8)
    for own, value in values.items():
        table[own] = value
    found: NDArray[np.uint8] = table[labels]
    return found


def _whole_voxel_offset(own: Volume, grid: Volume) -> NDArray[np.generic] | None:
    """Where the first voxel [z, y, x] lies on the grid; None if the two lattices differ."""
    first = grid.to_index(own.to_world(np.zeros(3)))
    far = grid.to_index(own.to_world(np.array(own.shape) - 1.0)) - (np.array(own.shape) - 1.0)
    axes = grid.direction.T @ own.direction
    aligned = np.abs(axes - np.eye(3)).max() < AXIS_TOLERANCE
    whole = np.rint(first)
    off = max(np.abs(first - whole).max(), np.abs(far - whole).max())
    return whole.astype(int) if aligned and off < VOXEL_TOLERANCE else None


@dataclass(frozen=True, eq=False)
class CroppedLabels:
    """A label map without the empty space around it, as segmentations keep it in memory.

    Attributes:
        label_map: The grid it belongs to, with an array of no memory; segments.
        array: uint8 labels.
        start: Voxel [z, y, x] of the grid at which the array begins.
    """

    label_map: LabelMap
    array: NDArray[np.uint8]
    start: tuple[int, int, int]

    @classmethod
    def of(cls, label_map: LabelMap) -> CroppedLabels:
        """Crop a label map to what is painted, one empty voxel around."""
        full = label_map.volume.array
        grid = label_map.volume.with_array(np.broadcast_to(np.uint8(0), full.shape))
        painted = bounding_box(full > 0)
        box = whole_box((1, 1, 1)) if painted is None else grown(painted, 1, full.shape)
        z, y, x = (part.start for part in box)
        return cls(label_map.with_volume(grid), np.ascontiguousarray(full[box]), (z, y, x))
