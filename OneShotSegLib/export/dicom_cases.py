"""What the exports to DICOM have in common: which cases go out, and what is written of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.selection import (
    Notes,
    OnFailure,
    check_is_new,
    export_each,
    log_failure,
    read_result,
    results_to_export,
)
from OneShotSegLib.imaging.atomic import atomic_folder
from OneShotSegLib.imaging.dicom.headers import quiet_pydicom, read_header, text
from OneShotSegLib.imaging.dicom_series import series_slices
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import StudyResult, study_structures

MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""What a series must have, if only empty, and anonymised ones may lack."""
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")

Tracked = Callable[[Sequence[StudyResult]], Iterable[StudyResult]]
WriteCase = Callable[[StudyResult, Volume, LabelMap, Path], None]
"""Writes one case: the case, its CT, its mask on the CT's grid with the structures that occur in it, the new file."""


def export_cases(
    study: Path,
    folder: Path,
    write: WriteCase,
    accepted_only: bool = True,
    tracked: Tracked = iter,
    on_failure: OnFailure = log_failure,
) -> tuple[list[Path], dict[str, str]]:
    """Write ``<case>.dcm`` for each case whose CT is a DICOM series; the folder appears when all are done.

    Args:
        study: The study folder.
        folder: A new or empty folder.
        write: Writes one case.
        accepted_only: Leave out what waits for review.
        tracked: Wraps the cases to show progress.
        on_failure: Told of each case that could not be written.

    Returns:
        The files, and for each case that was passed over because there is nothing to write of it, the reason.

    Raises:
        InputError: If no case has a DICOM series, none can be written, or the folder holds something.
    """
    check_is_new(folder)
    results = results_to_export(study, accepted_only)
    passed_over = {r.case: "its CT is no DICOM series, passed over." for r in results if r.ct.is_file()}
    series = [result for result in results if result.case not in passed_over]
    if not series:
        raise InputError(f"{study}: expected cases whose CT is a folder with a DICOM series, found none.")
    structures = study_structures(StudyPaths(study))
    notes: Notes = {}
    with atomic_folder(folder) as temporary:

        @quiet_pydicom()
        def write_one(result: StudyResult) -> None:
            ct, labels = read_result(result, structures, notes)
            there = _that_occur(labels)
            if not there:
                passed_over[result.case] = "it has no structure, passed over."
                return
            check_can_be_referred_to(result)
            file = temporary / f"{result.case}.dcm"
            try:
                write(result, ct, LabelMap(labels.volume, there), file)
            except BaseException:
                file.unlink(missing_ok=True)
                raise

        done = export_each(tracked(series), write_one, on_failure)
    return [folder / f"{r.case}.dcm" for r in done if r.case not in passed_over], passed_over


def _that_occur(labels: LabelMap) -> tuple[Segment, ...]:
    """The structures that this mask has."""
    return tuple(segment for segment in labels.segments if (labels.volume.array == segment.value).any())


def check_can_be_referred_to(result: StudyResult) -> None:
    """Refuse a series whose slices no other object can refer to, one by one.

    Raises:
        InputError: If it lacks a UID that may not be empty, or several slices have one and the same.
    """
    stack = series_slices(result.ct, result.series)
    first = read_header(stack.slices[0].file, [*NEEDED])
    missing = [keyword for keyword in NEEDED if first is None or not text(first, keyword)]
    if missing:
        raise InputError(
            f"{result.ct}: expected a series that other objects can refer to, found none of its {', '.join(missing)}."
        )
    uids = [one.uid for one in stack.slices if one.frame is None]
    if len(set(uids)) < len(uids):
        raise InputError(
            f"{result.ct}: expected a UID of its own for each slice (SOPInstanceUID), found {len(set(uids))} for "
            f"{len(uids)} slices: nothing could refer to one of them."
        )
