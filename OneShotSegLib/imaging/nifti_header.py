"""The grid and the scale of values that a NIfTI header gives."""

from __future__ import annotations

import gzip
import math
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.grids import Vector, check_grid, split_steps
from OneShotSegLib.imaging.headers import HeaderGrid, checked

LENGTH = 544
FIRST_VOXEL = {b"n+1": 352, b"n+2": 544}
"""Where the voxels start at the earliest, bytes, by the version's mark."""
RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
LEAST_SLOPE = 1e-12
UNITS = {1: (1000.0, "metres"), 3: (1e-3, "micrometres")}
SPACING_TOLERANCE = 1e-2
"""Relative."""
DIRECTION_TOLERANCE = 2e-3
"""A quaternion in single precision near half a turn is this much off."""
POSITION_TOLERANCE = 0.1
"""Of the smallest side of a voxel."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NiftiHeader:
    """Fields of a NIfTI-1 or NIfTI-2 header.

    Attributes:
        order: '<' or '>'.
        magic: Four bytes that tell the version and where the voxels are.
        dimensions: Number of axes, and the size along each of seven.
        datatype: Code of the voxels' type.
        bits: Bits per voxel.
        offset: Where the voxels start, bytes.
        pixdim: Sign of the third axis of the quaternion, then the steps along the axes.
        scale: Slope and intercept of the values.
        units: Code of the units of space (and time).
        codes: Codes of the quaternion and of the matrix.
        quaternion: Its b, c and d, then the position of the first voxel.
        matrix: Rows of the affine matrix, shape (3, 4).
    """

    order: str
    magic: bytes
    dimensions: tuple[int, ...]
    datatype: int
    bits: int
    offset: int
    pixdim: Vector
    scale: tuple[float, float]
    units: int
    codes: tuple[int, int]
    quaternion: Vector
    matrix: Vector


def parse_nifti_header(header: bytes) -> NiftiHeader:
    """The fields of a header.

    Args:
        header: The file's first 544 bytes.

    Raises:
        struct.error: If this is no NIfTI header.
    """
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", header)
        if size == 348:
            return _parse_first(header, order)
        if size == 540:
            return _parse_second(header, order)
    raise struct.error("no NIfTI header")


def _parse_first(header: bytes, order: str) -> NiftiHeader:
    def read(form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, header, at)

    return NiftiHeader(
        order=order,
        magic=header[344:348],
        dimensions=read("8h", 40),
        datatype=read("h", 70)[0],
        bits=read("h", 72)[0],
        offset=_whole(read("f", 108)[0]),
        pixdim=np.array(read("8f", 76), dtype=np.float64),
        scale=read("2f", 112),
        units=header[123] & 7,
        codes=read("2h", 252),
        quaternion=np.array(read("6f", 256), dtype=np.float64),
        matrix=np.array(read("12f", 280), dtype=np.float64).reshape(3, 4),
    )


def _parse_second(header: bytes, order: str) -> NiftiHeader:
    def read(form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, header, at)

    return NiftiHeader(
        order=order,
        magic=header[4:8],
        dimensions=read("8q", 16),
        datatype=read("h", 12)[0],
        bits=read("h", 14)[0],
        offset=read("q", 168)[0],
        pixdim=np.array(read("8d", 104), dtype=np.float64),
        scale=read("2d", 176),
        units=read("i", 500)[0] & 7,
        codes=read("2i", 344),
        quaternion=np.array(read("6d", 352), dtype=np.float64),
        matrix=np.array(read("12d", 400), dtype=np.float64).reshape(3, 4),
    )


def _whole(value: float) -> int:
    if not math.isfinite(value):
        raise struct.error("an offset that is no number")
    return int(value)


def read_nifti_header(path: Path) -> NiftiHeader | None:
    """The header of a NIfTI file, compressed or not; None if it has none."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as stream:
            return parse_nifti_header(stream.read(LENGTH))
    except (OSError, EOFError, zlib.error, struct.error):
        return None


def nifti_grid(path: Path, header: NiftiHeader) -> HeaderGrid:
    """The grid that a header describes; the matrix (sform) goes before the quaternion (qform), which may not disagree.

    Raises:
        InputError: If the header lacks a part of the grid, contradicts itself, or the grid is not a regular one.
    """
    if header.magic[:3] not in (b"n+1", b"n+2"):
        raise InputError(
            f"{path}: expected a NIfTI file that says where it lies, found an older or damaged header (no n+1)."
        )
    least = FIRST_VOXEL[header.magic[:3]]
    if header.offset < least:
        raise InputError(
            f"{path}: expected voxels after the header (vox_offset {least} or more), found vox_offset {header.offset}."
        )
    steps = header.pixdim[1:4]
    if not (np.isfinite(steps) & (steps > 0)).all():
        found = " x ".join(f"{step:.4g}" for step in steps)
        raise InputError(f"{path}: expected steps over 0 from voxel to voxel (pixdim), found {found}.")
    by_quaternion, by_matrix = (code > 0 for code in header.codes)
    if not by_quaternion and not by_matrix:
        raise InputError(
            f"{path}: expected where the image lies in the patient (qform or sform), found neither: left and right "
            "cannot be told."
        )
    factor, unit = UNITS.get(header.units, (1.0, "mm"))
    grids = [_from_quaternion(path, header)] if by_quaternion else []
    if by_matrix:
        grids.append(_from_matrix(path, header))
    for grid in grids:
        check_grid(path, grid.spacing * factor, grid.origin * factor, grid.direction)
    _check_agreement(path, steps, grids)
    return checked(path, grids[-1].scaled(factor, unit))


def _from_quaternion(path: Path, header: NiftiHeader) -> HeaderGrid:
    b, c, d = header.quaternion[:3]
    if not np.isfinite(header.quaternion).all() or b * b + c * c + d * d > 1.01:
        raise InputError(f"{path}: expected a rotation in the header's quaternion (qform), found other numbers.")
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    length = math.sqrt(a * a + b * b + c * c + d * d)
    a, b, c, d = a / length, b / length, c / length, d / length
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    rotation[:, 2] *= -1 if header.pixdim[0] < 0 else 1
    return HeaderGrid(header.pixdim[1:4], header.quaternion[3:] * RAS_TO_LPS, rotation * RAS_TO_LPS[:, None])


def _from_matrix(path: Path, header: NiftiHeader) -> HeaderGrid:
    if not np.isfinite(header.matrix).all():
        raise InputError(f"{path}: expected numbers in the header's matrix (sform), found some that are none.")
    spacing, direction = split_steps(header.matrix[:, :3] * RAS_TO_LPS[:, None])
    return HeaderGrid(spacing, header.matrix[:, 3] * RAS_TO_LPS, direction)


def _check_agreement(path: Path, steps: Vector, grids: list[HeaderGrid]) -> None:
    """The steps, the quaternion and the matrix are of one grid; which of them is right cannot be told."""
    last = grids[-1]
    if not np.allclose(last.spacing, steps, rtol=SPACING_TOLERANCE, atol=0):
        one, other = (" x ".join(f"{s:.4g}" for s in spacing) for spacing in (steps, last.spacing))
        raise InputError(f"{path}: expected one voxel size, found {one} (pixdim) and {other} (sform).")
    if len(grids) < 2:
        return
    first = grids[0]
    turned = float(np.abs(first.direction - last.direction).max())
    moved = float(np.linalg.norm(first.origin - last.origin))
    if turned > DIRECTION_TOLERANCE:
        raise InputError(f"{path}: expected one orientation, found two that differ (qform and sform).")
    if moved > POSITION_TOLERANCE * float(last.spacing.min()):
        raise InputError(f"{path}: expected one position, found two that are {moved:.3g} apart (qform and sform).")


def check_scale(path: Path, header: NiftiHeader) -> None:
    """Refuse a scale of values that is infinite or next to nothing (NaN means none, as a slope of 0 does).

    Raises:
        InputError: If it is.
    """
    if any(math.isinf(value) for value in header.scale):
        raise InputError(f"{path}: expected a slope and an intercept of the values in numbers, found an infinite one.")
    if 0 < abs(header.scale[0]) < LEAST_SLOPE:  # ITK's reader takes it for none
        raise InputError(f"{path}: expected a slope of the values of a usual size, found {header.scale[0]:.2g}.")


def has_stray_intercept(header: NiftiHeader) -> bool:
    """Whether the header has an intercept without a slope: it does not count, but ITK's reader applies it."""
    slope, intercept = header.scale
    return (slope == 0 or math.isnan(slope)) and intercept != 0 and not math.isnan(intercept)


def copy_without_intercept(path: Path, header: NiftiHeader, copy: Path) -> None:
    """Write the file, without compression, with an intercept of 0."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if compressed else path.open("rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target)
        target.seek(116 if header.magic[:3] == b"n+1" else 184)
        target.write(struct.pack(header.order + ("f" if header.magic[:3] == b"n+1" else "d"), 0.0))
