"""A study as a raw dataset of nnU-Net v2: imagesTr, labelsTr and dataset.json."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.request import NNUNetRequest, plain
from OneShotSegLib.export.selection import (
    Notes,
    OnFailure,
    check_is_new,
    export_each,
    log_failure,
    read_result,
    rejected_of,
    results_to_export,
    write_case_table,
)
from OneShotSegLib.imaging.atomic import atomic_folder
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.label_grids import map_on_ct
from OneShotSegLib.imaging.labelmaps import Segment, consecutive
from OneShotSegLib.study.layout import StudyPaths, write_json
from OneShotSegLib.study.naming import unique_names
from OneShotSegLib.study.results import StudyResult, read_mask, study_structures

HIGHEST_ID = 999
ENDING = ".nii.gz"
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
TAKEN_LABELS = ("background", "ignore")
"""Names that mean something to nnU-Net."""

Tracked = Callable[[Sequence[StudyResult]], Iterable[StudyResult]]


def export_nnunet(request: NNUNetRequest, tracked: Tracked = iter, on_failure: OnFailure = log_failure) -> Path:
    """Write the dataset, whole or not at all, and nothing over what is there.

    Args:
        request: What to write.
        tracked: Wraps the cases to show progress.
        on_failure: Told of each case that could not be written; by default that is logged as a warning.

    Returns:
        The dataset's folder.

    Raises:
        InputError: If the study has nothing to export, a name does not fit, or the number or folder is taken.
    """
    _check(request)
    results = results_to_export(request.study, request.accepted_only)
    structures = study_structures(StudyPaths(request.study))
    names = unique_names(plain(result.case) for result in results)
    identifiers = {result.case: name for result, name in zip(results, names, strict=True)}
    notes: Notes = {}
    with atomic_folder(request.folder) as folder:

        def write_one(result: StudyResult) -> None:
            _write_case(folder, identifiers[result.case], result, structures, notes)

        done = export_each(tracked(results), write_one, on_failure)
        write_case_table(folder / "cases.csv", {identifiers[result.case]: result for result in done}, notes)
        write_json(folder / "dataset.json", _describe(request.folder.name, structures, done))
    return request.folder


def _check(request: NNUNetRequest) -> None:
    if not 1 <= request.dataset_id <= HIGHEST_ID:
        raise InputError(f"--dataset-id: expected a number from 1 to {HIGHEST_ID}, found {request.dataset_id}.")
    if request.name and not PLAIN.fullmatch(request.name):
        raise InputError(f"--name: expected letters, digits, _ and -, found {request.name!r}.")
    check_is_new(request.folder)
    taken = [p.name for p in request.raw.glob(f"Dataset{request.dataset_id:03d}_*") if p.suffix != ".unfinished"]
    others = [name for name in taken if name != request.folder.name]
    if others:
        raise InputError(f"--dataset-id: expected a number that is free in {request.raw}, found {others[0]} there.")


def _write_case(
    folder: Path, identifier: str, result: StudyResult, structures: Sequence[Segment], notes: Notes
) -> None:
    ct, labels = read_result(result, structures, notes)
    write_volume(ct, folder / "imagesTr" / f"{identifier}_0000{ENDING}")
    # On the CT's own grid to the last digit: nnU-Net compares the headers.
    array = consecutive(labels.volume, structures).array
    rejected = rejected_of(result, structures)
    if rejected:
        whole = map_on_ct(read_mask(result.mask, structures).labels, ct, result.mask).volume.array
        array = np.where(np.isin(whole, [segment.value for segment in rejected]), len(structures) + 1, array)
    write_volume(ct.with_array(array.astype(np.uint8)), folder / "labelsTr" / f"{identifier}{ENDING}")


def _describe(name: str, structures: Sequence[Segment], done: Sequence[StudyResult]) -> dict[str, Any]:
    names = unique_names((structure.name for structure in structures), TAKEN_LABELS)
    # What was rejected is no background: nnU-Net passes over the label of this name.
    some_rejected = any(rejected_of(result, structures) for result in done)
    ignored = {"ignore": len(structures) + 1} if some_rejected else {}
    count = len(done)
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{name: number for number, name in enumerate(names, 1)}, **ignored},
        "numTraining": count,
        "file_ending": ENDING,
        "name": name,
        "description": "Exported from an OneShotSeg study; cases.csv says what a reviewer accepted or corrected.",
    }
