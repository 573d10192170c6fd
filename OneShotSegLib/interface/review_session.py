"""The review of a study: its cases, the doubtful first, and decisions that are on disk at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.i18n import tr as _
from OneShotSegLib.scoring.suggestion import choose
from OneShotSegLib.study.description import StudyDescription, support_cases
from OneShotSegLib.study.layout import CasePaths, StudyPaths, read_json
from OneShotSegLib.study.quality import CaseQuality, read_quality
from OneShotSegLib.study.results import counting_mask
from OneShotSegLib.study.review import TRUSTED_STATES, ReviewLedger, ReviewState, StructureDecision

DOUBTFUL, FAIR = 0.5, 0.75
"""Scores below which a case is doubtful, or only fair."""
SUGGESTED = 3
"""As many as are corrected in one session; with each decision they are chosen anew."""


@dataclass(frozen=True, kw_only=True)
class StructureRow:
    """One structure of a case as the list of structures shows it.

    Attributes:
        name: Its name.
        score: 0-1.
        low: Nine of ten such structures have a Dice from this to ``high``; None where that was not measured.
        high: The other end.
        absent: Whether it is held to be absent.
        decision: What was decided of it alone; '' if nothing was.
    """

    name: str
    score: float
    low: float | None = None
    high: float | None = None
    absent: bool = False
    decision: str = ""


@dataclass(frozen=True, kw_only=True)
class ReviewRow:
    """One case as the table shows it.

    Attributes:
        case: Name.
        state: The decision.
        score: 0-1; None for a case that failed.
        structures: Name to score.
        worst: Name of the structure to look at first (`CaseQuality.worst`), '' if there is none.
        comment: The reviewer's comment.
        notes: Warnings, or why the case failed.
        has_edit: Whether there is a corrected mask.
        suggested: Whether it is among the cases whose correction would teach most.
        details: Its structures, the doubtful first.
        is_support: Whether it is a support with its own grown mask.
    """

    case: str
    state: ReviewState
    score: float | None
    structures: Mapping[str, float]
    worst: str
    comment: str
    notes: tuple[str, ...]
    has_edit: bool
    suggested: bool = False
    details: tuple[StructureRow, ...] = ()
    is_support: bool = False

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self.score is None

    @property
    def is_open(self) -> bool:
        """Whether it waits for a decision."""
        return self.state == "pending" and not self.failed

    @property
    def is_trusted(self) -> bool:
        """Whether a reviewer accepted or corrected it."""
        return self.state in TRUSTED_STATES

    @property
    def level(self) -> str:
        """How its score is coloured: bad, fair or good."""
        if self.score is None or self.score < DOUBTFUL:
            return "bad"
        return "fair" if self.score < FAIR else "good"

    @property
    def doubtful_first(self) -> list[str]:
        """Its structures in the order in which they are looked at."""
        return [one.name for one in self.details]

    @property
    def described(self) -> str:
        """What there is to say of it, a sentence per line."""
        scores = sorted(self.structures.items(), key=lambda entry: entry[1])
        lines = [", ".join(f"{name} {score:.2f}" for name, score in scores), *self.notes]
        if self.has_edit and self.state == "accepted":
            lines.append(_("There is a correction that does not count: the pseudo mask was accepted. Accept takes it."))
        elif self.has_edit and self.state != "edited":
            lines.append(_("There is a correction; Accept takes it."))
        if self.suggested:
            lines.append(_("Correcting it would teach most: it is doubtful, and unlike what was reviewed."))
        return "\n".join(line for line in lines if line)

    @property
    def rejected(self) -> tuple[str, ...]:
        """The structures that were rejected by themselves."""
        return tuple(one.name for one in self.details if one.decision == "rejected")

    @property
    def undecided(self) -> tuple[str, ...]:
        """The structures of which nothing was decided by itself."""
        return tuple(one.name for one in self.details if not one.decision)


class ReviewSession:
    """The cases of a study folder and what was decided on them.

    Every decision is written at once. After a restart, a new session on the same folder goes on where the last one was.
    """

    def __init__(self, study: StudyPaths) -> None:
        """Open a study folder.

        Raises:
            InputError: If the ledger is broken.
        """
        self.study = study
        self._ledger = ReviewLedger.load(study.review)
        self._rows: tuple[ReviewRow, ...] = ()
        self._qualities: dict[str, CaseQuality] = {}
        self._read_at: dict[str, int] = {}
        self._set_aside: list[tuple[tuple[Path, Path], ...]] = []
        self.refresh()

    @property
    def rows(self) -> tuple[ReviewRow, ...]:
        """All cases: the supports, those that failed, then by score, the doubtful first."""
        return self._rows

    @property
    def can_undo(self) -> bool:
        """Whether there is a decision to take back."""
        return self._ledger.can_undo

    @property
    def progress(self) -> tuple[int, int]:
        """How many cases are decided, of how many."""
        results = [row for row in self._rows if not row.failed]
        return sum(not row.is_open for row in results), len(results)

    def refresh(self) -> None:
        """Read the folder again: cases that were done since, corrections, decisions of others, removed files.

        Raises:
            InputError: If the study folder vanished, or its ledger is broken.
        """
        self._require_folder()
        folders = sorted(self.study.cases_folder.iterdir()) if self.study.cases_folder.is_dir() else []
        cases = [self.study.case(folder.name) for folder in folders if folder.is_dir()]
        self._qualities = {case.name: self._quality(case) for case in cases if case.is_done}
        self._ledger.refresh()
        self._ledger.ensure_cases(self._qualities.values())
        suggested, supports = self._suggested(), self._supports()
        rows = [
            replace(self._row(case), suggested=case.name in suggested, is_support=case.name in supports)
            for case in cases
            if case.name in self._qualities or case.failure.is_file()
        ]
        self._rows = tuple(sorted(rows, key=_place))

    def _supports(self) -> set[str]:
        try:
            return set(support_cases(self.study, StudyDescription.read(self.study)))
        except InputError:
            return set()  # a study that is still being made

    def _suggested(self) -> set[str]:
        """The cases to correct first; none while there are too few to choose from."""
        if len(self._qualities) <= SUGGESTED:
            return set()
        states = [self._ledger[name].state for name in self._qualities]
        waiting = [place for place, state in enumerate(states) if state == "pending"]
        known = [place for place, name in enumerate(self._qualities) if self._ledger[name].is_trusted]
        return {one.case for one in choose(list(self._qualities.values()), waiting, known, SUGGESTED)}

    def _quality(self, case: CasePaths) -> CaseQuality:
        written_at = case.quality.stat().st_mtime_ns
        known = self._qualities.get(case.name)
        if known is None or self._read_at.get(case.name) != written_at:
            known = read_quality(case.quality)
            self._read_at[case.name] = written_at
        return known

    def _row(self, case: CasePaths) -> ReviewRow:
        quality = self._qualities.get(case.name)
        if quality is None:
            return ReviewRow(
                case=case.name,
                state="pending",
                score=None,
                structures={},
                worst="",
                comment="",
                notes=(_failure(case.failure),),
                has_edit=False,
            )
        entry = self._ledger[case.name]
        scores = {structure.name: structure.score for structure in quality.structures}
        worst = quality.worst.name if quality.worst else ""
        notes = tuple(quality.warnings)
        return ReviewRow(
            case=case.name,
            state=entry.state,
            score=quality.score,
            structures=scores,
            worst=worst,
            comment=entry.comment,
            notes=notes,
            has_edit=case.edited_mask.is_file(),
            details=_details(quality, entry.structures),
        )

    def row(self, case: str) -> ReviewRow:
        """The row of a case.

        Raises:
            InputError: If there is no such case.
        """
        for row in self._rows:
            if row.case == case:
                return row
        raise InputError(_("{case}: expected a case of this study, found none of that name.").format(case=case))

    def position(self, case: str) -> int:
        """The row number of a case, -1 if there is none."""
        return next((number for number, row in enumerate(self._rows) if row.case == case), -1)

    def neighbour(self, case: str, step: int) -> str:
        """The case so many rows further; the first or last one at the ends; '' if there are no cases."""
        if not self._rows:
            return ""
        at = self.position(case)
        target = 0 if at < 0 else min(max(at + step, 0), len(self._rows) - 1)
        return self._rows[target].case

    def next_open(self, case: str) -> str:
        """The next case that waits for a decision, after this one and from the top again; '' if all are decided."""
        at = self.position(case) + 1
        order = (*self._rows[at:], *self._rows[:at])
        return next((row.case for row in order if row.is_open and row.case != case), "")

    def mask(self, case: str) -> Path:
        """The mask of a case that counts.

        Raises:
            InputError: If there is no such case.
        """
        return counting_mask(self.study.case(case), self.row(case).state)

    def accept(self, case: str) -> tuple[str, ...]:
        """Accept a case as it is, or its corrected mask if there is one; sentences of the ledger, if any."""
        return self._decide(case, "edited" if self.row(case).has_edit else "accepted")

    def reject(self, case: str) -> tuple[str, ...]:
        """Reject a case."""
        return self._decide(case, "rejected")

    def reopen(self, case: str) -> tuple[str, ...]:
        """Have a case that was decided wait for a decision again."""
        return () if self.row(case).state == "pending" else self._decide(case, "pending")

    def decide_structure(self, case: str, structure: str, decision: StructureDecision | None) -> tuple[str, ...]:
        """Decide on one structure of a case; None takes that back."""
        self._require_folder()
        self._ledger.decide_structure(case, structure, decision)
        self._set_aside.append(())
        return self._save()

    def discard(self, case: str) -> Path:
        """Set a case's correction aside, with its strokes: it waits for a decision again; the file that keeps it.

        Raises:
            InputError: If there is none, or it cannot be moved.
        """
        # Only now: Slicer starts faster without what reads corrections.
        from OneShotSegLib.study.correction import discard_correction

        self._require_folder()
        files = self.study.case(case)
        strokes = files.discarded_strokes() if files.strokes.is_file() else None
        try:
            kept = discard_correction(files)
        except OSError as error:
            text = _("{case}: the correction cannot be set aside: {reason}.")
            raise InputError(text.format(case=case, reason=error.strerror or error)) from error
        moved = ((kept, files.edited_mask), *(((strokes, files.strokes),) if strokes is not None else ()))
        self._decide(case, "pending", set_aside=moved)
        return kept

    def comment(self, case: str, text: str) -> tuple[str, ...]:
        """Keep the reviewer's comment; the decision stays."""
        return self._decide(case, self.row(case).state, text)

    def _decide(
        self,
        case: str,
        state: ReviewState,
        comment: str | None = None,
        set_aside: tuple[tuple[Path, Path], ...] = (),
    ) -> tuple[str, ...]:
        self._require_folder()
        if self.row(case).failed:
            raise InputError(_("{case}: there is no result to decide on; the case failed.").format(case=case))
        self._ledger.decide(case, state, comment)
        self._set_aside.append(set_aside)
        return self._save()

    def undo(self) -> str:
        """Take back the last decision of this session, a correction that it set aside included; its case, or ''."""
        self._require_folder()
        entry = self._ledger.undo()
        if entry is None:
            return ""
        for kept, original in self._set_aside.pop() if self._set_aside else ():
            if kept.is_file() and not original.exists():
                kept.rename(original)
        self._save()
        return entry.case

    def _save(self) -> tuple[str, ...]:
        try:
            notes = self._ledger.save()
        except OSError as error:
            self._ledger.undo()
            if self._set_aside:
                self._set_aside.pop()
            text = _("The decision could not be written to {path}: {reason}.")
            raise InputError(text.format(path=self.study.review, reason=error.strerror or error)) from error
        self.refresh()
        return notes

    def _require_folder(self) -> None:
        if not self.study.root.is_dir():
            text = _("{path}: the study folder is no longer there.")
            raise InputError(text.format(path=self.study.root))


def _place(row: ReviewRow) -> tuple[bool, float, str]:
    return not row.is_support, -1.0 if row.score is None else row.score, row.case


def _details(quality: CaseQuality, decisions: Mapping[str, str]) -> tuple[StructureRow, ...]:
    """A case's structures, the doubtful first, those that are absent last."""
    worst = quality.worst.name if quality.worst else ""
    ordered = sorted(quality.structures, key=lambda one: (one.state == "absent", one.name != worst, one.score))
    return tuple(
        StructureRow(
            name=one.name,
            score=one.score,
            low=one.score_low,
            high=one.score_high,
            absent=one.state == "absent",
            decision=decisions.get(one.name, ""),
        )
        for one in ordered
    )


def _failure(path: Path) -> str:
    try:
        return str(read_json(path)["error"])
    except (InputError, KeyError, TypeError):
        return _("The case failed.")
