"""A case's corrected mask: stored from a label map or a structure set of radiotherapy (RTSTRUCT), or set aside."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.ct_series import read_ct_series
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.label_grids import map_on_ct
from OneShotSegLib.imaging.label_matching import match_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.imaging.rtstruct import is_structure_set, read_structures
from OneShotSegLib.study.case_ct import is_other_ct
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.structure_table import read_named_label_map

log = logging.getLogger(__name__)


def correction_of(study: StudyPaths, case: str, file: Path) -> LabelMap:
    """A file as a corrected mask: on the CT's grid, the study's structures, matched by name, with its values.

    What the file has of other structures is left out; a structure that it does not have is empty in the correction.
    A label map on another grid is brought onto the CT's where it fits it (`onto_grid`). What was done is logged as
    warnings.

    Args:
        study: The study.
        case: The case whose CT the file was drawn on.
        file: A label map (without names it is matched by value) or a structure set.

    Raises:
        InputError: If there is no such case, the file cannot be read or matched, or does not fit the CT.
    """
    description = StudyDescription.read(study)
    entry = next((entry for entry in description.cases if entry.case == case), None)
    if entry is None:
        raise InputError(f"{case}: expected a case of the study in {study.root}, found none of that name.")
    ct = Path(entry.source)
    if is_other_ct(study.case(case), ct, entry.series):
        raise InputError(f"{ct}: expected the CT that the case was made of, found another one.")
    notes: tuple[str, ...]
    if is_structure_set(file):
        found = read_structures(file, read_ct_series(ct, series=entry.series), description.structures)
        labels, notes = found.labels, found.notes
    else:
        labels, notes = match_labels(read_named_label_map(file), description.structures, file)
        labels = map_on_ct(labels, read_volume(ct, entry.series), file)
    for note in notes:
        log.warning("%s: %s", case, note)
    return labels


def write_correction(study: StudyPaths, case: str, file: Path) -> Path:
    """Keep a file as a case's corrected mask, ``cases/<case>/edited.seg.nrrd``; the path of that.

    A correction that is there already is kept under another name; see `CasePaths.discarded_mask`.

    Raises:
        InputError: As `correction_of`; then nothing was written.
        OSError: If it could not be written.
    """
    return store_correction(study.case(case), correction_of(study, case, file))


def store_correction(files: CasePaths, labels: LabelMap) -> Path:
    """Write a corrected mask; one that is there already is kept under another name.

    Raises:
        OSError: If it could not be written.
    """
    if files.edited_mask.is_file():
        with atomic_file(files.discarded_mask()) as temporary:
            shutil.copyfile(files.edited_mask, temporary)
    write_label_map(labels, files.edited_mask)
    return files.edited_mask


def discard_correction(files: CasePaths) -> Path:
    """Set a case's corrected mask aside, so that its pseudo mask counts again; the file in which it is kept.

    The reviewer's strokes in the case go with it: they belong to the mask that grew from them.

    Raises:
        InputError: If it has none.
        OSError: If the folder cannot be written to.
    """
    if not files.edited_mask.is_file():
        raise InputError(f"{files.name}: expected a saved correction (edited.seg.nrrd), found none.")
    target = files.discarded_mask()
    files.edited_mask.rename(target)
    if files.strokes.is_file():
        files.strokes.rename(files.discarded_strokes())
    return target
