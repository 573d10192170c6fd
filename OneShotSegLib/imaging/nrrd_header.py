"""The grid that an NRRD header gives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.grids import split_steps
from OneShotSegLib.imaging.headers import NO_POSITION, HeaderGrid, checked, numbers, refuse_field, unit_factor

LONGEST = 2**24
TO_LPS = {
    "rightanteriorsuperior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "leftanteriorsuperior": (1, -1, 1),
    "las": (1, -1, 1),
    "leftposteriorsuperior": (1, 1, 1),
    "lps": (1, 1, 1),
}
TEXT_ENCODINGS = ("ascii", "text", "txt", "hex")
ENCODINGS = ("raw", "gzip", "gz", *TEXT_ENCODINGS)
ONE_BYTE = ("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t")
VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)
QUOTED = re.compile(r'"([^"]*)"')


def read_nrrd_fields(path: Path) -> dict[str, str]:
    """The fields of an NRRD header, their names without spaces and in small letters."""
    fields: dict[str, str] = {}
    left = LONGEST
    with path.open("rb") as file:
        while left > 0 and (line := file.readline(left)).strip():
            left -= len(line)
            name, colon, text = line.decode("utf-8", "replace").partition(":")
            if colon and not text.startswith("=") and not line.startswith(b"#"):
                fields.setdefault(name.strip().casefold().replace(" ", ""), text.strip())
    return fields


def nrrd_grid(path: Path) -> HeaderGrid:
    """The grid that an NRRD header describes.

    Raises:
        InputError: If the header lacks a part of the grid or cannot be read, or the grid is not a regular one.
    """
    fields = read_nrrd_fields(path)
    if "spacedirections" not in fields:
        lacking = "a voxel size and no directions" if "spacings" in fields else "no voxel size"
        raise InputError(f"{path}: expected a grid in the patient (space directions), found {lacking} in the header.")
    flips = np.array(_flips(path, fields))
    steps = _directions(path, fields["spacedirections"]) * flips[:, None]
    spacing, direction = split_steps(steps)
    origin, notes = np.zeros(3), NO_POSITION
    if "spaceorigin" in fields:
        origin, notes = _vector(path, "space origin", fields["spaceorigin"].strip("() \t")) * flips, ()
    grid = HeaderGrid(spacing, origin, direction, notes)
    return checked(path, grid.scaled(*_unit(path, fields.get("spaceunits", ""))))


def unread_encoding(path: Path) -> str:
    """Why the reader does not read an NRRD file that is well; '' if nothing is known."""
    with path.open("rb") as file:
        if file.read(4) != b"NRRD":
            return ""
    fields = read_nrrd_fields(path)
    encoding = fields.get("encoding", "raw").casefold()
    if encoding not in ENCODINGS:
        return f"one in an encoding that is not read ({encoding[:20]}; raw, gzip, ascii and hex are)"
    if encoding not in TEXT_ENCODINGS and "endian" not in fields and fields.get("type", "") not in ONE_BYTE:
        return "one that does not say in which order its bytes are (endian)"
    return ""


def _flips(path: Path, fields: dict[str, str]) -> tuple[int, ...]:
    space = fields.get("space", "")
    name = re.sub(r"[\s_-]", "", space).casefold()
    if not name:
        raise InputError(f"{path}: expected directions in the patient (space: LPS, RAS or LAS), found no space.")
    if name not in TO_LPS:
        raise InputError(
            f"{path}: expected directions in the patient (space: LPS, RAS or LAS), found the space {space[:40]!r}."
        )
    return TO_LPS[name]


def _directions(path: Path, text: str) -> np.ndarray:
    """Steps along the three axes in space as columns."""
    found = [match.group(1) for match in VECTOR.finditer(text)]
    vectors = [vector for vector in found if vector is not None]
    if VECTOR.sub("", text).strip() or len(vectors) != 3:
        refuse_field(path, "space directions", text)
    return np.array([_vector(path, "space directions", vector) for vector in vectors]).T


def _vector(path: Path, what: str, text: str) -> np.ndarray:
    return numbers(path, what, text.replace(",", " "), 3)


def _unit(path: Path, text: str) -> tuple[float, str]:
    units = [unit for unit in QUOTED.findall(text) if unit.strip()] or [
        part for part in text.split() if '"' not in part
    ]
    if not units:
        return 1.0, "mm"
    if len(set(units)) > 1:
        raise InputError(f"{path}: expected one unit for all axes, found {', '.join(sorted(set(units)))[:40]}.")
    return unit_factor(path, units[0]), units[0]
