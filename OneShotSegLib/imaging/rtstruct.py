"""Structure sets of radiotherapy (DICOM RTSTRUCT) as label maps on their CT's own grid."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, box_between, box_shape
from OneShotSegLib.imaging.ct_series import CTSeries, read_ct_series
from OneShotSegLib.imaging.dicom.headers import is_named_as_dicom, looks_like_dicom
from OneShotSegLib.imaging.files import suffix_of
from OneShotSegLib.imaging.label_matching import compare_names, name_notes, translated
from OneShotSegLib.imaging.labelmaps import MAX_LABEL, LabelMap, Segment, name_key, read_label_map
from OneShotSegLib.imaging.polygons import Polygon, cross, fill_region, region_between
from OneShotSegLib.imaging.structure_set import RegionOfInterest, StructureSet, read_structure_set
from OneShotSegLib.imaging.volume import Volume

log = logging.getLogger(__name__)

SUFFIX = ".dcm"
MOST_TILT = 0.25
"""Slices that a contour's points may be off the contour's own plane, as rounded numbers are."""
SAME_LEVEL = 0.2
"""Slices between contours that were drawn on one slice."""
TIE = 0.01
"""Slices: of contours that all lie half-way between two of the CT's slices, all are to go the same way."""
REGULAR_GAP = 1.5
"""Of a structure's usual step from slice to slice: a longer way is a gap in the structure."""
SAME_POINT_MM = 0.02
LEAST_SLICES = 3
"""That show a regular step."""
MARGIN = 4


class StructureSetLabels(NamedTuple):
    """What was read.

    Attributes:
        labels: The label map; a structure without a voxel on the CT is not among its segments.
        notes: One sentence for each kind of thing in the file that is not in the map as it was drawn.
        names: Names of all structures of the file, in its order, asked for or not.
        repeated: Names that several structures that were read have, with closed contours.
    """

    labels: LabelMap
    notes: tuple[str, ...]
    names: tuple[str, ...]
    repeated: tuple[str, ...] = ()


@dataclass
class _Notes:
    """What the sentences are made of: by kind, the structures that it concerns, in words."""

    by_kind: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, what: str) -> None:
        self.by_kind.setdefault(kind, []).append(what)

    def sentences(self, path: Path) -> tuple[str, ...]:
        return tuple(f"{path.name}: {kind}: {', '.join(whats)}." for kind, whats in self.by_kind.items())


class _Level(NamedTuple):
    """Contours that were drawn on one slice: where, in slices of the CT, and their vertices in its pixels."""

    at: float
    polygons: list[Polygon]


class _Shape(NamedTuple):
    """A structure's voxels within a box of the CT's grid."""

    box: Box
    mask: NDArray[np.bool_]


def is_structure_set(path: Path) -> bool:
    """Whether a file may be a structure set: by its name, or by its beginning where its name says nothing."""
    if path.suffix.lower() == SUFFIX:
        return True
    return not suffix_of(path) and looks_like_dicom(path)


def name_of_structure_set(path: Path) -> str:
    """A structure set's name without what only says that it is a DICOM file; UIDs have points of their own."""
    return path.stem if is_named_as_dicom(path) else path.name


def read_labels_of(path: Path, ct_path: Path, ct: Volume, series: str = "") -> LabelMap:
    """The scribbles or masks of a CT: a label map, or a structure set, whose contours are taken as they were drawn.

    Args:
        path: The label map or structure set.
        ct_path: The CT's file or folder.
        ct: The CT.
        series: Series instance UID, where the CT's folder holds several CT series.

    Raises:
        InputError: If it cannot be read, or is a structure set of another CT.
    """
    if not is_structure_set(path):
        return read_label_map(path)
    # Strokes on a few slices are no structure drawn on every second one: nothing is filled between them.
    return read_rtstruct(path, read_ct_series(ct_path, ct, series), fill_between=False)


def read_rtstruct(
    path: Path, ct: Path | CTSeries, only: Collection[str] | None = None, fill_between: bool = True
) -> LabelMap:
    """Like `read_rtstruct_with_notes`; what it has to say is logged as warnings."""
    found = read_rtstruct_with_notes(path, ct, only, fill_between)
    for note in found.notes:
        log.warning("%s", note)
    return found.labels


def read_rtstruct_with_notes(
    path: Path, ct: Path | CTSeries, only: Collection[str] | None = None, fill_between: bool = True
) -> StructureSetLabels:
    """Read a structure set onto its CT's own grid.

    A voxel belongs to a structure if its centre lies within the contours, even-odd, on the plane that is nearest to
    them. Where structures overlap, the voxel gets to the smaller one. Label values are the ROI numbers where these are
    distinct numbers from 1 to 255, else 1, 2, ... in the file's order.

    Args:
        path: The file.
        ct: The CT that it was drawn on: a folder with a DICOM series, or what was read of it.
        only: Names of the structures to read, in any case; all if left out.
        fill_between: Fill, by shape interpolation, between the slices of a structure that was drawn on every second
            or third one only.

    Raises:
        InputError: If the file is damaged, belongs to another patient, series or frame of reference, or has no closed
            contour on the CT.
    """
    content = read_structure_set(path)
    series = ct if isinstance(ct, CTSeries) else read_ct_series(ct)
    _check_belongs(content, series)
    notes = _Notes()
    asked_for = _asked_for(content.regions, only)
    repeated = _repeated(asked_for)
    regions = _named(asked_for, notes)
    regions = _with_contours(regions, series, notes)
    shapes = {n: shape for n, r in regions.items() if (shape := _shape(r, series.grid, fill_between, notes))}
    if regions and not shapes:
        raise InputError(f"{path}: expected contours on the CT in {series.folder}, found none on its slices.")
    if not regions and only is None:
        raise InputError(f"{path}: expected structures with closed contours, found none.")
    segments = _segments(path, [regions[number] for number in shapes])
    array = _painted(series.grid.shape, shapes, segments, float(np.prod(series.grid.spacing)) / 1000, notes)
    labels = LabelMap(series.grid.with_array(array), segments)
    names = tuple(r.name for r in content.regions if r.name)
    return StructureSetLabels(labels, notes.sentences(path), names, repeated)


def read_structures(path: Path, ct: Path | CTSeries, structures: Sequence[Segment]) -> StructureSetLabels:
    """Read the structures of these names, in any case, with the values, names and colours that they have here.

    Args:
        path: The structure set.
        ct: The CT that it was drawn on.
        structures: What to read.

    Raises:
        InputError: As `read_rtstruct_with_notes`, and if the file has none of the names, or several structures of one.
    """
    found = read_rtstruct_with_notes(path, ct, only=[structure.name for structure in structures])
    if found.repeated:
        raise InputError(f"{path}: expected each structure once, found several of the name '{found.repeated[0]}'.")
    names = list({name_key(name): name for name in found.names}.values())
    missing, others = compare_names(names, structures, path)
    own = {segment.key: segment.value for segment in found.labels.segments}
    values = {own[structure.key]: structure.value for structure in structures if structure.key in own}
    labels = translated(found.labels, values, tuple(structures))
    notes = (*found.notes, *name_notes(missing, others, path))
    return StructureSetLabels(labels, notes, found.names, found.repeated)


def _check_belongs(content: StructureSet, series: CTSeries) -> None:
    path, folder = content.path, series.folder
    if content.patient_id and series.patient_id and content.patient_id != series.patient_id:
        raise InputError(f"{path}: expected contours of the patient of {folder}, found another patient ID.")
    frames = {region.frame_of_reference for region in content.regions if region.frame_of_reference}
    if frames and series.frame_of_reference and series.frame_of_reference not in frames:
        raise InputError(f"{path}: expected contours in the frame of reference of {folder}, found another one.")
    if content.instances and content.instances.isdisjoint(series.instances):
        raise InputError(f"{path}: expected contours on the slices of {folder}, found references to another series.")


def _asked_for(regions: Iterable[RegionOfInterest], only: Collection[str] | None) -> list[RegionOfInterest]:
    if only is None:
        return list(regions)
    wanted = {name_key(name) for name in only}
    return [region for region in regions if name_key(region.name) in wanted]


def _repeated(regions: Iterable[RegionOfInterest]) -> tuple[str, ...]:
    drawn = [region.name for region in regions if region.contours and region.name]
    count = Counter(name_key(name) for name in drawn)
    return tuple({name_key(name): name for name in drawn if count[name_key(name)] > 1}.values())


def _named(regions: Iterable[RegionOfInterest], notes: _Notes) -> dict[int, RegionOfInterest]:
    """The structures by their numbers, each with a name of its own; one with contours has the first claim to its."""
    found, taken = {}, set()
    regions = list(regions)
    for region in sorted(regions, key=lambda region: not region.contours):
        name = first = region.name or f"Structure {region.number}"
        count = 1
        while name_key(name) in taken:
            count += 1
            name = f"{first} ({count})"
        taken.add(name_key(name))
        if name != first and region.contours:
            notes.add("several structures of one name, the later ones renamed", f"'{name}'")
        found[region.number] = replace(region, name=name)
    return {region.number: found[region.number] for region in regions}


def _with_contours(
    regions: Mapping[int, RegionOfInterest], series: CTSeries, notes: _Notes
) -> dict[int, RegionOfInterest]:
    """The structures that can be drawn, in the file's order; what cannot is noted with the reason."""
    found = {}
    for number, region in regions.items():
        for kind, count in region.unused.items():
            notes.add("items that are no closed contours, not used", f"'{region.name}' ({count} x {kind})")
        frame = region.frame_of_reference
        if not region.contours:
            notes.add("structures without closed contours, not used", f"'{region.name}'")
        elif frame and series.frame_of_reference and frame != series.frame_of_reference:
            notes.add("structures in another frame of reference than the CT, not used", f"'{region.name}'")
        else:
            found[number] = region
    return found


def _segments(path: Path, regions: Sequence[RegionOfInterest]) -> tuple[Segment, ...]:
    if len(regions) > MAX_LABEL:
        raise InputError(f"{path}: expected at most {MAX_LABEL} structures, found {len(regions)}.")
    numbers = [region.number for region in regions]
    values = numbers if all(1 <= n <= MAX_LABEL for n in numbers) else list(range(1, len(regions) + 1))
    plain = [Segment.numbered(value) for value in values]
    return tuple(
        replace(segment, name=region.name, color=region.color or segment.color)
        for segment, region in zip(plain, regions, strict=True)
    )


def _shape(region: RegionOfInterest, grid: Volume, fill_between: bool, notes: _Notes) -> _Shape | None:
    """A structure's voxels; None if none of it lies on the CT, or if it cannot be drawn."""
    contours = _without_copies([grid.to_index(contour) for contour in region.contours], grid)
    if len(contours) < len(region.contours):
        notes.add("contours that are there twice, used once", f"'{region.name}'")
    if any(np.abs(contour[:, 0] - contour[:, 0].mean()).max() > MOST_TILT for contour in contours):
        notes.add("structures whose contours lie across the CT's slices, not used", f"'{region.name}'")
        return None
    planes = _planes(region.name, _levels(contours), grid.shape[0], notes)
    box = _box(planes.values(), grid.shape)
    if box is None:
        notes.add("structures that lie outside the CT, not used", f"'{region.name}'")
        return None
    return _drawn(region.name, _within(planes, box), box, grid, fill_between, notes)


def _without_copies(contours: list[NDArray[np.float64]], grid: Volume) -> list[NDArray[np.float64]]:
    """Even-odd, a contour and its copy would be nothing, in whatever order and rounding its points are."""
    millimetres = [contour * grid.spacing for contour in contours]
    bounds = np.array([(*points.min(axis=0), *points.max(axis=0)) for points in millimetres])
    kept: list[int] = []
    for number, points in enumerate(millimetres):
        close = np.abs(bounds[kept] - bounds[number]).max(axis=1) <= SAME_POINT_MM
        near = [kept[k] for k in np.flatnonzero(close)]
        if not any(_same_points(points, millimetres[k]) for k in near):
            kept.append(number)
    return [contours[number] for number in kept]


def _same_points(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two contours have the same points, in mm, as far as rounded numbers tell."""
    trees = cKDTree(one), cKDTree(other)
    away = max(float(trees[1].query(one)[0].max()), float(trees[0].query(other)[0].max()))
    return away <= SAME_POINT_MM


def _levels(contours: list[NDArray[np.float64]]) -> list[_Level]:
    levels: list[_Level] = []
    for contour in sorted(contours, key=lambda contour: float(contour[:, 0].mean())):
        at = float(contour[:, 0].mean())
        if not levels or at - levels[-1].at > SAME_LEVEL:
            levels.append(_Level(at, []))
        levels[-1].polygons.append(contour[:, 1:])
    return levels


def _planes(name: str, levels: list[_Level], depth: int, notes: _Notes) -> dict[int, list[Polygon]]:
    """The contours of each of the CT's planes: those on the nearest level within half a slice."""
    nearest: dict[int, _Level] = {}
    outside = between = 0
    for level in levels:
        plane = int(np.floor(level.at + 0.5 + TIE))
        if not 0 <= plane < depth:
            outside += 1
        elif plane not in nearest or abs(level.at - plane) < abs(nearest[plane].at - plane):
            between += plane in nearest
            nearest[plane] = level
        else:
            between += 1
    if outside:
        notes.add("contours beyond the CT's first or last slice, not used", f"'{name}' ({outside} slices)")
    if between:
        notes.add("contours between the CT's slices, nearer ones used", f"'{name}' ({between} slices)")
    return {plane: level.polygons for plane, level in nearest.items()}


def _box(planes: Iterable[list[Polygon]], shape: tuple[int, int, int]) -> tuple[slice, ...] | None:
    """The rows and columns of the grid that hold all contours, with a margin; None if they lie beside the grid."""
    points = [polygon for polygons in planes for polygon in polygons]
    if not points:
        return None
    together = np.concatenate(points)
    size = np.array(shape[1:])
    low, high = together.min(axis=0), together.max(axis=0)
    if (high < -0.5).any() or (low > size - 0.5).any():
        return None
    first = np.clip(np.floor(low) - MARGIN, 0, size - 1)
    return box_between(first, np.clip(np.ceil(high) + MARGIN + 1, first + 1, size))


def _within(planes: dict[int, list[Polygon]], box: Box) -> dict[int, list[Polygon]]:
    """The same contours, seen from the box's corner."""
    corner = np.array([part.start for part in box])
    return {plane: [polygon - corner for polygon in polygons] for plane, polygons in sorted(planes.items())}


def _drawn(
    name: str, planes: dict[int, list[Polygon]], box: Box, grid: Volume, fill_between: bool, notes: _Notes
) -> _Shape:
    first, last = min(planes), max(planes)
    whole = (slice(first, last + 1), *box)
    mask = np.zeros(box_shape(whole), dtype=bool)
    shape = (mask.shape[1], mask.shape[2])
    crossed = 0
    for plane, polygons in planes.items():
        mask[plane - first] = fill_region(polygons, shape)
        crossed += len(polygons) > 1 and cross(polygons, shape)
    if crossed:
        notes.add(
            "contours of one slice that cross each other, what they share is taken as outside",
            f"'{name}' ({crossed} slices)",
        )
    if fill_between:
        _fill_between(name, planes, mask, (float(grid.spacing[1]), float(grid.spacing[2])), notes)
    return _Shape(whole, mask)


def _fill_between(
    name: str,
    planes: dict[int, list[Polygon]],
    mask: NDArray[np.bool_],
    spacing: tuple[float, float],
    notes: _Notes,
) -> None:
    """Fill the planes between those of a structure that was drawn on every second or third slice, in place."""
    drawn = list(planes)
    steps = np.diff(drawn)
    usual = float(np.median(steps)) if len(drawn) >= LEAST_SLICES else 1.0
    filled = empty = 0
    for before, after in pairwise(drawn):
        if after - before == 1:
            continue
        if usual < 2 or after - before > REGULAR_GAP * usual:
            empty += after - before - 1
            continue
        for plane in range(before + 1, after):
            share = (plane - before) / (after - before)
            region = region_between(planes[before], planes[after], share, mask.shape[1:], spacing)
            mask[plane - drawn[0]] = region
            filled += 1
    if filled:
        kind = "structures not drawn on every slice, filled between by shape interpolation"
        notes.add(kind, f"'{name}' ({filled} slices)")
    if empty:
        notes.add("slices without a contour between others, left empty", f"'{name}' ({empty} slices)")


def _painted(
    grid: tuple[int, int, int],
    shapes: Mapping[int, _Shape],
    segments: Sequence[Segment],
    voxel_ml: float,
    notes: _Notes,
) -> NDArray[np.uint8]:
    """All structures in one map, the larger ones first, so that a small one within a large one is kept."""
    array = np.zeros(grid, dtype=np.uint8)
    names = {segment.value: segment.name for segment in segments}
    sized = [(np.count_nonzero(s.mask), s, segment) for s, segment in zip(shapes.values(), segments, strict=True)]
    for _, shape, segment in sorted(sized, key=lambda entry: -entry[0]):
        part = array[shape.box]
        under = np.bincount(part[shape.mask], minlength=MAX_LABEL + 1)
        for value in np.flatnonzero(under[1:]) + 1:
            shared = under[value] * voxel_ml
            volume = f"{shared:.{2 if shared < 1 else 0}f} ml"
            notes.add(
                "structures overlap, the smaller one is kept there",
                f"'{segment.name}' over '{names[int(value)]}' {volume}",
            )
        part[shape.mask] = segment.value
    return array
