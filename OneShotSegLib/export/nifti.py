"""A study's masks as plain NIfTI label maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from OneShotSegLib.export.selection import (
    Notes,
    OnFailure,
    check_is_new,
    export_each,
    log_failure,
    read_labels,
    results_to_export,
    write_case_table,
)
from OneShotSegLib.imaging.atomic import atomic_folder
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.study.csv_table import write_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import StudyResult, study_structures


def export_nifti(
    study: Path,
    folder: Path,
    accepted_only: bool = True,
    tracked: Callable[[Sequence[StudyResult]], Iterable[StudyResult]] = iter,
    on_failure: OnFailure = log_failure,
) -> Path:
    """Write ``<case>.nii.gz`` for each case with the study's own label values, whole or not at all.

    ``structures.csv`` names the values; ``cases.csv`` says what the reviewer decided of each case, and
    what of a mask was not matched with the study's structures by name.

    Args:
        study: The study folder.
        folder: A new or empty folder.
        accepted_only: Leave out what waits for review.
        tracked: Wraps the cases to show progress.
        on_failure: Told of each case that could not be written; by default that is logged as a warning.

    Raises:
        InputError: If the study has nothing to export, a mask cannot be matched, or the folder holds something.
    """
    check_is_new(folder)
    results = results_to_export(study, accepted_only)
    structures = study_structures(StudyPaths(study))
    notes: Notes = {}
    with atomic_folder(folder) as temporary:

        def write_one(result: StudyResult) -> None:
            write_volume(read_labels(result, structures, notes).volume, temporary / f"{result.case}.nii.gz")

        done = export_each(tracked(results), write_one, on_failure)
        write_case_table(temporary / "cases.csv", {f"{result.case}.nii.gz": result for result in done}, notes)
        rows = [{"value": s.value, "name": s.name, "color": " ".join(map(str, s.color))} for s in structures]
        write_table(temporary / "structures.csv", ("value", "name", "color"), rows)
    return folder
