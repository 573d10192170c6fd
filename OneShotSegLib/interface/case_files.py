"""The files of a study's cases, read and written by the child process: nothing here needs Slicer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.label_matching import match_labels, with_values_of
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.interface.snapshots import CroppedLabels, Snapshot
from OneShotSegLib.interface.support_link import Landmarks, landmarks_of
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths

MANY_VOXELS = 1_000_000
Version = tuple[str, int, int]
"""Path, time of writing, size of a mask file."""
PSEUDO_MASK = CasePaths(Path()).pseudo_mask.name


def version_of(path: Path) -> Version:
    """Which version of a file is there."""
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_mtime_ns, status.st_size


def read_case_volumes(study: StudyPaths) -> dict[str, Path]:
    """Case name to the file or folder of its CT; empty for a folder that is no study (yet)."""
    try:
        return StudyDescription.read(study).case_volumes
    except InputError:
        return {}


@dataclass(frozen=True, eq=False)
class CaseMask:
    """The mask of a case as it is shown.

    Attributes:
        labels: Its labels, with the study's values.
        centres: Structure to a position within it, LPS mm [z, y, x].
        notes: Sentences on what exports will not use.
        landmarks: Where its structures lie, for the support beside it.
    """

    labels: CroppedLabels
    centres: Mapping[str, Vector]
    notes: tuple[str, ...]
    landmarks: Landmarks


@dataclass(frozen=True, eq=False)
class CaseContent:
    """What of a case was asked for.

    Attributes:
        ct: Its CT; None if it is in the scene already.
        mask: Its mask; None if it is in the scene already.
    """

    ct: Volume | None
    mask: CaseMask | None


def read_case(study: StudyPaths, ct: Path | None, mask: Path | None) -> CaseContent:
    """Read a case.

    Args:
        study: Its study.
        ct: The CT to read; None for no CT.
        mask: The mask to read; None for no mask.

    Raises:
        InputError: If a file is missing or broken.
    """
    return CaseContent(
        ct=None if ct is None else read_volume(ct), mask=None if mask is None else read_mask(mask, study)
    )


def read_mask(path: Path, study: StudyPaths) -> CaseMask:
    """Read a mask.

    Raises:
        InputError: If it is missing or broken.
    """
    label_map, notes = with_study_values(read_label_map(path), study, path, path.name == PSEUDO_MASK)
    cropped = CroppedLabels.of(label_map)
    places = dict(_places(cropped))
    return CaseMask(
        cropped,
        {name: _centre(at, cropped) for name, at in places.items()},
        notes,
        {name: landmarks_of(at, cropped) for name, at in places.items()},
    )


def with_study_values(
    label_map: LabelMap, study: StudyPaths, path: Path, is_pseudo_mask: bool = False
) -> tuple[LabelMap, tuple[str, ...]]:
    """A mask whose segments have the study's values, matched by name, and what of it exports will not use.

    Segments that are none of the study's are kept: it is the reviewer's work, and what is edited is written again. A
    pseudo mask is the study's own.
    """
    try:
        structures = StudyDescription.read(study).structures
    except InputError:
        return label_map, ()  # a study that is still being made
    if not structures:
        return label_map, ()
    label_map = label_map if is_pseudo_mask else with_values_of(label_map, structures)
    try:
        matched = match_labels(label_map, structures, path, same_values=is_pseudo_mask)
        return matched.labels if is_pseudo_mask else label_map, matched.notes
    except InputError as error:
        return label_map, (str(error),)


def _places(cropped: CroppedLabels) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Indices of each structure's voxels, or of an even part of them; none of a structure without voxels."""
    # Looking at every voxel of a large map takes long.
    step = max(1, round((cropped.array.size / MANY_VOXELS) ** (1 / 3)))
    for segment in cropped.label_map.segments:
        at = np.argwhere(cropped.array[::step, ::step, ::step] == segment.value) * step
        if not len(at):
            at = np.argwhere(cropped.array == segment.value)
        if len(at):
            yield segment.name, at


def _centre(at: NDArray[np.intp], cropped: CroppedLabels) -> Vector:
    # The structure's own voxel nearest to its middle: a hollow one is shown where it is.
    middle = np.median(at, axis=0)
    nearest = at[np.argmin(((at - middle) ** 2).sum(axis=1))]
    return cropped.label_map.volume.to_world(nearest + np.array(cropped.start))


def write_correction(
    snapshot: Snapshot,
    grid: Volume,
    study: StudyPaths,
    path: Path,
    pseudo_mask: Path | None = None,
    older: bool = False,
) -> tuple[str, ...]:
    """Write a reviewer's correction on its CT's grid.

    Args:
        snapshot: The segmentation.
        grid: The CT's grid.
        study: The study, whose values the structures get.
        path: The file to write.
        pseudo_mask: The mask that was corrected: if nothing is left that differs from it, no correction stays. None
            for a correction that was there before.
        older: Whether what is there is another correction, to be kept under another name.

    Returns:
        Sentences on what exports will not use.

    Raises:
        InputError: If the case's folder vanished.
        OSError: If nothing can be written.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: the folder is no longer there.")
    return write_corrected(snapshot.merged(grid), study, path, pseudo_mask, older)


def write_corrected(
    labels: LabelMap, study: StudyPaths, path: Path, pseudo_mask: Path | None = None, older: bool = False
) -> tuple[str, ...]:
    """Write a corrected mask of a case; see `write_correction`."""
    if not study.cases_folder.is_dir():
        raise InputError(f"{study.root}: the folder is no longer there.")
    label_map, notes = with_study_values(labels, study, path)
    if pseudo_mask is not None and _is_equal(label_map, pseudo_mask):
        path.unlink(missing_ok=True)
        return notes
    if older and path.is_file():
        path.rename(CasePaths(path.parent).discarded_mask())
    write_label_map(label_map, path)
    return notes


def _is_equal(label_map: LabelMap, pseudo_mask: Path) -> bool:
    """Whether a mask is what a pseudo mask is; a segment that the reviewer added or removed makes it another one."""
    try:
        other = read_label_map(pseudo_mask)
    except (InputError, OSError):
        return False
    names = [{segment.key for segment in one.segments} for one in (label_map, other)]
    return names[0] == names[1] and np.array_equal(label_map.volume.array, other.volume.array)
