"""Taking a run back: the study is again of the revision before, with the results that the run replaced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from OneShotSegLib.errors import InputError
from OneShotSegLib.report.html import write_report
from OneShotSegLib.runner.standing import Standing, standings
from OneShotSegLib.study.case_state import result_of
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.locking import exclusive
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.replacement import (
    copy_result,
    discard,
    finish_replacements,
    forget_replaced,
    place_result,
)
from OneShotSegLib.study.results import is_decided
from OneShotSegLib.study.review import ReviewLedger


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """What was taken back.

    Attributes:
        revision: Number of the revision that the study is of now.
        restored: Cases whose result came back.
        decided: Cases with a decision or a reviewer's work, which stay as they are.
        recomputed: Cases with a result of another revision, which the next run computes anew.
    """

    revision: int
    restored: tuple[str, ...]
    decided: tuple[str, ...]
    recomputed: tuple[str, ...]

    @property
    def text(self) -> str:
        """The same in words."""
        parts = [f"The study is of revision {self.revision} again: {_count(self.restored)} got the result of before"]
        parts += [f"{_count(self.decided)} {_verb(self.decided, 'stays', 'stay')} as decided"] if self.decided else []
        if self.recomputed:
            parts.append(
                f"{_count(self.recomputed)} {_verb(self.recomputed, 'is', 'are')} computed anew by the next run"
            )
        return f"{'; '.join(parts)}."


def take_back(paths: StudyPaths) -> TakenBack:
    """Return to the revision before the present one.

    The results that the present revision replaced come back, except in cases that were decided since. What the run that
    began it used, such as changed strokes, is the user's own: given again, it begins another revision.

    Args:
        paths: The study.

    Raises:
        InputError: If the folder is no study, its present revision is the first, the ledger is broken, or a run is at
            work on it; then nothing was changed.
        OSError: If something cannot be written; called again, it goes on.
    """
    StudyDescription.read(paths)  # before its folder is locked, which would make it
    with exclusive(paths):
        description = StudyDescription.read(paths)
        before = description.revision_of(description.present.before)
        if before is None:
            raise InputError(f"{paths.root}: expected a revision to return to, found a study of its first one.")
        ledger = ReviewLedger.load(paths.review)
        finish_replacements(paths)
        names = [case.case for case in description.cases]
        open_cases = [
            name
            for name in names
            if not is_decided(paths.case(name), ledger.state_of(name), ledger.structures_of(name))
        ]
        restored = tuple(name for name in open_cases if _restore(paths, name, description.revision))
        # After the results: what was not restored when this process ends is restored when it is called again.
        description = description.at(before)
        description.write(paths)
        forget_replaced(paths)
        found = standings(paths, description)
        _update_scores(paths, [one.quality for one in found.values() if one.quality is not None])
        write_report(paths.root)
    return TakenBack(
        revision=before.number,
        restored=restored,
        decided=tuple(name for name, one in found.items() if one.standing is Standing.DECIDED),
        recomputed=tuple(name for name, one in found.items() if one.standing is Standing.RECOMPUTED),
    )


def _restore(paths: StudyPaths, case: str, revision: int) -> bool:
    """Give a case the result of before, if this revision replaced one of the same CT."""
    kept, fresh = paths.replaced(case), paths.unfinished(case)
    present, older = result_of(paths.case(case)), result_of(kept)
    if present is None or older is None or present.revision != revision or not _have_one_ct(present, older):
        return False
    copy_result(kept, fresh)
    place_result(paths, case)
    discard(kept)
    return True


def _have_one_ct(one: CaseQuality, other: CaseQuality) -> bool:
    return one.ct is None or other.ct is None or one.ct.fingerprint == other.ct.fingerprint


def _update_scores(paths: StudyPaths, qualities: Iterable[CaseQuality]) -> None:
    ledger = ReviewLedger.load(paths.review)
    ledger.ensure_cases(qualities)
    ledger.save()


def _verb(cases: tuple[str, ...], one: str, many: str) -> str:
    return one if len(cases) == 1 else many


def _count(cases: tuple[str, ...]) -> str:
    return f"{len(cases)} case{'' if len(cases) == 1 else 's'}"
