"""Masks on their way to the page: the part that holds labels, on the CT's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.browser.grids import Grid
from OneShotSegLib.imaging.boxes import Box, box_shape
from OneShotSegLib.imaging.label_grids import map_on_ct
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.case_files import CaseMask, read_mask
from OneShotSegLib.study.layout import StudyPaths

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SentMask:
    """A mask as it is sent.

    Attributes:
        voxels: The part with labels.
        box: Where it lies in the CT.
        segments: What the values mean.
        centres: Structure to a voxel [z, y, x] within it.
        notes: Sentences on what exports will not use.
    """

    voxels: Labels
    box: Box
    segments: tuple[Segment, ...]
    centres: dict[str, list[float]]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """What the page needs to know beside the voxels."""
        return {
            "box": box_json(self.box),
            "segments": segments_json(self.segments),
            "centres": self.centres,
            "notes": list(self.notes),
        }


def box_json(box: Box) -> list[list[int]]:
    """First and past-the-last voxel along z, y and x."""
    return [[int(part.start), int(part.stop)] for part in box]


def segments_json(segments: tuple[Segment, ...]) -> list[dict[str, Any]]:
    """Value, name and colour of each."""
    return [{"value": s.value, "name": s.name, "color": list(s.color)} for s in segments]


def mask_of(path: Path, study: StudyPaths, ct: Volume) -> SentMask:
    """Read a mask.

    Args:
        path: The file.
        study: Its study.
        ct: The CT's grid.

    Raises:
        InputError: If it is missing or broken, or does not fit the CT.
    """
    return _sent(read_mask(path, study), path, ct)


@dataclass(frozen=True, eq=False)
class ReadMask:
    """A mask that was read before its CT's grid was known.

    Attributes:
        mask: The mask.
        grid: Its own grid.
    """

    mask: SentMask
    grid: Grid

    def fits(self, ct: Volume) -> bool:
        """Whether its grid is that of a CT; if not, it has to be read with `mask_of`."""
        return self.grid.volume.same_grid(ct)


def read_sent(path: Path, study: StudyPaths) -> ReadMask:
    """Read a mask on its own grid, which nearly always is the CT's.

    Raises:
        InputError: If it is missing or broken.
    """
    found = read_mask(path, study)
    grid = found.labels.label_map.volume
    return ReadMask(_sent(found, path, grid), Grid.of(grid))


def _sent(found: CaseMask, path: Path, ct: Volume) -> SentMask:
    labels = found.labels
    grid = labels.label_map.volume
    centres = {name: [float(at) for at in ct.to_index(centre)] for name, centre in found.centres.items()}
    box = tuple(slice(a, a + n) for a, n in zip(labels.start, labels.array.shape, strict=True))
    voxels = labels.array
    if not grid.same_grid(ct):
        whole = np.zeros(grid.shape, np.uint8)
        whole[box] = voxels
        moved = map_on_ct(LabelMap(grid.with_array(whole), labels.label_map.segments), ct, path)
        voxels, box = moved.volume.array, tuple(slice(0, size) for size in ct.shape)
    assert voxels.shape == box_shape(box)
    return SentMask(voxels, box, labels.label_map.segments, centres, found.notes)
