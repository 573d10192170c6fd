"""A case's corrected mask out of a structure set of radiotherapy (RTSTRUCT), drawn in a planning system."""

from __future__ import annotations

import logging
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.imaging.rtstruct import read_structures
from OneShotSegLib.study.case_ct import is_other_ct
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths

log = logging.getLogger(__name__)


def correction_of(study: StudyPaths, case: str, structure_set: Path) -> LabelMap:
    """A structure set as a corrected mask: on the CT's grid, the study's structures, matched by name, with its values.

    What the file has of other structures is left out; a structure that it does not have is empty in the correction.
    Both are logged as warnings.

    Args:
        study: The study.
        case: The case whose CT the structure set was drawn on.
        structure_set: The file.

    Raises:
        InputError: If there is no such case, or the file cannot be used (`read_rtstruct_with_notes`).
    """
    description = StudyDescription.read(study)
    sources = {entry.case: Path(entry.source) for entry in description.cases}
    if case not in sources:
        raise InputError(f"{case}: expected a case of the study in {study.root}, found none of that name.")
    if is_other_ct(study.case(case), sources[case]):
        raise InputError(f"{sources[case]}: expected the CT that the case was made of, found another one.")
    found = read_structures(structure_set, sources[case], description.structures)
    for note in found.notes:
        log.warning("%s: %s", case, note)
    return found.labels


def write_correction(study: StudyPaths, case: str, structure_set: Path) -> Path:
    """Keep a structure set as a case's corrected mask, ``cases/<case>/edited.seg.nrrd``; the path of that.

    Raises:
        InputError: As `correction_of`; then nothing was written.
        OSError: If it could not be written.
    """
    labels = correction_of(study, case, structure_set)
    target = study.case(case).edited_mask
    write_label_map(labels, target)
    return target
