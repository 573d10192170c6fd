"""The grid that a MetaImage header gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.headers import NO_POSITION, HeaderGrid, checked, numbers, unit_factor

LONGEST = 2**16
MATRIX = ("transformmatrix", "rotation", "orientation")
POSITION = ("offset", "position", "origin")


def read_meta_fields(path: Path) -> dict[str, str]:
    """The fields of a MetaImage header, their names in small letters, up to the one that starts the voxels."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for line in file.read(LONGEST).split(b"\n"):
            name, equals, text = line.decode("utf-8", "replace").partition("=")
            if not equals:
                continue
            fields.setdefault(name.strip().casefold(), text.strip())
            if name.strip().casefold() == "elementdatafile":
                break
    return fields


def meta_grid(path: Path) -> HeaderGrid:
    """The grid that a MetaImage header describes.

    Raises:
        InputError: If the header lacks a part of the grid or cannot be read, the grid is not a regular one, or the
            values have a scale, which ITK's reader passes over.
    """
    fields = read_meta_fields(path)
    _check_scale(path, fields)
    axes = max(3, int(fields["ndims"])) if fields.get("ndims", "").isdecimal() else 3
    if "elementspacing" not in fields:
        raise InputError(f"{path}: expected a voxel size (ElementSpacing), found none in the header.")
    spacing = numbers(path, "ElementSpacing", fields["elementspacing"], axes)[:3]
    matrix = _one_of(path, fields, MATRIX)
    if matrix is None:
        raise InputError(
            f"{path}: expected the directions of the axes (TransformMatrix), found none in the header: left and right "
            "cannot be told."
        )
    rows = numbers(path, "TransformMatrix", matrix, axes * axes).reshape(axes, axes)
    direction = rows[:3, :3].T
    origin, notes = np.zeros(3), NO_POSITION
    position = _one_of(path, fields, POSITION)
    if position is not None:
        origin, notes = numbers(path, "Offset", position, axes)[:3], ()
    unit = fields.get("distanceunits", "").strip()
    factor = unit_factor(path, unit) if unit and unit != "?" else 1.0
    return checked(path, HeaderGrid(spacing, origin, direction, notes).scaled(factor, unit))


def _one_of(path: Path, fields: dict[str, str], names: tuple[str, ...]) -> str | None:
    """What one of several names of one thing says; None if none is there.

    Raises:
        InputError: If two of them say different things.
    """
    found = {name: fields[name] for name in names if name in fields}
    values = [numbers(path, name, text) for name, text in found.items()]
    if any(value.shape != values[0].shape or not np.allclose(value, values[0]) for value in values[1:]):
        raise InputError(f"{path}: expected one of {' and '.join(found)} in the header, found two that differ.")
    return next(iter(found.values()), None)


def _check_scale(path: Path, fields: dict[str, str]) -> None:
    for name, none in (("ElementToIntensityFunctionSlope", 1), ("ElementToIntensityFunctionOffset", 0)):
        text = fields.get(name.casefold())
        if text is not None and numbers(path, name, text, 1)[0] != none:
            raise InputError(f"{path}: expected values without a scale, found {name} = {text[:20]}.")
