"""CTs on their way to the page: 16-bit NIfTI, cropped to the body and in two steps where they are large.

What is sent is made once per CT and kept in a folder of the server's, which is removed when the server ends.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
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

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box, cropped, grown, whole_box
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import file_state, read_case_ct

log = logging.getLogger(__name__)

LARGE_VOXELS = 12_000_000
COARSE_VOXELS = 4_000_000
BODY_HU = -400
LOOK_EVERY = 4
MARGIN_VOXELS = 12
KEPT = 8
WINDOW_AT = 124
"""Where a NIfTI header has the greatest and the least value to show."""
SOFT_TISSUE = (240.0, -160.0)


@dataclass(frozen=True)
class Step:
    """One file of a CT.

    Attributes:
        name: Its name in the address.
        every: Every how many voxels of the CT.
        path: The file, gzipped NIfTI.
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
            "steps": [{"url": f"/api/images/{self.key}/{step.name}.nii", "every": step.every} for step in self.steps],
            "notes": list(self.notes),
        }


class Images:
    """The CTs that are sent.

    Args:
        folder: For the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._made: OrderedDict[str, Future[SentImage]] = OrderedDict()
        self._full: dict[Path, Future[None]] = {}
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
        """A file of a CT that was prepared; waits until it is whole.

        Raises:
            InputError: If there is none of that name.
        """
        with self._lock:
            made = self._made.get(key)
        found = made.result() if made is not None else None
        step = next((step for step in found.steps if step.name == name), None) if found is not None else None
        if step is None:
            raise InputError("Expected an image that was prepared, found none: load the case again.")
        waiting = self._full.get(step.path)
        if waiting is not None:
            waiting.result()
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

    def _make(self, key: str, source: Path, series: str) -> SentImage:
        volume, notes = _in_hu(read_case_ct(source, series))
        box = _body(volume.array) if volume.array.size > LARGE_VOXELS else whole_box(volume.shape)
        part = cropped(volume, box)
        part = part.with_array(np.clip(np.rint(part.array), -32768, 32767).astype(np.int16))
        folder = self._folder / key
        steps = []
        every = int(np.ceil((part.array.size / COARSE_VOXELS) ** (1 / 3)))
        if part.array.size > LARGE_VOXELS and every > 1:
            coarse = Step("coarse", every, folder / "coarse.nii.gz")
            thinned = np.ascontiguousarray(part.array[::every, ::every, ::every])
            _write(Volume.create(thinned, part.spacing * every, part.origin, part.direction), coarse.path)
            steps.append(coarse)
        full = Step("full", 1, folder / "full.nii.gz")
        if steps:
            self._full[full.path] = self._pool.submit(_write, part, full.path)
        else:
            _write(part, full.path)
        grid = volume.with_array(np.broadcast_to(np.uint8(0), volume.shape))
        return SentImage(key, grid, box, (*steps, full), notes)


def _key_of(source: Path, series: str) -> str:
    """The same as long as the CT's files are the same."""
    state = file_state(source)
    return hashlib.sha256(f"{source}|{series}|{state}".encode(errors="surrogateescape")).hexdigest()[:24]


def _in_hu(volume: Volume) -> tuple[Volume, tuple[str, ...]]:
    try:
        return as_hounsfield(volume, "The CT"), ()
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
    plain = path.with_name(f"{path.name}.plain.nii")
    write_volume(volume, plain)
    with plain.open("r+b") as file:
        file.seek(WINDOW_AT)
        file.write(struct.pack("<ff", *SOFT_TISSUE))
    unfinished = path.with_name(f"{path.name}.part")
    with plain.open("rb") as source, gzip.open(unfinished, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 2**20)
    plain.unlink()
    unfinished.replace(path)
