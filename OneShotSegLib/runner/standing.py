"""What a run finds of a case: whether it is to be done, is done, is recomputed, or stays because it was decided."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from OneShotSegLib.study.case_state import result_of
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.results import has_counting_mask, is_decided
from OneShotSegLib.study.review import ReviewLedger


class Standing(StrEnum):
    """What becomes of a case in a run."""

    NEW = "new"
    WAITING = "to be done"
    RECOMPUTED = "recomputed"
    DONE = "done before"
    DECIDED = "decided"
    SUPPORT = "a support"

    @property
    def stays(self) -> bool:
        """Whether its result stays as it is."""
        return self not in (Standing.NEW, Standing.WAITING, Standing.RECOMPUTED)


@dataclass(frozen=True)
class CaseStanding:
    """A case and its result, if it has one.

    Attributes:
        standing: What becomes of it.
        quality: Of its result; None if it has none, or if its measures were lost.
    """

    standing: Standing
    quality: CaseQuality | None = None


def standings(
    paths: StudyPaths, description: StudyDescription, support_cts: Collection[str] = ()
) -> dict[str, CaseStanding]:
    """What becomes of each case of a study, by name.

    Args:
        paths: The study.
        description: It, with the revision of the run as the present one.
        support_cts: Fingerprints of the scribbled supports' CTs: a case whose CT is one keeps what it has.

    Raises:
        InputError: If the ledger is broken.
    """
    ledger = ReviewLedger.load(paths.review)
    found = {}
    for case in description.cases:
        files = paths.case(case.case)
        quality = result_of(files)
        state = ledger.state_of(case.case)
        decided = is_decided(files, state, ledger.structures_of(case.case))
        if quality is None and not (decided and has_counting_mask(files, state)):
            standing = Standing.WAITING
        elif decided or quality is None:
            standing = Standing.DECIDED
        elif description.is_current(quality.revision):
            standing = Standing.DONE
        elif quality.ct is not None and quality.ct.fingerprint in support_cts:
            standing = Standing.SUPPORT
        else:
            standing = Standing.RECOMPUTED
        found[case.case] = CaseStanding(standing, quality)
    return found


def revision_text(description: StudyDescription, found: Collection[CaseStanding]) -> str:
    """What the present revision changes, and how many cases are recomputed, in one sentence."""
    present = description.present
    before = description.revision_of(present.before)
    changes = "; ".join(present.changes_from(before)) if before is not None else ""
    counts = {standing: sum(one.standing is standing for one in found) for standing in Standing}
    recomputed, decided = counts[Standing.RECOMPUTED], counts[Standing.DECIDED]
    what = f"{recomputed} case{' is' if recomputed == 1 else 's are'} recomputed"
    stay = f", {decided} decided one{' stays' if decided == 1 else 's stay'}" if decided else ""
    return f"Revision {present.number}{': ' if changes else ''}{changes}: {what}{stay}."
