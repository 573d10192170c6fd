"""Python objects with large arrays as files, between the panel and its child process.

Slicer's main thread must not be blocked, so a file is written in pieces; arrays are neither copied nor compressed.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PIECE_BYTES = 1 << 25
PROTOCOL = 5


class _Pickler(pickle.Pickler):
    """Keeps an array that repeats one value (a grid without voxels) as that value."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, np.ndarray) and thing.size > 1 and not any(thing.strides):
            return np.broadcast_to, (thing.flat[0], thing.shape)
        return NotImplemented


def pieces(thing: Any) -> Iterator[bytes | memoryview]:
    """An object as bytes, in pieces that are each written in a few hundredths of a second."""
    arrays: list[pickle.PickleBuffer] = []
    head = io.BytesIO()
    _Pickler(head, PROTOCOL, buffer_callback=arrays.append).dump(thing)
    views = [memoryview(head.getvalue()), *(array.raw() for array in arrays)]
    yield b"".join(len(view).to_bytes(8, "little") for view in [views, *views])
    for view in views:
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start : start + PIECE_BYTES]


def write(thing: Any, path: Path) -> None:
    """Write an object."""
    with path.open("wb") as file:
        for piece in pieces(thing):
            file.write(piece)


def read(path: Path) -> Any:
    """Read an object that this program wrote; the arrays can be changed."""
    with path.open("rb") as file:
        count = int.from_bytes(file.read(8), "little")
        sizes = [int.from_bytes(file.read(8), "little") for _view in range(count)]
        head = file.read(sizes[0])
        arrays = [bytearray(size) for size in sizes[1:]]
        for array in arrays:
            file.readinto(array)
    return pickle.loads(head, buffers=arrays)
