"""CTs on their way to the page: 16-bit NIfTI, cropped to the body and in two steps where they are large.

What is sent is made once per CT and kept in a folder of the server's, which is removed when the server ends. The files
are not compressed: on one machine, packing and unpacking a large CT takes ten times as long as sending it.
"""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
import struct
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.browser.children import Children
from OneShotSegLib.browser.grids import Grid
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box, cropped, grown, whole_box
from OneShotSegLib.imaging.hounsfield import examine_hounsfield
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import file_state, read_case_ct

log = logging.getLogger(__name__)

LARGE_VOXELS = 12_000_000
COARSE_VOXELS = 4_000_000
BODY_HU = -400
LOOK_EVERY = 4
MARGIN_VOXELS = 12
KEPT = 6
HEAVY_BYTES = 8_000_000
"""A CT whose files are larger is read in a child process."""
HEADER_BYTES = 352
"""Where the voxels of a file begin."""
AIR_HU = -1000
SOFT_TISSUE = (240.0, -160.0)
"""The greatest and the least value to show."""


@dataclass(frozen=True)
class Step:
    """One file of a CT.

    Attributes:
        name: Its name in the address.
        every: Every how many voxels of the CT.
        path: The file, NIfTI, not compressed.
    """

    name: str
    every: int
    path: Path


@dataclass(frozen=True, eq=False)
class SentImage:
    """A CT as it is sent.

    Attributes:
        key: What stands for it in addresses.
        grid: The CT's whole grid, without voxels.
        box: The part of it that is sent.
        steps: Its files; the coarse one first, where there are two.
        notes: Sentences on what was mended on reading.
    """

    key: str
    grid: Volume
    box: Box
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What the page needs to know."""
        return {
            "key": self.key,
            "shape": list(self.grid.shape),
            "spacing": [float(value) for value in self.grid.spacing],
            "start": [part.start for part in self.box],
            "sent": [part.stop - part.start for part in self.box],
            "steps": [{"url": f"/api/images/{self.key}/{step.name}.nii", "every": step.every} for step in self.steps],
            "notes": list(self.notes),
        }


class Images:
    """The CTs that are sent.

    Args:
        folder: For the files.
        children: For reading large ones.
    """

    def __init__(self, folder: Path, children: Children) -> None:
        self._folder, self._children = folder, children
        self._lock = threading.Lock()
        self._made: OrderedDict[str, Future[SentImage]] = OrderedDict()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="images")

    def image(self, source: Path, series: str = "") -> SentImage:
        """A CT, read and written if that was not done yet; waits for it.

        Raises:
            InputError: If it cannot be read.
        """
        return self.prepare(source, series).result()

    def prepare(self, source: Path, series: str = "") -> Future[SentImage]:
        """Begin to make the files of a CT; what comes of it."""
        key = _key_of(source, series)
        with self._lock:
            known = self._made.get(key)
            if known is None or (known.done() and known.exception() is not None):
                known = self._made[key] = self._pool.submit(self._make, key, source, series)
            self._made.move_to_end(key)
            self._forget_oldest()
        return known

    def file(self, key: str, name: str) -> Path:
        """A file of a CT that was prepared, or that is being prepared; waits for it.

        Raises:
            InputError: If there is none of that name.
        """
        with self._lock:
            made = self._made.get(key)
        found = made.result() if made is not None else None
        step = next((step for step in found.steps if step.name == name), None) if found is not None else None
        if step is None:
            raise InputError("Expected an image that was prepared, found none: load the case again.")
        return step.path

    def close(self) -> None:
        """End; the files are removed."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _forget_oldest(self) -> None:
        for key in list(self._made)[: max(len(self._made) - KEPT, 0)]:
            if self._made[key].done():
                del self._made[key]
                shutil.rmtree(self._folder / key, ignore_errors=True)

    def hounsfield(self, source: Path, series: str, box: Box) -> NDArray[np.int16]:
        """The HU of a part of a CT, a copy; air outside of what is sent. It is prepared if it is not.

        Raises:
            InputError: If it cannot be read.
        """
        image = self.image(source, series)
        path = image.steps[-1].path
        values = np.full([part.stop - part.start for part in box], AIR_HU, np.int16)
        low = [max(part.start, sent.start) for part, sent in zip(box, image.box, strict=True)]
        high = [min(part.stop, sent.stop) for part, sent in zip(box, image.box, strict=True)]
        if all(a < b for a, b in zip(low, high, strict=True)):
            shape = tuple(part.stop - part.start for part in image.box)
            whole = np.memmap(path, "<i2", "r", HEADER_BYTES, shape)
            there = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, image.box, strict=True))
            here = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, box, strict=True))
            values[here] = whole[there]
        return values

    def _make(self, key: str, source: Path, series: str) -> SentImage:
        folder = self._folder / key
        heavy = is_heavy(source)
        made = self._children.run(_make, source, series, folder) if heavy else _make(source, series, folder)
        return SentImage(key, made.grid.volume, made.box, made.steps, made.notes)


@dataclass(frozen=True, eq=False)
class _Made:
    """What a child process says of a CT that it made the files of; see `SentImage`."""

    grid: Grid
    box: Box
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def is_heavy(source: Path) -> bool:
    """Whether reading a CT takes so long that it must not be done in the server's own process."""
    state = file_state(source)
    return state is not None and state.bytes > HEAVY_BYTES


def _make(source: Path, series: str, folder: Path) -> _Made:
    """Read a CT and write its files.

    Raises:
        InputError: If it cannot be read.
        OSError: If they cannot be written.
    """
    volume, notes = _in_hu(read_case_ct(source, series))
    box = _body(volume.array) if volume.array.size > LARGE_VOXELS else whole_box(volume.shape)
    part = cropped(volume, box)
    steps = [Step("full", 1, folder / "full.nii")]
    _write(part, steps[0].path)
    if part.array.size > LARGE_VOXELS:
        every = math.ceil((part.array.size / COARSE_VOXELS) ** (1 / 3))
        steps.insert(0, Step("coarse", every, folder / "coarse.nii"))
        thinned = part.array[::every, ::every, ::every]
        _write(Volume.create(thinned, part.spacing * every, part.origin, part.direction), steps[0].path)
    return _Made(Grid.of(volume), box, tuple(steps), notes)


def _key_of(source: Path, series: str) -> str:
    """The same as long as the CT's files are the same."""
    state = file_state(source)
    return hashlib.sha256(f"{source}|{series}|{state}".encode(errors="surrogateescape")).hexdigest()[:24]


def _in_hu(volume: Volume) -> tuple[Volume, tuple[str, ...]]:
    try:
        return examine_hounsfield(volume, "The CT")
    except InputError as error:
        return volume, (str(error),)  # it is to be seen all the same


def _body(hu: NDArray[Any]) -> Box:
    """The part of a CT that is not air around the patient."""
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    found = bounding_box(hu[::LOOK_EVERY, ::LOOK_EVERY, ::LOOK_EVERY] > BODY_HU)
    if found is None:
        return whole_box(shape)
    box = tuple(slice(part.start * LOOK_EVERY, part.stop * LOOK_EVERY) for part in found)
    inside = tuple(slice(part.start, min(part.stop, size)) for part, size in zip(box, shape, strict=True))
    return grown(inside, MARGIN_VOXELS, shape)


def _write(volume: Volume, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("wb") as file:
        file.write(_header(volume))
        for plane in volume.array:  # one at a time: a large CT is not copied whole
            file.write(_as_int16(plane).data)
    unfinished.replace(path)


def _as_int16(array: NDArray[Any]) -> NDArray[np.int16]:
    if array.dtype != np.int16:
        array = np.clip(np.rint(array), -32768, 32767)
    return np.ascontiguousarray(array, dtype="<i2")


def _header(volume: Volume) -> bytes:
    """The header of a NIfTI-1 file of 16-bit voxels, whose window is that of soft tissue."""
    header = bytearray(HEADER_BYTES)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *reversed(volume.shape), 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)  # int16
    struct.pack_into("<8f", header, 76, 1, *reversed([float(step) for step in volume.spacing]), 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, HEADER_BYTES, 1, 0)  # where the voxels begin, slope, intercept
    struct.pack_into("<B2f", header, 123, 2, *SOFT_TISSUE)  # mm
    struct.pack_into("<2h", header, 252, 0, 1)  # the matrix below alone counts
    # From voxels x, y, z to mm: ours is z, y, x and to the left and the back, NIfTI's to the right and the front.
    corner = volume.to_world((0, 0, 0))[::-1]
    steps = [volume.to_world(unit)[::-1] - corner for unit in ((0, 0, 1), (0, 1, 0), (1, 0, 0))]
    for row, sign in enumerate((-1, -1, 1)):
        struct.pack_into("<4f", header, 280 + 16 * row, *(sign * step[row] for step in steps), sign * corner[row])
    header[344:348] = b"n+1\0"
    return bytes(header)
