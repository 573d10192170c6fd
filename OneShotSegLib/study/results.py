"""The results of a study as they stand after the review: which mask of a case counts, and what was decided of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_matching import MatchedLabels, read_matched
from OneShotSegLib.imaging.labelmaps import Segment, name_key
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.quality import CaseQuality, read_quality
from OneShotSegLib.study.review import TRUSTED_STATES, ReviewLedger, ReviewState, StructureDecision

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """A case that has a mask.

    Attributes:
        case: The case's name.
        ct: Its CT: a file, or a folder with a DICOM series.
        mask: The one that counts; see `counting_mask`.
        state: What was decided; "pending" if nothing was, or if the correction that was decided on is gone.
        quality: Its measures; None where there are none.
        series: Series instance UID of the CT, where its folder holds several CT series; else ''.
        decisions: What was decided of single structures, by name; of the others, what was decided of the case.
    """

    case: str
    ct: Path
    mask: Path
    state: ReviewState
    quality: CaseQuality | None
    series: str = ""
    decisions: Mapping[str, StructureDecision] = field(default_factory=dict)

    @property
    def files(self) -> CasePaths:
        """The case's files."""
        return CasePaths(self.mask.parent)

    @property
    def trusted(self) -> bool:
        """Whether a reviewer accepted or corrected it."""
        return self.state in TRUSTED_STATES

    def keys_of(self, *decisions: StructureDecision) -> frozenset[str]:
        """The structures of which one of these was decided: names as `name_key` has them."""
        return frozenset(name_key(name) for name, decision in self.decisions.items() if decision in decisions)


def study_results(paths: StudyPaths, without_broken_measures: bool = False) -> Iterator[StudyResult]:
    """The cases of a study that have a mask, in the study's order, rejected ones too.

    Args:
        paths: The study.
        without_broken_measures: Take a case whose quality.json is broken as one without measures, and log a warning.

    Raises:
        InputError: If the folder is no study, or a file of it is broken.
    """
    ledger, description = ReviewLedger.load(paths.review), StudyDescription.read(paths)
    lost = ledger.decisions_on_no_case(case.case for case in description.cases)
    if lost:
        log.warning("%s", lost)
    for case in description.cases:
        state, files = ledger.state_of(case.case), paths.case(case.case)
        if state == "edited" and not files.edited_mask.is_file():
            log.warning(
                "%s: its correction (edited.seg.nrrd) is gone: it counts as a case that nobody decided on.", case.case
            )
            state = "pending"
        mask = counting_mask(files, state)
        if mask.is_file():
            quality = _quality(files, without_broken_measures)
            yield StudyResult(
                case=case.case,
                ct=Path(case.source),
                mask=mask,
                state=state,
                quality=quality,
                series=case.series,
                decisions=ledger.structures_of(case.case),
            )


def _quality(files: CasePaths, without_broken: bool) -> CaseQuality | None:
    try:
        return read_quality(files.quality) if files.is_done else None
    except InputError as error:
        if not without_broken:
            raise
        log.warning("%s: its measures are left out: %s", files.name, error)
        return None


def counting_mask(files: CasePaths, state: ReviewState) -> Path:
    """Which mask of a case counts: the correction where there is one, unless the reviewer accepted the pseudo mask.

    A correction that nobody decided on yet counts too: it is the reviewer's latest work.
    """
    has_correction = files.edited_mask.is_file() and state != "accepted"
    return files.edited_mask if has_correction else files.pseudo_mask


def has_counting_mask(files: CasePaths, state: ReviewState) -> bool:
    """Whether the mask is there that was decided on; a correction that is gone is not replaced by the pseudo mask."""
    return files.edited_mask.is_file() or (state != "edited" and files.pseudo_mask.is_file())


def is_decided(files: CasePaths, state: ReviewState, structures: Collection[str] = ()) -> bool:
    """Whether a case's results must stay: a reviewer decided on it, corrected it or painted strokes into it.

    Args:
        files: The case's files.
        state: What was decided of the case.
        structures: Structures of it of which something was decided.
    """
    return state != "pending" or bool(structures) or files.edited_mask.is_file() or files.strokes.is_file()


def read_mask(mask: Path, structures: Sequence[Segment]) -> MatchedLabels:
    """A case's mask with the study's structures and values, matched by name; see `match_labels`.

    A pseudo mask was written with the study's values. So a structure that was renamed in study.json since is still
    found, which is said. In a correction, which may come from anywhere, names alone count.

    Args:
        mask: The mask that counts; see `counting_mask`.
        structures: The study's structures.

    Raises:
        InputError: If it cannot be read or matched.
    """
    return read_matched(mask, structures, same_values=mask.name == CasePaths(mask.parent).pseudo_mask.name)


def study_structures(paths: StudyPaths) -> tuple[Segment, ...]:
    """The structures of a study, in its table's order, without the background stroke.

    Raises:
        InputError: If the folder is no study, or its table has gaps.
    """
    return StudyDescription.read(paths).structures
