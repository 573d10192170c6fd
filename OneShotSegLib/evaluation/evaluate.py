"""Label maps of a study or a folder, compared with references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from OneShotSegLib.evaluation.figures import StructureFigures
from OneShotSegLib.evaluation.matching import Predictions, find_predictions, find_references, pair
from OneShotSegLib.evaluation.metrics import compare, crop_to_both
from OneShotSegLib.evaluation.references import check_references, read_reference
from OneShotSegLib.evaluation.result import Evaluation
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map
from OneShotSegLib.imaging.labels import present_labels

Names = dict[int, str]


def evaluate(reference: Path, predictions: Path, edited: bool = False, skip_uncontoured: bool = False) -> Evaluation:
    """Compare label maps with references of the same case name, label value by label value, on the reference's grid.

    In a study the structures asked for are those of its label table, and a case of it that has no mask counts as a
    false negative of every structure. In a folder they are all that occur in any label map that is compared.

    Args:
        reference: Folder of label maps: ``<case>.nii.gz`` (any suffix) or ``<case>/seg.nii.gz``; for a study of DICOM
            series, of structure sets too: ``<case>.dcm``, or the one in the folder ``<case>``.
        predictions: A study, or a folder laid out like the references.
        edited: In a study, take the mask that counts after the review.
        skip_uncontoured: Leave out a structure in a case whose reference has no voxel of it: nobody contoured it,
            which does not say that it is not there. Otherwise what a prediction has of it counts as a false positive.

    Raises:
        InputError: If a folder or file is missing or broken, or no case is in both.
    """
    references = find_references(reference)
    check_references(references.values(), predictions)
    asked = find_predictions(predictions, edited)
    cases, notes = pair(references, asked.masks)
    labels = dict(asked.labels) or _labels_in(_paths(cases, references, asked))
    figures: list[StructureFigures] = []
    for case in cases:
        figures += _evaluate_case(case, references[case], asked.masks[case], predictions, labels, notes)
    if skip_uncontoured:
        figures, left_out = _without_uncontoured(figures)
        notes += [f"{left_out} structure(s) that a reference does not have: left out."] if left_out else []
    return Evaluation(figures=tuple(figures), labels=labels, notes=tuple(notes), predictions=predictions)


def _without_uncontoured(figures: list[StructureFigures]) -> tuple[list[StructureFigures], int]:
    """The figures with what only a prediction has marked as left out, and how many these are."""
    left_out = sum(figure.presence == "false positive" for figure in figures)
    evaluated = [
        replace(figure, presence="uncontoured", dice=None) if figure.presence == "false positive" else figure
        for figure in figures
    ]
    return evaluated, left_out


def _paths(cases: Iterable[str], references: dict[str, Path], asked: Predictions) -> Iterator[Path]:
    for case in cases:
        for path in (asked.masks[case], references[case]):
            if path is not None:
                yield path


def _labels_in(paths: Iterable[Path]) -> Names:
    """Value to name of all that occur; a segmentation's name replaces a numbered one, background is left out."""
    names: Names = {}
    background: set[int] = set()
    for path in paths:
        for segment in read_label_map(path).segments:
            if segment.is_background_stroke:
                background.add(segment.value)
            if names.get(segment.value, "").startswith("Structure ") or segment.value not in names:
                names[segment.value] = segment.name
    return {value: names[value] for value in sorted(names) if value not in background}


def _evaluate_case(
    case: str, reference: Path, mask: Path | None, study: Path, labels: Names, notes: list[str]
) -> list[StructureFigures]:
    truth = read_reference(case, reference, study, labels, notes)
    predicted = _predicted(case, truth, mask, notes)
    _note_unasked(case, truth, labels, notes)
    a, b = crop_to_both(truth.volume.array, predicted)
    spacing = truth.volume.spacing
    return [compare(case, value, name, a == value, b == value, spacing) for value, name in labels.items()]


def _predicted(case: str, truth: LabelMap, mask: Path | None, notes: list[str]) -> np.ndarray:
    """The predicted labels on the reference's grid."""
    if mask is None:
        notes.append(f"{case}: no mask, so every structure counts as a false negative.")
        return np.zeros(truth.volume.shape, dtype=np.uint8)
    volume = read_label_map(mask).volume
    if not volume.same_grid(truth.volume):
        notes.append(f"{case}: the prediction was resampled onto the reference's grid.")
    return resample_labels(volume, truth.volume).array


def _note_unasked(case: str, truth: LabelMap, labels: Names, notes: list[str]) -> None:
    unasked = [value for value in present_labels(truth.volume.array) if value not in labels]
    if unasked:
        values = ", ".join(str(value) for value in unasked)
        notes.append(f"{case}: label(s) {values} of the reference are not among the structures asked for.")
