"""Which prediction belongs to which reference: by the case's name, in the folder layouts that people have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation.references import structure_set_in
from OneShotSegLib.imaging.files import LABEL_STEMS, stem_of, suffix_of
from OneShotSegLib.imaging.rtstruct import is_structure_set, name_of_structure_set
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.naming import safe_name
from OneShotSegLib.study.results import counting_mask
from OneShotSegLib.study.review import ReviewLedger

TABLES = (".csv", ".json", ".txt", ".md", ".html")
"""Of files that describe label maps, and are none."""


@dataclass(frozen=True)
class Predictions:
    """The label maps to evaluate.

    Attributes:
        masks: Case name to file; None for a case that should have one and has none.
        labels: Value and name of the structures asked for, without the background stroke; empty where only the files
            say what there is.
    """

    masks: Mapping[str, Path | None]
    labels: Mapping[int, str] = field(default_factory=dict)


def find_predictions(path: Path, edited: bool = False) -> Predictions:
    """The label maps of a study, or of a folder laid out as `find_references` says.

    Args:
        path: The folder.
        edited: In a study, take the mask that counts after the review (`counting_mask`), not the pseudo mask.

    Raises:
        InputError: If the folder is missing or has none, or a file of the study is broken.
    """
    study = StudyPaths(path)
    return _of_study(study, edited) if study.description.is_file() else Predictions(find_references(path))


def _of_study(study: StudyPaths, edited: bool) -> Predictions:
    description = StudyDescription.read(study)
    ledger = ReviewLedger.load(study.review) if edited else ReviewLedger(study.review)
    masks: dict[str, Path | None] = {}
    for case in description.cases:
        files = study.case(case.case)
        mask = counting_mask(files, ledger.state_of(case.case)) if edited else files.pseudo_mask
        masks[case.case] = mask if mask.is_file() else None
    return Predictions(masks, {segment.value: segment.name for segment in description.structures})


def find_references(folder: Path) -> dict[str, Path]:
    """Case name to label map, of files ``<case>.nii.gz`` (any image suffix) and folders ``<case>/seg.nii.gz``.

    In a case's folder the label map is the file named seg, label, labels, reference or segmentation, else the only one.

    Raises:
        InputError: If the folder is missing, has no label map, or two of one case.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of label maps, found none there.")
    found: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()):
        name, path = _reference(entry)
        if path is None:
            continue
        if name in found:
            raise InputError(f"{folder}: expected one label map per case, found {found[name].name} and {path.name}.")
        found[name] = path
    if not found:
        raise InputError(f"{folder}: expected label maps named after their cases, found none.")
    return found


def _reference(entry: Path) -> tuple[str, Path | None]:
    if entry.name.startswith("."):
        return "", None
    if entry.is_dir():
        return safe_name(entry.name), _label_map_in(entry)
    if suffix_of(entry):
        return safe_name(stem_of(entry)), entry
    return safe_name(name_of_structure_set(entry)), entry if is_structure_set(entry) else None


def unused_references(folder: Path) -> list[str]:
    """Sentences on what a folder holds that `find_references` makes nothing of."""
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    unused = [entry for entry in entries if _reference(entry)[1] is None]
    notes = []
    for entry in (entry for entry in unused if entry.is_dir()):
        count = len(_images_in(entry))
        found = f"{count} label maps, none of them named {' or '.join(LABEL_STEMS[:2])}" if count else "no label map"
        notes.append(f"{entry.name}: a folder with {found}: not used.")
    others = [entry for entry in unused if not entry.is_dir() and entry.suffix.lower() not in TABLES]
    if others:
        shown = ", ".join(entry.name for entry in others[:3]) + (", ..." if len(others) > 3 else "")
        notes.append(f"Files of the references that are no label maps, not used: {shown}.")
    return notes


def _label_map_in(folder: Path) -> Path | None:
    images = _images_in(folder)
    named = [p for stem in LABEL_STEMS for p in images if stem_of(p).lower() == stem]
    if len(named) > 1:
        raise InputError(f"{folder}: expected one label map per case, found {named[0].name} and {named[1].name}.")
    if named:
        return named[0]
    return images[0] if len(images) == 1 else None if images else structure_set_in(folder)


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and suffix_of(p) and not p.name.startswith("."))


def pair(references: Mapping[str, Path], predictions: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The cases that both have, and sentences on those that only one has.

    Raises:
        InputError: If they have no case in common.
    """
    common = [name for name in predictions if name in references]
    if not common:
        some = ", ".join(list(predictions)[:3]) or "no case"
        others = ", ".join(list(references)[:3])
        raise InputError(f"Expected references of the predicted cases ({some} ...), found those of {others} ... only.")
    notes = []
    unreferenced = [name for name in predictions if name not in references]
    if unreferenced:
        notes.append(f"Without a reference, not evaluated: {', '.join(unreferenced)}.")
    spare = len(references) - len(common)
    if spare:
        notes.append(f"{spare} reference case(s) without a prediction asked for: not counted.")
    return common, notes
