"""A case's reference, whose structures are matched with those asked for by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.ct_series import read_ct_series
from OneShotSegLib.imaging.dicom.headers import IDENTITY, BrokenHeaderError, read_header, text
from OneShotSegLib.imaging.label_matching import match_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.rtstruct import is_structure_set, read_structures
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.structure_table import read_named_label_map


def structure_set_in(folder: Path) -> Path | None:
    """The structure set in a case's folder, which may hold the CT's slices as well.

    It is the only DICOM file, else the only one that is named RS or RTSTRUCT, else the only one that says what it is.
    None if there is none, or if it cannot be told which it is.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file() and is_structure_set(p) and not p.name.startswith("."))
    named = [path for path in files if path.name.upper().startswith(("RS", "RTSTRUCT"))]
    for found in (files, named):
        if len(found) == 1:
            return found[0]
    by_header = [path for path in files if _says_structure_set(path)]
    return by_header[0] if len(by_header) == 1 else None


def _says_structure_set(path: Path) -> bool:
    try:
        data = read_header(path, ["Modality", *IDENTITY])
    except BrokenHeaderError:
        return False
    return data is not None and text(data, "Modality") == "RTSTRUCT"


def check_references(references: Iterable[Path], predictions: Path) -> None:
    """Refuse structure sets where nothing tells which CT they were drawn on.

    Raises:
        InputError: If there is one, and the predictions are no study.
    """
    found = next((path for path in references if is_structure_set(path)), None)
    if found is not None and not StudyPaths(predictions).description.is_file():
        raise InputError(
            f"{predictions}: expected a study, whose CTs the structure sets ({found.name} ...) were drawn on, found a "
            "folder without study.json."
        )


def structures_of(labels: Mapping[int, str]) -> tuple[Segment, ...]:
    """The structures asked for, as segments."""
    return tuple(replace(Segment.numbered(value), name=name) for value, name in labels.items())


def read_reference(case: str, path: Path, predictions: Path, labels: Mapping[int, str], notes: list[str]) -> LabelMap:
    """A case's reference; a structure set is read onto the grid of the case's CT in the study.

    Args:
        case: The case's name.
        path: A label map or a structure set.
        predictions: The study, for a structure set.
        labels: Value and name of the structures asked for.
        notes: Gets a sentence for each thing of it that was not matched, or not used as it was drawn.

    Raises:
        InputError: If it cannot be read or matched, or is a structure set of another CT.
    """
    structures = structures_of(labels)
    if not is_structure_set(path):
        matched = match_labels(read_named_label_map(path), structures, path)
        notes += [f"{case}: {note}" for note in matched.notes]
        return matched.labels
    entry = next(entry for entry in StudyDescription.read(StudyPaths(predictions)).cases if entry.case == case)
    found = read_structures(path, read_ct_series(Path(entry.source), series=entry.series), structures)
    notes += [f"{case}: {note}" for note in found.notes]
    return found.labels
