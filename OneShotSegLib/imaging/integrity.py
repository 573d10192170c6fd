"""Whether an image file holds all the voxels that its header promises, and all of them numbers.

The NIfTI reader gives zeros or noise for what a truncated file lacks; its writer and that of NRRD raise nothing on a
full disk, and neither does the MetaImage reader for damaged compressed voxels. And the NIfTI reader makes 0 of what is
no number (NaN or infinite), before anybody can see it.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.nifti_header import LENGTH, NiftiHeader, parse_nifti_header

SIZES = tuple(struct.pack(f"{order}i", size) for order in "<>" for size in (348, 540))
"""What a NIfTI file begins with."""
CHUNK = 2**20
FLOATS = {16: "f4", 64: "f8", 32: "c8", 1792: "c16"}
"""NIfTI's codes of the types that have NaN; ITK reads no other."""
GREATEST_COMPRESSION = 1032  # of deflate, by its definition
AXES = re.compile(rb"^\s*NDims\s*=[ \t]*([^\s]*)[ \t]*\r?$", re.MULTILINE)
DETACHED = re.compile(rb"^\s*(data ?file\s*:|ElementDataFile\s*=\s*(?!LOCAL))", re.IGNORECASE | re.MULTILINE)


def is_whole_nifti(path: Path) -> bool:
    """Whether a NIfTI file, compressed or not, has all its voxels and, compressed, no damage."""
    return inspect_nifti(path) is not None


def inspect_nifti(path: Path) -> bool | None:
    """Read a NIfTI file to its end.

    Returns:
        None for a truncated or damaged file; else whether all its voxels are finite numbers.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as stream:
            return _inspect_voxels(stream)
    except (OSError, EOFError, zlib.error, struct.error):
        return None


def _inspect_voxels(stream: BinaryIO | gzip.GzipFile) -> bool | None:
    start = stream.read(LENGTH)
    header = parse_nifti_header(start)
    size = _bytes_of_voxels(header)
    left = max(header.offset, 0) + size - len(start)
    check = _FiniteCheck(FLOATS.get(header.datatype, ""), header.order, size)
    check.take(start[max(header.offset, 0) :])
    skip = max(header.offset - len(start), 0)
    while chunk := stream.read(CHUNK):
        left -= len(chunk)
        check.take(chunk[skip:])
        skip = max(skip - len(chunk), 0)
        if left < -CHUNK:  # padding without end
            break
    return None if left > 0 else check.finite


def _bytes_of_voxels(header: NiftiHeader) -> int:
    voxels = 1
    for extent in header.dimensions[1 : 1 + max(0, min(header.dimensions[0], 7))]:
        voxels *= max(extent, 1)
    return voxels * header.bits // 8


class _FiniteCheck:
    """Whether a stream of bytes, taken piece by piece, holds finite numbers only.

    Args:
        kind: The numbers' type as NumPy calls it, '' for a type that has nothing but finite numbers.
        order: Their byte order, '<' or '>'.
        size: Where they end, bytes.
    """

    def __init__(self, kind: str, order: str, size: int) -> None:
        self.kind = np.dtype(order + kind) if kind else None
        self.left = size
        self.rest = b""
        self.finite = True

    def take(self, data: bytes) -> None:
        if self.kind is None or not self.finite:
            return
        data, self.left = self.rest + data[: self.left], self.left - min(len(data), self.left)
        whole = len(data) - len(data) % self.kind.itemsize
        self.rest = data[whole:]
        self.finite = bool(np.isfinite(np.frombuffer(data[:whole], dtype=self.kind)).all())


def all_finite(array: NDArray[Any]) -> bool:
    """Whether an array holds finite numbers only; taken slice by slice, to need no second array of its size."""
    return array.dtype.kind not in "fc" or all(bool(np.isfinite(plane).all()) for plane in array)


def is_whole_nrrd(path: Path) -> bool:
    """Whether an NRRD file that we wrote, and so compressed, has voxels and no damage."""
    try:
        with path.open("rb") as file:
            while file.readline(CHUNK).strip():
                pass
            with gzip.open(file) as stream:
                found = 0
                while chunk := stream.read(CHUNK):
                    found += len(chunk)
        return found > 0
    except (OSError, EOFError, zlib.error):
        return False


def has_header(path: Path) -> bool:
    """Whether a file begins as a NIfTI, NRRD or MetaImage file does, or at least one that is compressed."""
    with path.open("rb") as file:
        start = file.read(2**16)
    return start[:2] == b"\x1f\x8b" or start[:4] in (*SIZES, b"NRRD") or b"NDims" in start


def has_readable_axes(path: Path) -> bool:
    """Whether a MetaImage header has 2 to 4 axes; the reader crashes with some other numbers."""
    with path.open("rb") as file:
        found = AXES.search(file.read(2**16))
    return found is not None and found[1] in (b"2", b"3", b"4")


def is_whole_meta_image(path: Path) -> bool:
    """Whether the voxels of a MetaImage file, if they are compressed and in the file itself, are without damage."""
    with path.open("rb") as file:
        start = file.read(2**16)
        local = re.search(rb"^ElementDataFile\s*=\s*LOCAL\r?\n", start, re.MULTILINE)
        if local is None or not re.search(rb"^CompressedData\s*=\s*True", start[: local.end()], re.MULTILINE):
            return True
        file.seek(local.end())
        stream = zlib.decompressobj()
        try:
            while not stream.eof and (chunk := file.read(CHUNK)):
                _drain(stream, chunk)
        except zlib.error:
            return False
    return stream.eof


def _drain(stream: zlib._Decompress, chunk: bytes) -> None:
    """Decompress a chunk piece by piece, so that no chunk expands to gigabytes at once."""
    while chunk and not stream.eof:
        stream.decompress(chunk, 4 * CHUNK)
        chunk = stream.unconsumed_tail


def can_hold(path: Path, voxels: int) -> bool:
    """Whether a file is large enough for so many voxels; always true for a header whose voxels are in another file."""
    with path.open("rb") as file:
        start = file.read(2**16)
    return bool(DETACHED.search(start)) or voxels <= GREATEST_COMPRESSION * path.stat().st_size
