"""Which CT of a list would be the best support: the events of `oneshotseg suggest-support`, and sentences on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from OneShotSegLib.events import Event
from OneShotSegLib.interface.i18n import tr as _

FEWEST_TO_COMPARE = 5
"""As `OneShotSegLib.fusion.support_advice` has it, which Slicer's process must not load: it needs SciPy."""
MOST_NAMED = 3
"""Outliers that are named; more are counted."""


@dataclass(frozen=True, kw_only=True)
class RankedCT:
    """A CT as a support.

    Attributes:
        ct: Its file or folder, as it was given.
        why: What tells it from the middle of the batch, a phrase.
        outlier: Why it should not be the support, a phrase; '' if nothing speaks against it.
    """

    ct: Path
    why: str
    outlier: str


@dataclass
class SupportSuggestion:
    """What has been said so far.

    Attributes:
        total: How many CTs there are.
        read: How many were begun.
        ranked: The best first.
        failed: Those that could not be read.
        finished: Whether all is said.
    """

    total: int = 0
    read: int = 0
    ranked: list[RankedCT] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    finished: bool = False

    def take(self, event: Event) -> None:
        """Follow an event."""
        if event.kind == "started":
            self.total = len(event.texts("cases"))
        elif event.kind == "case_started":
            self.read += 1
        elif event.kind == "case_failed":
            self.failed.append(event.case)
        elif event.kind == "support_suggested":
            texts = {name: str(event.fields.get(name) or "") for name in ("ct", "why", "outlier")}
            self.ranked.append(RankedCT(ct=Path(texts["ct"]), why=texts["why"], outlier=texts["outlier"]))
        elif event.kind == "finished":
            self.finished = True

    @property
    def best(self) -> RankedCT | None:
        """The CT to scribble; None if none is fit to be the support."""
        return self.ranked[0] if self.ranked and not self.ranked[0].outlier else None

    def of(self, ct: Path) -> RankedCT | None:
        """What was said of a CT."""
        return next((one for one in self.ranked if one.ct.absolute() == ct.absolute()), None)

    def describe_progress(self) -> str:
        """How far it is."""
        if not self.total:
            return _("Looking for the best support…")
        return _("Looking for the best support: CT {number} of {total}…").format(
            number=min(max(self.read, 1), self.total), total=self.total
        )

    def describe(self, names: dict[Path, str], chosen: Path | None) -> Iterator[str]:
        """Sentences on the result, what concerns the chosen support first.

        Args:
            names: CT to its name for the user; others have that of their file.
            chosen: The CT that is the support now; None if there is none.
        """
        own = self.of(chosen) if chosen is not None else None
        if own is not None and own.outlier:
            yield _("{name} may not be a good support: {reason}.").format(name=_name(own, names), reason=own.outlier)
        best = self.best
        if best is not None and best is own:
            yield _("{name} is the best support of these {count} CTs.").format(
                name=_name(best, names), count=len(self.ranked)
            )
        elif best is not None:
            yield _("The best support of these {count} CTs is {name}: {why}.").format(
                count=len(self.ranked), name=_name(best, names), why=best.why
            )
        elif self.ranked:
            yield _("None of these {count} CTs is much like the others.").format(count=len(self.ranked))
        outliers = [one for one in self.ranked if one.outlier and one is not own]
        for one in outliers[:MOST_NAMED]:
            yield _("{name} is unlike the others: {reason}.").format(name=_name(one, names), reason=one.outlier)
        if len(outliers) > MOST_NAMED:
            yield _("{count} more are unlike the others.").format(count=len(outliers) - MOST_NAMED)
        if self.failed:
            yield _("Could not be read: {names}.").format(names=", ".join(self.failed))
        if self.ranked and len(self.ranked) < FEWEST_TO_COMPARE:
            yield _("Of fewer than {count} CTs it cannot be said which ones are unlike the others.").format(
                count=FEWEST_TO_COMPARE
            )


def _name(one: RankedCT, names: dict[Path, str]) -> str:
    return names.get(one.ct, one.ct.name)
