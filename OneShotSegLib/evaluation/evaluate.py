"""Label maps of a study or a folder, compared with references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation.figures import StructureFigures
from OneShotSegLib.evaluation.matching import find_predictions, find_references, pair, unused_references
from OneShotSegLib.evaluation.metrics import compare, crop_to_both
from OneShotSegLib.evaluation.references import check_references, read_reference, structures_of
from OneShotSegLib.evaluation.result import Evaluation
from OneShotSegLib.evaluation.shared_labels import Names, shared_labels
from OneShotSegLib.imaging.boxes import box_on_grid, whole_box
from OneShotSegLib.imaging.label_matching import match_labels
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import read_mask
from OneShotSegLib.study.structure_table import read_named_label_map


def evaluate(reference: Path, predictions: Path, edited: bool = False, skip_uncontoured: bool = False) -> Evaluation:
    """Compare label maps with references of the same case name, structure by structure, on the reference's grid.

    Structures are matched by name; label maps without names by value. In a study the structures asked for are those of
    its label table, and a case of it that has no mask counts as a false negative of every structure. In a folder they
    are all that occur in any label map that is compared.

    Args:
        reference: Folder of label maps: ``<case>.nii.gz`` (any suffix) or ``<case>/seg.nii.gz``; for a study of DICOM
            series, of structure sets too: ``<case>.dcm``, or the one in the folder ``<case>``.
        predictions: A study, or a folder laid out like the references.
        edited: In a study, take the mask that counts after the review.
        skip_uncontoured: Leave out a structure in a case whose reference has no voxel of it: nobody contoured it,
            which does not say that it is not there. Otherwise what a prediction has of it counts as a false positive.

    Raises:
        InputError: If a folder or file is missing or broken, no case is in both, or structures cannot be matched.
    """
    references = find_references(reference)
    check_references(references.values(), predictions)
    asked = find_predictions(predictions, edited)
    cases, notes = pair(references, asked.masks)
    notes += unused_references(reference)
    if asked.labels:
        labels = dict(asked.labels)
    else:
        labels, of_names = shared_labels(cases, references, asked.masks)
        notes += of_names
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


def _evaluate_case(
    case: str,
    reference: Path,
    mask: Path | None,
    predictions: Path,
    labels: Names,
    notes: list[str],
) -> list[StructureFigures]:
    # In folders the table is made of the files: what each of them does not have was said once.
    of_names = notes if StudyPaths(predictions).description.is_file() else []
    truth = read_reference(case, reference, predictions, labels, of_names)
    predicted = _predicted(case, truth, mask, predictions, labels, notes, of_names)
    a, b = crop_to_both(truth.volume.array, predicted)
    spacing = truth.volume.spacing
    return [compare(case, value, name, a == value, b == value, spacing) for value, name in labels.items()]


def _predicted(
    case: str,
    truth: LabelMap,
    mask: Path | None,
    predictions: Path,
    labels: Names,
    notes: list[str],
    of_names: list[str],
) -> np.ndarray:
    """The predicted labels on the reference's grid."""
    if mask is None:
        notes.append(f"{case}: no mask, so every structure counts as a false negative.")
        return np.zeros(truth.volume.shape, dtype=np.uint8)
    structures = structures_of(labels)
    is_study = StudyPaths(predictions).description.is_file()
    matched = read_mask(mask, structures) if is_study else match_labels(read_named_label_map(mask), structures, mask)
    of_names += [f"{case}: {note}" for note in matched.notes]
    volume = matched.labels.volume
    if not volume.same_grid(truth.volume):
        notes.append(f"{case}: the prediction was resampled onto the reference's grid{_beyond(case, volume, truth)}.")
    return resample_labels(volume, truth.volume).array


def _beyond(case: str, predicted: Volume, truth: LabelMap) -> str:
    """How much of a prediction the reference's grid does not hold, as the end of a sentence.

    Raises:
        InputError: If the two have no place in common, so that they cannot be masks of one CT.
    """
    box = box_on_grid(whole_box(predicted.shape), predicted, truth.volume)
    if box is None:
        raise InputError(
            f"{case}: expected a reference in the place of the CT ({predicted.describe_grid()}), found one elsewhere "
            f"({truth.volume.describe_grid()})."
        )
    painted = np.argwhere(predicted.array)
    if not len(painted):
        return ""
    there = np.rint(truth.volume.to_index(predicted.to_world(painted)))
    outside = float(np.mean(((there < 0) | (there >= truth.volume.shape)).any(axis=1)))
    return f", beyond which {max(outside, 0.01):.0%} of it lie" if outside else ""
