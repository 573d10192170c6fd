"""The results of a study as they stand after the review: which mask of a case counts, and what is thought of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.quality import CaseQuality, read_quality
from OneShotSegLib.study.review import ReviewLedger, ReviewState

TRUSTED_STATES: tuple[ReviewState, ...] = ("accepted", "edited")


@dataclass(frozen=True)
class StudyResult:
    """A case that has a mask.

    Attributes:
        case: The case's name.
        ct: Its CT: a file, or a folder with a DICOM series.
        mask: The reviewer's corrected mask if she decided for it, else the pseudo mask.
        state: What was decided; "pending" if nothing was.
        quality: Its measures; None where there are none.
    """

    case: str
    ct: Path
    mask: Path
    state: ReviewState
    quality: CaseQuality | None

    @property
    def trusted(self) -> bool:
        """Whether a reviewer accepted or corrected it."""
        return self.state in TRUSTED_STATES


def study_results(paths: StudyPaths) -> Iterator[StudyResult]:
    """The cases of a study that have a mask, in the study's order, rejected ones too.

    Raises:
        InputError: If the folder is no study, or a file of it is broken.
    """
    ledger = ReviewLedger.load(paths.review)
    for case in StudyDescription.read(paths).cases:
        state: ReviewState = ledger[case.case].state if case.case in ledger else "pending"
        files = paths.case(case.case)
        mask = _mask_that_counts(files, state)
        if mask.is_file():
            quality = read_quality(files.quality) if files.is_done else None
            yield StudyResult(case.case, Path(case.source), mask, state, quality)


def _mask_that_counts(files: CasePaths, state: ReviewState) -> Path:
    return files.edited_mask if state == "edited" and files.edited_mask.is_file() else files.pseudo_mask


def study_structures(paths: StudyPaths) -> tuple[Segment, ...]:
    """The structures of a study, in its table's order, without the background stroke.

    Raises:
        InputError: If the folder is no study, or its table has gaps.
    """
    description = StudyDescription.read(paths)
    try:
        return tuple(
            Segment(entry["value"], entry["name"], tuple(entry["color"]))
            for entry in description.labels
            if entry["value"] != description.background_label
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{paths.description}: expected a value, name and color of each label, found gaps.") from error
