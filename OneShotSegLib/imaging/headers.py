"""What the header of a NIfTI, NRRD or MetaImage file says of its grid, read without an imaging library.

ITK's readers fill in what a header lacks (1 mm, no rotation) and choose between entries that disagree, without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.grids import Vector, check_grid

UNITS_MM = {
    "mm": 1.0,
    "millimeter": 1.0,
    "millimeters": 1.0,
    "millimetre": 1.0,
    "millimetres": 1.0,
    "cm": 10.0,
    "centimeter": 10.0,
    "centimeters": 10.0,
    "m": 1000.0,
    "meter": 1000.0,
    "meters": 1000.0,
    "metre": 1000.0,
    "metres": 1000.0,
    "um": 1e-3,
    "\u00b5m": 1e-3,
    "\u03bcm": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "micrometer": 1e-3,
    "micrometers": 1e-3,
    "micrometre": 1e-3,
    "micrometres": 1e-3,
}
MADE_UP = "its voxels of 1 mm at 0, 0, 0 are what programs write that know no grid: they were taken as such"
SAME = 1e-5
NO_POSITION: tuple[str, ...] = ("the header has no position of the image: taken as 0, 0, 0",)


@dataclass(frozen=True, eq=False)
class HeaderGrid:
    """A grid as the file's header has it, in the order of the file's axes; positions in LPS mm x, y, z.

    Attributes:
        spacing: Voxel size in mm, shape (3,).
        origin: Position of the first voxel, shape (3,).
        direction: 3x3 matrix; column ``k`` is the unit vector along which axis ``k`` of the file runs.
        notes: What was mended, each the end of a sentence.
    """

    spacing: Vector
    origin: Vector
    direction: Vector
    notes: tuple[str, ...] = ()

    def scaled(self, factor: float, unit: str) -> HeaderGrid:
        """The grid in mm, where the file has it in another unit."""
        if factor == 1:
            return self
        note = f"sizes and positions are in {unit}: converted to mm"
        return HeaderGrid(self.spacing * factor, self.origin * factor, self.direction, (*self.notes, note))

    @property
    def is_made_up(self) -> bool:
        """Whether it is the grid of an array without any: voxels of 1 mm at 0, 0, 0, along the axes."""
        return bool(
            np.array_equal(self.spacing, np.ones(3))
            and not self.origin.any()
            and np.array_equal(np.abs(self.direction), np.eye(3))
        )

    def agrees_with(self, spacing: Vector, origin: Vector, direction: Vector) -> bool:
        """Whether a reader found the same grid, but for rounding errors."""
        return bool(
            np.allclose(spacing, self.spacing, rtol=SAME, atol=0)
            and np.allclose(origin, self.origin, rtol=SAME, atol=SAME * float(self.spacing.min()))
            and np.allclose(direction, self.direction, atol=SAME)
        )


def checked(path: Path, grid: HeaderGrid) -> HeaderGrid:
    """The grid itself, if it is a regular one.

    Raises:
        InputError: If it is not.
    """
    check_grid(path, grid.spacing, grid.origin, grid.direction)
    return grid


def unit_factor(path: Path, unit: str) -> float:
    """Millimetres in a unit of length.

    Raises:
        InputError: If the unit is not known.
    """
    name = unit.strip().strip('"').strip().casefold()
    if name not in UNITS_MM:
        raise InputError(f"{path}: expected sizes in mm, cm, m or micrometres, found the unit {unit.strip()[:20]!r}.")
    return UNITS_MM[name]


def numbers(path: Path, what: str, text: str, count: int | None = None) -> Vector:
    """Numbers from a header's text.

    Raises:
        InputError: If they are no numbers or not so many.
    """
    try:
        values = np.array([float(part) for part in text.split()])
    except ValueError:
        refuse_field(path, what, text)
    if not len(values) or (count is not None and len(values) != count):
        refuse_field(path, what, text)
    return values


def refuse_field(path: Path, what: str, text: str) -> NoReturn:
    """Raise that a field of the header cannot be read."""
    found = " ".join(text.split())[:40]
    raise InputError(f"{path}: expected numbers in the header's field {what!r}, found {found!r}.")
