"""Slices put in order, and what keeps them from being one stack: each fault ends in a sentence that says it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.headers import short
from OneShotSegLib.imaging.dicom.pixels import PixelReader
from OneShotSegLib.imaging.dicom.search import CT_CLASSES, is_localizer
from OneShotSegLib.imaging.dicom.slices import Slice
from OneShotSegLib.imaging.grids import Vector, check_grid

SAME_DIRECTION = 1e-3
SAME_PIXEL = 1e-3
"""Relative."""
SAME_POSITION_MM = 0.01
SAME_POSITION = 0.1
"""Of the usual gap: nearer slices are taken to be at one position."""
EVEN_MM = 0.1
EVEN = 0.2
"""Of the gap: in files, positions are rounded numbers."""
GREATEST_GAP = 2.5
"""Of the median gap."""
GREATEST_GAP_MM = 10.0
GREATEST_TILT = 45.0
GREATEST_JUMP_MM = 2.0
FEW_VIEWS = 3
"""Slices of another view that may lie among those of a scan, as localizers do."""
ACROSS = math.cos(math.radians(45))
MOST_PASSES = 5
UNITS_OF_CT = ("HU", "US", "HU_MOD")
"""Hounsfield units, unspecified, and those of a scan with several energies."""
OTHER_UNITS = {
    "OD": "optical density",
    "MGML": "mg/ml",
    "Z_EFF": "effective atomic number",
    "ED": "electron density",
    "EDW": "electron density relative to water",
    "PCT": "percent",
}
"""DICOM's defined terms for other values than HU."""
WORD = re.compile(r"[^A-Z0-9]+")
MAP_WORDS = frozenset(("IODINE", "PERFUSION", "CBF", "CBV", "MTT", "TTP", "TMAX", "ZEFF", "EFFZ", "RHO"))
"""Of image types: maps of what was computed from a CT."""
PROJECTION_WORDS = frozenset(("MIP", "MINIP", "PROJECTION"))
ABSENT_IN_ONE_PASS = ("ContrastBolusAgent",)
"""What one of two passes has and the other has not; other elements may be lost in a few slices of one pass."""
LEAST_PER_PASS = 4
UNLIKE_GAPS = 0.8
"""Least over greatest gap: evenly spaced sets between one another have gaps of 1 over the sets at best."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stack:
    """Slices of one orientation and size in the order of their positions; all in DICOM's LPS mm, x, y, z.

    Attributes:
        slices: One per position.
        row: Direction along a row, in which the column index rises.
        column: Direction along a column, in which the row index rises.
        normal: Direction in which the slices are sorted.
        along: Position of each slice along the normal, mm, shape (N,).
        shifts: How far each slice lies sideways of the first, along row and column, mm, shape (N, 2).
        is_even: Whether the slices lie at equal distances.
        is_straight: Whether the slices lie straight upon one another.
        notes: What was left out, mended or is out of the ordinary, each the end of a sentence.
    """

    slices: tuple[Slice, ...]
    row: Vector
    column: Vector
    normal: Vector
    along: Vector
    shifts: Vector
    is_even: bool
    is_straight: bool
    notes: tuple[str, ...]

    @property
    def is_regular(self) -> bool:
        """Whether the slices are a regular grid as they are."""
        return self.is_even and self.is_straight

    @property
    def pixel(self) -> tuple[float, float]:
        """Distance between rows, and between columns, mm."""
        pixel = self.slices[0].pixel
        assert pixel is not None
        return pixel[0], pixel[1]

    @property
    def size(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        size = self.slices[0].size
        assert size is not None
        return size

    @property
    def is_rescaled(self) -> bool:
        """Whether the headers say how stored values become HU."""
        return self.slices[0].intercept is not None


def stack_slices(slices: Sequence[Slice], name: object) -> Stack:
    """Sort the slices of a series and check that they make one stack.

    Localizers among them, and a slice that is there twice, are left out. What cannot be told apart for sure, or would
    not be one volume, is refused.

    Args:
        slices: The slices in any order.
        name: What sentences begin with.

    Raises:
        InputError: With what is wrong, if they do not make one stack.
    """

    def refuse(fault: str) -> InputError:
        return InputError(f"{name}: {fault}.")

    notes: list[str] = []
    _check_one_patient(slices, refuse)
    kept = _without_other_views(_without_other_images(slices, notes), notes)
    _check_geometry(kept, refuse)
    kept = _without_crossing(kept, notes)
    _check_alike(kept, refuse)
    _check_rescale(kept, refuse, notes)
    _check_values(kept, refuse, notes)
    row, column, normal = _axes(kept[0])
    kept = sorted(
        kept,
        key=lambda one: (float(np.dot(_position(one), normal)), one.counters.get("InstanceNumber", 0), str(one.file)),
    )
    kept = _without_doubles(kept, normal, name, notes)
    if len(kept) < 2:
        raise refuse("expected a DICOM series of several slices, found one slice")
    _check_one_pass(kept, normal, refuse)
    return _stack(kept, (row, column, normal), name, notes)


def _position(one: Slice) -> Vector:
    return np.asarray(one.position, dtype=np.float64)


def _axes(one: Slice) -> tuple[Vector, Vector, Vector]:
    """Row, column and normal of a slice as unit vectors at exact right angles."""
    numbers = np.asarray(one.orientation, dtype=np.float64)
    row = numbers[:3] / np.linalg.norm(numbers[:3])
    column = numbers[3:] - row * float(row @ numbers[3:])
    column /= np.linalg.norm(column)
    return row, column, np.cross(row, column)


def _check_one_patient(slices: Sequence[Slice], refuse: Callable[[str], InputError]) -> None:
    patients = {one.patient_id for one in slices} - {""}
    if len(patients) > 1:
        raise refuse(f"expected the slices of one patient, found those of {len(patients)} (PatientID)")


def _without_other_images(slices: Sequence[Slice], notes: list[str]) -> list[Slice]:
    """Without what is no slice at all: captured screens and other images that have no place in the patient."""
    placed = [one for one in slices if one.position is not None and one.orientation is not None]
    others = [one for one in slices if one.position is None and one.orientation is None]
    stray = [one for one in others if one.sop_class not in CT_CLASSES]
    if not stray or len(placed) < 2 or placed[0].sop_class == stray[0].sop_class:
        return list(slices)
    notes.append(f"left out {_count(stray, 'image')} that {_is(stray)} no slice ({_files(stray)})")
    return [one for one in slices if one not in stray]


def _without_other_views(slices: list[Slice], notes: list[str]) -> list[Slice]:
    """Without those that say that they are localizers, unless all do."""
    localizers = [one for one in slices if is_localizer(one.image_type)]
    if not localizers or len(localizers) == len(slices):
        return slices
    notes.append(f"left out {_count(localizers, 'localizer')} among the slices ({_files(localizers)})")
    return [one for one in slices if one not in localizers]


def _check_geometry(slices: Sequence[Slice], refuse: Callable[[str], InputError]) -> None:
    wanted = (
        ("the position of each slice (ImagePositionPatient)", "position"),
        ("the orientation of each slice (ImageOrientationPatient)", "orientation"),
        ("the distances between the pixels of each slice (PixelSpacing)", "pixel"),
        ("the number of rows and columns of each slice", "size"),
    )
    for what, attribute in wanted:
        lacking = [one for one in slices if getattr(one, attribute) is None]
        if lacking:
            raise refuse(f"expected {what}, found none in {len(lacking)} of {len(slices)}")
    for one in slices:
        numbers = np.asarray(one.orientation).reshape(2, 3)
        if not np.allclose(numbers @ numbers.T, np.eye(2), atol=SAME_DIRECTION):
            raise refuse(f"{one.file.name}: expected rows and columns at right angles, found other directions")


def _without_crossing(slices: list[Slice], notes: list[str]) -> list[Slice]:
    """Without a few slices that cut across the others, as localizers do that do not say what they are."""
    normals = np.array([_axes(one)[2] for one in slices])
    across = np.abs(normals @ normals[_most_common(normals)]) < ACROSS
    crossing = [one for one, other in zip(slices, across, strict=True) if other]
    if not 0 < len(crossing) <= min(FEW_VIEWS, len(slices) // 4):
        return slices
    notes.append(f"left out {_count(crossing, 'slice')} that cut{_s(crossing)} across the others ({_files(crossing)})")
    return [one for one, other in zip(slices, across, strict=True) if not other]


def _most_common(rows: NDArray[Any]) -> int:
    """Index of one of the rows that most others are equal to."""
    keys = [tuple(row) for row in np.round(rows, 2)]
    return keys.index(Counter(keys).most_common(1)[0][0])


def _check_alike(slices: Sequence[Slice], refuse: Callable[[str], InputError]) -> None:
    frames = {one.frame_of_reference for one in slices} - {""}
    if len(frames) > 1:
        raise refuse(f"expected slices of one frame of reference, found {len(frames)}")
    usual = slices[_most_common(np.array([one.orientation for one in slices]))]
    angles = [_angle(one, usual) for one in slices]
    turned = [angle for angle in angles if angle > math.degrees(SAME_DIRECTION)]
    if turned:
        raise refuse(
            f"expected slices of one orientation, found {len(turned)} of {len(slices)} turned by up to "
            f"{max(turned):.3g} degrees"
        )
    sizes = Counter(one.size for one in slices)
    if len(sizes) > 1:
        found = " and ".join(f"{size[0]} x {size[1]}" for size, _count in sizes.most_common(3) if size)
        raise refuse(f"expected slices of one number of rows and columns, found {found}")
    pixels = np.array([one.pixel for one in slices])
    if (pixels <= 0).any():
        raise refuse("expected distances between pixels over 0 (PixelSpacing), found others")
    if not np.allclose(pixels, pixels[0], rtol=SAME_PIXEL, atol=0):
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        raise refuse(
            "expected one distance between pixels in all slices (PixelSpacing), found "
            f"{low[0]:.4g} x {low[1]:.4g} to {high[0]:.4g} x {high[1]:.4g} mm"
        )


def _angle(one: Slice, other: Slice) -> float:
    """The greater of the angles between the rows and between the columns of two slices, degrees."""
    first, second = (np.stack(_axes(each)[:2]) for each in (one, other))
    chord = np.linalg.norm(first - second, axis=1).max()
    return 2 * math.degrees(math.asin(min(float(chord) / 2, 1.0)))


def _check_rescale(slices: Sequence[Slice], refuse: Callable[[str], InputError], notes: list[str]) -> None:
    for keyword, values in (
        ("RescaleSlope", [one.slope for one in slices]),
        ("RescaleIntercept", [one.intercept for one in slices]),
    ):
        lacking = values.count(None)
        if 0 < lacking < len(values):
            raise refuse(f"expected {keyword} in all slices or in none, found none in {lacking} of {len(values)}")
        if keyword == "RescaleSlope" and 0 in values:
            raise refuse("expected a RescaleSlope other than 0, found 0")
    scales = {(one.slope, one.intercept) for one in slices}
    if len(scales) > 1:
        notes.append(f"slices have {len(scales)} different rescalings of their values: each was read by its own")


def _check_values(slices: Sequence[Slice], refuse: Callable[[str], InputError], notes: list[str]) -> None:
    """Refuse values that are no HU by what the headers say of them; what only may be none is noted."""
    tables = [one for one in slices if one.has_table]
    if tables:
        raise refuse(
            f"expected values with a slope and an intercept, found a table of values (ModalityLUTSequence) in "
            f"{len(tables)} of {len(slices)} slices"
        )
    units = Counter(one.unit for one in slices if one.unit and one.unit.upper() not in UNITS_OF_CT)
    for unit, count in units.most_common(1):
        if unit.upper() in OTHER_UNITS:
            raise refuse(
                f"expected a CT in HU, found values of another unit ({OTHER_UNITS[unit.upper()]}; RescaleType "
                f"{short(unit)}) in {count} of {len(slices)} slices"
            )
        notes.append(f"the header calls the unit of the values {short(unit)!r} (RescaleType): they were taken as HU")
    kinds = {part.upper() for one in slices for part in one.image_type}
    maps = sorted(kind for kind in kinds if MAP_WORDS.intersection(WORD.split(kind)))
    if maps:
        raise refuse(f"expected a CT in HU, found images of another kind (ImageType {', '.join(map(short, maps[:3]))})")
    projections = sorted(kind for kind in kinds if PROJECTION_WORDS.intersection(WORD.split(kind)))
    if projections:
        notes.append(
            f"the slices are projections of several ones (ImageType {', '.join(map(short, projections[:3]))}): their "
            "values are not those of single slices"
        )


def _without_doubles(slices: list[Slice], normal: Vector, name: object, notes: list[str]) -> list[Slice]:
    """One slice per position; two with one content are one slice, two with different contents are two images."""
    along = np.array([_position(one) @ normal for one in slices])
    gaps = np.diff(along)
    apart = gaps[gaps > SAME_POSITION_MM]
    near = max(SAME_POSITION_MM, SAME_POSITION * float(np.quantile(apart, 0.75))) if len(apart) else SAME_POSITION_MM
    reader, kept, doubled = PixelReader(name), [slices[0]], []
    for one in slices[1:]:
        if float((_position(one) - _position(kept[-1])) @ normal) > near:
            kept.append(one)
            continue
        doubled.append(one)
        moved = float(np.linalg.norm(_position(one) - _position(kept[-1])))
        if moved > SAME_POSITION_MM:
            raise InputError(
                f"{name}: expected slices at a distance, found two whose positions are {moved:.3g} mm apart, with "
                f"{float(np.quantile(apart, 0.75)) if len(apart) else 0:.3g} mm usual (two phases in one series?)."
            )
        if not np.array_equal(reader.read(one), reader.read(kept[-1])):
            _refuse_two_images(slices, along, near, name)
    if doubled:
        notes.append(f"{_count(doubled, 'slice')} {_is(doubled)} there more than once: each was used once")
    return kept


def _refuse_two_images(slices: Sequence[Slice], along: Vector, near: float, name: object) -> None:
    positions = 1 + int((np.diff(along) > near).sum())
    raise InputError(
        f"{name}: expected one image per position, found {len(slices)} images at {positions} positions, with different "
        "contents (two phases, or two reconstructions, in one series)."
    )


def _check_one_pass(slices: Sequence[Slice], normal: Vector, refuse: Callable[[str], InputError]) -> None:
    """Refuse two passes over one region whose slices lie between one another."""
    for keyword in sorted({keyword for one in slices for keyword in one.passes}):
        values = [one.passes.get(keyword, "") for one in slices]
        if keyword not in ABSENT_IN_ONE_PASS:
            values = [value for value in values if value]
        kinds = set(values)
        changes = sum(first != second for first, second in pairwise(values))
        if changes > len(kinds) - 1:
            found = ", ".join(short(kind) or "none" for kind in sorted(kinds)[:3])
            raise refuse(
                f"expected one pass over each region, found slices of {len(kinds)} passes or reconstructions between "
                f"one another ({keyword} {found})"
            )
    along = np.array([_position(one) @ normal for one in slices])
    for passes in range(2, MOST_PASSES):
        if len(slices) < LEAST_PER_PASS * passes:
            break
        if _is_interleaved(along, passes):
            raise refuse(
                f"expected evenly spaced slices, found {passes} evenly spaced sets between one another (two phases in "
                "one series, or slices missing in turn)"
            )
        for keyword in slices[0].counters:
            if _is_counted_by_pass([one.counters.get(keyword) for one in slices], passes):
                raise refuse(
                    f"expected one pass over each region, found slices of {passes} passes between one another "
                    f"({keyword}; two phases in one series?)"
                )


def _is_interleaved(along: Vector, passes: int) -> bool:
    """Whether the slices are evenly spaced sets with unlike gaps between them."""
    gaps = np.diff(along)
    if gaps.min() > UNLIKE_GAPS * gaps.max():
        return False
    return all(_evenness(along[start::passes]) <= EVEN_MM for start in range(passes))


def _is_counted_by_pass(counts: Sequence[float | None], passes: int) -> bool:
    """Whether every second (third, ...) slice is counted on, and those between them apart from them."""
    numbers = np.array([np.nan if count is None else count for count in counts])
    parts = [np.diff(numbers[start::passes]) for start in range(passes)]
    if not (all((part >= 0).all() for part in parts) or all((part <= 0).all() for part in parts)):
        return False
    signs = np.sign(np.diff(numbers))
    turns = np.lib.stride_tricks.sliding_window_view(signs, passes)
    return bool(((turns > 0).any(axis=1) & (turns < 0).any(axis=1)).all())


def _evenness(along: Vector) -> float:
    """By how much positions miss those of equal steps from the first to the last, mm."""
    return float(np.abs(along - np.linspace(along[0], along[-1], len(along))).max())


def _stack(slices: list[Slice], axes: tuple[Vector, Vector, Vector], name: object, notes: list[str]) -> Stack:
    row, column, normal = axes
    offsets = np.array([_position(one) for one in slices]) - _position(slices[0])
    along, shifts = offsets @ normal, offsets @ np.array([row, column]).T
    gaps = np.diff(along)
    tolerance = min(EVEN_MM, EVEN * float(np.median(gaps)))
    is_even = _evenness(along) <= tolerance
    is_straight = float(np.abs(shifts).max()) <= tolerance
    pixel = slices[0].pixel or (0.0, 0.0)
    check_grid(name, (pixel[1], pixel[0], float(np.median(gaps))), _position(slices[0]), np.array(axes).T)
    if not is_even:
        notes.append(_uneven(along + float(_position(slices[0]) @ normal), name))
    if not is_straight:
        notes.append(_crooked(along, shifts, tolerance, name))
    return Stack(
        slices=tuple(slices),
        row=row,
        column=column,
        normal=normal,
        along=along,
        shifts=shifts,
        is_even=is_even,
        is_straight=is_straight,
        notes=tuple(notes),
    )


def _uneven(along: Vector, name: object) -> str:
    """What to say of uneven gaps.

    Raises:
        InputError: If there is a gap over which nothing can be interpolated.
    """
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    wide = [k for k in range(len(gaps)) if gaps[k] > min(GREATEST_GAP * usual + EVEN_MM, GREATEST_GAP_MM + EVEN_MM)]
    if wide:
        places = ", ".join(f"{along[k]:.4g} to {along[k + 1]:.4g} mm" for k in wide[:3])
        more = f" and {len(wide) - 3} more" if len(wide) > 3 else ""
        raise InputError(
            f"{name}: expected slices without gaps, found {usual:.3g} mm from slice to slice and a gap of up to "
            f"{float(gaps.max()):.3g} mm (from {places}{more} along the series)."
        )
    missing = [k for k in range(len(gaps)) if abs(gaps[k] - 2 * usual) <= EVEN_MM]
    others = np.delete(gaps, missing)
    if missing and len(others) and np.abs(others - usual).max() <= EVEN_MM:
        places = ", ".join(f"{(along[k] + along[k + 1]) / 2:.4g}" for k in missing[:3])
        return (
            f"{len(missing)} slice{'s are' if len(missing) > 1 else ' is'} missing (at {places}"
            f"{', ...' if len(missing) > 3 else ''} mm): interpolated between the neighbours"
        )
    return (
        f"slices are unevenly spaced ({float(gaps.min()):.3g} to {float(gaps.max()):.3g} mm): read onto a regular grid"
    )


def _crooked(along: Vector, shifts: Vector, tolerance: float, name: object) -> str:
    """What to say of slices that do not lie straight upon one another.

    Raises:
        InputError: If they jump sideways, or drift by more than a gantry tilts.
    """
    drift = shifts[-1] / along[-1]
    jump = float(np.linalg.norm(shifts - along[:, None] * drift, axis=1).max())
    angle = math.degrees(math.atan(float(np.linalg.norm(drift))))
    if jump > GREATEST_JUMP_MM:
        raise InputError(
            f"{name}: expected slices upon one another, found some that lie up to {jump:.3g} mm sideways of the others."
        )
    if angle > GREATEST_TILT:
        raise InputError(
            f"{name}: expected slices upon one another, found ones that drift sideways by {angle:.3g} degrees, more "
            "than a gantry tilts."
        )
    if jump > tolerance:
        return f"slices lie up to {float(np.abs(shifts).max()):.3g} mm sideways of the first: read onto a regular grid"
    return f"slices are tilted by {angle:.3g} degrees: read onto a regular grid"


def _count(slices: Sequence[Slice], what: str) -> str:
    return f"{len(slices)} {what}{'s' if len(slices) > 1 else ''}"


def _is(slices: Sequence[Slice]) -> str:
    return "are" if len(slices) > 1 else "is"


def _s(slices: Sequence[Slice]) -> str:
    return "" if len(slices) > 1 else "s"


def _files(slices: Sequence[Slice]) -> str:
    names = sorted({one.file.name for one in slices})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
