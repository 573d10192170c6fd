"""The files that hold the voxels of a detached NRRD or MetaImage header (.nhdr, .mhd)."""

from __future__ import annotations

import re
from pathlib import Path

HEADERS = (".nhdr", ".mhd")
LONGEST = 2**20
FIELD = re.compile(rb"^\s*(?:data ?file\s*:|ElementDataFile\s*=)[ \t]*(\S[^\r\n]*?)\s*$", re.IGNORECASE | re.MULTILINE)
PATTERN = re.compile(r"(.*%0?\d*d.*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?")
NUMBER = re.compile(r"%(0?)(\d*)d")
MOST_FILES = 100_000


def voxel_files(header: Path) -> tuple[Path, ...]:
    """The files that a detached header names, whether they are there or not; () for a header without such.

    Args:
        header: A file that ends in .nhdr or .mhd.
    """
    if header.suffix.lower() not in HEADERS:
        return ()
    try:
        with header.open("rb") as file:
            content = file.read(LONGEST)
    except OSError:
        return ()
    field = FIELD.search(content)
    if field is None:
        return ()
    named = _text(field[1])
    if named.upper() == "LOCAL":
        return ()
    return tuple(header.parent / name for name in _names(named, content[field.end() :]))


def _names(named: str, rest: bytes) -> list[str]:
    if named.split()[0].upper() == "LIST":
        return [_text(line) for line in rest.splitlines() if line.strip()]
    pattern = PATTERN.fullmatch(named)
    if pattern is None:
        return [named]
    first, last, step = (int(pattern[number]) for number in (2, 3, 4))
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    return [NUMBER.sub(lambda found: _number(found, n), pattern[1], count=1) for n in numbers[:MOST_FILES]]


def _number(found: re.Match[str], number: int) -> str:
    width = int(found[2] or 0)
    return f"{number:0{width}d}" if found[1] else f"{number:{width}d}"


def _text(line: bytes) -> str:
    # A path of Windows: its folders are found here as well.
    return line.strip().decode("utf-8", "surrogateescape").replace("\\", "/")
