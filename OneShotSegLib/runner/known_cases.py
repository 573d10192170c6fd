"""The cases of a study that goes on: whose CT moved, and whose CT is another one by now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.study.case_ct import (
    OTHER_CT,
    check_ct,
    fingerprint_of_ct,
    is_at_a_glance,
    is_other_ct,
    read_case_ct,
)
from OneShotSegLib.study.case_state import result_of
from OneShotSegLib.study.description import StudyCase, StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CTRecord
from OneShotSegLib.study.results import is_decided
from OneShotSegLib.study.review import ReviewLedger


@dataclass
class KnownCases:
    """The cases of a study, compared with what lies at their paths and among the queries.

    Attributes:
        cases: All of them, with new sources where the CT moved.
        redo: Cases that nobody decided on and whose CT is another one: their results are to be made anew.
        failed: Cases that were decided and whose CT is another one, each with a sentence.
        notes: What is to be said of it.
    """

    cases: list[StudyCase] = field(default_factory=list)
    redo: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def known_cases(paths: StudyPaths, cts: Sequence[FoundCT]) -> KnownCases:
    """Look at the CTs of a study's cases: at their files' size and time, and at the voxels where these changed.

    A case whose CT is gone, or is another one, gets the CT among the queries that has its content, wherever that lies.

    Args:
        paths: The study; there may be none yet.
        cts: The CTs of the queries.

    Raises:
        InputError: If study.json or the ledger is broken.
    """
    found = KnownCases()
    if not paths.description.exists():
        return found
    found.cases += StudyDescription.read(paths).cases
    lost = {case.case for case in found.cases if _is_lost(paths, case)}
    if lost:
        _find_again(paths, found, lost, cts)
        _decide(paths, found, lost)
    return found


def _is_lost(paths: StudyPaths, case: StudyCase) -> bool:
    """Whether a case's CT is gone, or another one lies in its place."""
    return not Path(case.source).exists() or is_other_ct(paths.case(case.case), case.source, case.series)


def _find_again(paths: StudyPaths, found: KnownCases, lost: set[str], cts: Sequence[FoundCT]) -> None:
    """Give the cases whose CT is lost a new source, as far as their CT is among the queries."""
    taken = {case.place for case in found.cases if case.case not in lost}
    candidates = [ct for ct in cts if StudyCase("", str(ct.path), ct.series).place not in taken]
    read: dict[FoundCT, str] = {}
    for number, case in enumerate(found.cases):
        if case.case not in lost:
            continue
        ct = _same_ct(paths, case, candidates, read)
        if ct is None:
            continue
        candidates.remove(ct)
        lost.discard(case.case)
        description = ct.description if ct.series else ""
        found.cases[number] = replace(case, source=str(ct.path), series=ct.series, description=description)
        if str(ct.path) != case.source:
            found.notes.append(f"{case.case}: the CT moved to {ct.path}.")


def _same_ct(
    paths: StudyPaths, case: StudyCase, candidates: Sequence[FoundCT], read: dict[FoundCT, str]
) -> FoundCT | None:
    """The CT among the queries that a case was made of, or is to be made of."""
    files = paths.case(case.case)
    quality = result_of(files)
    if quality is None and not files.edited_mask.is_file():
        # Nothing was made of it yet: the one file of the same name, if the old one is gone.
        same = [ct for ct in candidates if ct.path.name == Path(case.source).name and ct.series == case.series]
        return same[0] if len(same) == 1 and not Path(case.source).exists() else None
    if quality is None or quality.ct is None:
        return None
    record = quality.ct
    named = [ct for ct in candidates if ct.path.name == Path(case.source).name]
    alike = [ct for ct in named if is_at_a_glance(record, ct.path)]
    if len(alike) == 1 and not Path(case.source).exists():
        return alike[0]
    # Those of the same name first: they are the likeliest, and each has to be read.
    for ct in dict.fromkeys((*named, *candidates)):
        if _may_be(ct, record) and _fingerprint(ct, read) == record.fingerprint:
            with suppress(InputError, OSError):
                check_ct(files, read_case_ct(ct.path, ct.series), ct.path)  # for its record: size and time are new
            return ct
    return None


def _may_be(ct: FoundCT, record: CTRecord) -> bool:
    """Whether a CT's header does not speak against its being the one of a record."""
    if len(ct.size) == 3:
        return sorted(ct.size) == sorted(record.size)
    return all(extent in record.size for extent in ct.size)


def _fingerprint(ct: FoundCT, read: dict[FoundCT, str]) -> str:
    if ct not in read:
        try:
            read[ct] = fingerprint_of_ct(read_case_ct(ct.path, ct.series))
        except (InputError, OSError):
            read[ct] = ""
    return read[ct]


def _decide(paths: StudyPaths, found: KnownCases, lost: set[str]) -> None:
    """What becomes of the cases in whose place another CT lies: those that nobody decided on are done anew."""
    ledger = ReviewLedger.load(paths.review)
    for case in found.cases:
        files = paths.case(case.case)
        if case.case not in lost or not Path(case.source).exists():
            continue
        if not is_decided(files, ledger.state_of(case.case), ledger.structures_of(case.case)):
            found.redo.append(case.case)
            found.notes.append(f"{case.case}: {OTHER_CT}: it is done anew.")
        else:
            found.failed[case.case] = (
                f"{case.source}: expected the CT that the case was made of, found another one; its mask was decided "
                "on and stays as it is."
            )


def discard_results(paths: StudyPaths, cases: Sequence[str]) -> None:
    """Make cases ones that are not done, for a run to do them anew.

    Raises:
        OSError: If a file cannot be removed.
    """
    for case in cases:
        paths.case(case).quality.unlink(missing_ok=True)
