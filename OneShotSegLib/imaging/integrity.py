"""Whether an image file holds all the voxels that its header promises, which not every reader checks.

The NIfTI reader gives zeros or noise for what a truncated file lacks; its writer and that of NRRD raise nothing on a
full disk, and neither does the MetaImage reader for damaged compressed voxels.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

CHUNK = 2**20
GREATEST_COMPRESSION = 1032  # of deflate, by its definition
AXES = re.compile(rb"^\s*NDims\s*=[ \t]*([^\s]*)[ \t]*\r?$", re.MULTILINE)
DETACHED = re.compile(rb"^\s*(data ?file\s*:|ElementDataFile\s*=\s*(?!LOCAL))", re.IGNORECASE | re.MULTILINE)


def is_whole_nifti(path: Path) -> bool:
    """Whether a NIfTI file, compressed or not, has all its voxels and, compressed, no damage."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as stream:
            return _has_voxels(stream)
    except (OSError, EOFError, zlib.error, struct.error):
        return False


def _has_voxels(stream: BinaryIO | gzip.GzipFile) -> bool:
    header = stream.read(544)
    left = _bytes_needed(header) - len(header)
    while chunk := stream.read(CHUNK):
        left -= len(chunk)
        if left < -CHUNK:  # padding without end
            break
    return left <= 0


def _bytes_needed(header: bytes) -> int:
    """Header, extensions and voxels of a NIfTI-1 or NIfTI-2 file in bytes."""
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", header)
        if size == 348:
            dimensions = struct.unpack_from(f"{order}8h", header, 40)
            (bits,) = struct.unpack_from(f"{order}h", header, 72)
            offset = int(struct.unpack_from(f"{order}f", header, 108)[0])
            break
        if size == 540:
            dimensions = struct.unpack_from(f"{order}8q", header, 16)
            (bits,) = struct.unpack_from(f"{order}h", header, 14)
            (offset,) = struct.unpack_from(f"{order}q", header, 168)
            break
    else:
        raise struct.error("no NIfTI header")
    voxels = 1
    for extent in dimensions[1 : 1 + max(0, min(dimensions[0], 7))]:
        voxels *= max(extent, 1)
    found: int = max(offset, 0) + voxels * bits // 8
    return found


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
