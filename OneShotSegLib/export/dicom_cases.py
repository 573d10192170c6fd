"""What the exports to DICOM have in common: which cases go out, and what is written of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.selection import check_is_new, read_result, results_to_export
from OneShotSegLib.imaging.atomic import atomic_folder
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import OTHER_CT, OtherCTError
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import StudyResult, study_structures

Tracked = Callable[[Sequence[StudyResult]], Iterable[StudyResult]]
WriteCase = Callable[[StudyResult, Volume, LabelMap, Path], None]
"""Writes one case: the case, its CT, its mask on the CT's grid with the structures that occur in it, the new file."""


def export_cases(
    study: Path, folder: Path, write: WriteCase, accepted_only: bool = True, tracked: Tracked = iter
) -> tuple[list[Path], dict[str, str]]:
    """Write ``<case>.dcm`` for each case whose CT is a DICOM series, all or none.

    Args:
        study: The study folder.
        folder: A new or empty folder.
        write: Writes one case.
        accepted_only: Leave out what waits for review.
        tracked: Wraps the cases to show progress.

    Returns:
        The files, and for each case that was passed over, the reason.

    Raises:
        InputError: If no case has a DICOM series, or the folder holds something.
    """
    check_is_new(folder)
    results = results_to_export(study, accepted_only)
    passed_over = {r.case: "its CT is no DICOM series, passed over." for r in results if not r.ct.is_dir()}
    series = [result for result in results if result.case not in passed_over]
    if not series:
        raise InputError(f"{study}: expected cases whose CT is a folder with a DICOM series, found none.")
    structures = study_structures(StudyPaths(study))
    with atomic_folder(folder) as temporary:
        for result in tracked(series):
            try:
                ct, labels = read_result(result)
            except OtherCTError:
                passed_over[result.case] = f"{OTHER_CT}, passed over."
                continue
            there = _that_occur(structures, labels)
            if there:
                write(result, ct, LabelMap(labels.volume, there), temporary / f"{result.case}.dcm")
            else:
                passed_over[result.case] = "it has no structure, passed over."
    return [folder / f"{r.case}.dcm" for r in series if r.case not in passed_over], passed_over


def _that_occur(structures: Sequence[Segment], labels: LabelMap) -> tuple[Segment, ...]:
    """The structures that this mask has, each as its own file describes it where it does (with terminology)."""
    described = {segment.value: segment for segment in labels.segments if segment.tags}
    named = [described.get(structure.value, structure) for structure in structures]
    return tuple(segment for segment in named if (labels.volume.array == segment.value).any())
