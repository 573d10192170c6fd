"""The review ledger: what the reviewer decided of each case, in review.csv."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.csv_table import read_table, write_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.review_lock import briefly_locked

ReviewState = Literal["pending", "accepted", "rejected", "edited"]
STATES: tuple[ReviewState, ...] = get_args(ReviewState)
TRUSTED_STATES: tuple[ReviewState, ...] = ("accepted", "edited")
"""A reviewer vouches for the mask: it counts as a reference, and is never changed."""
COLUMNS = ("case", "state", "score", "comment", "time")
StructureDecision = Literal["accepted", "doubtful", "rejected"]
STRUCTURE_DECISIONS: tuple[StructureDecision, ...] = get_args(StructureDecision)
MOST_SHOWN = 8
STRUCTURES = "structures"
"""The column of decisions on single structures; it is there once there is one."""


@dataclass(frozen=True, kw_only=True)
class ReviewEntry:
    """One row of the ledger.

    Attributes:
        case: The case's name.
        state: What was decided; "pending" until then.
        score: The case's quality score, 0-1; None if it is not known.
        comment: The reviewer's comment.
        time: When it was decided, ISO 8601 in UTC; empty while nothing was.
        structures: Name of a structure to what was decided of it alone; of the others, what was decided of the case.
        extra: Columns that someone else added to the file, kept as they are.
    """

    case: str
    state: ReviewState = "pending"
    score: float | None = None
    comment: str = ""
    time: str = ""
    structures: Mapping[str, StructureDecision] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_trusted(self) -> bool:
        """Whether a reviewer accepted or corrected the case."""
        return self.state in TRUSTED_STATES

    def same_decision(self, other: ReviewEntry) -> bool:
        """Whether both hold the same decision: state, comment, time and structures."""
        mine = (self.state, self.comment, self.time, dict(self.structures))
        return mine == (other.state, other.comment, other.time, dict(other.structures))


@dataclass(frozen=True)
class _Stamp:
    """What tells one state of a file from another: every writing puts another file in its place."""

    inode: int
    modified: int
    size: int


_read_last: dict[Path, tuple[_Stamp, ReviewLedger]] = {}


def ledger_on_disk(path: Path) -> ReviewLedger:
    """A ledger as its file is by now, to be read only; it is read again only if it has changed since the last call.

    So a batch that asks before each case stays linear in the number of its cases.

    Raises:
        InputError: If it is no ledger.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        return ReviewLedger(path)
    stamp = _Stamp(state.st_ino, state.st_mtime_ns, state.st_size)
    before = _read_last.get(path)
    if before is None or before[0] != stamp:
        _read_last.clear()  # one study at a time
        _read_last[path] = stamp, ReviewLedger.load(path)
    return _read_last[path][1]


class ReviewLedger:
    """The decisions of a study's reviewer.

    Nothing is silently lost on saving. The file is read again first and merged with what changed here since loading:
    a row that only one side changed takes that change; decisions and scores are merged apart, so that a new score never
    touches a decision; a row that only one side has stays. Where both sides decided the same case differently, the
    later decision stays and `save` returns a sentence that names the one that gave way. Columns that others added stay.
    """

    def __init__(self, path: Path, entries: Iterable[ReviewEntry] = ()) -> None:
        self.path = path
        self._entries = {entry.case: entry for entry in entries}
        self._on_disk = dict(self._entries)
        self._undo: list[ReviewEntry] = []

    @classmethod
    def load(cls, path: Path) -> ReviewLedger:
        """Read a ledger; a file that is not there is an empty one.

        Raises:
            InputError: With the file and line, if it is no ledger; the file is left as it is.
        """
        return cls(path, _read(path))

    def __iter__(self) -> Iterator[ReviewEntry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, case: str) -> bool:
        return case in self._entries

    def __getitem__(self, case: str) -> ReviewEntry:
        try:
            return self._entries[case]
        except KeyError:
            raise InputError(f"{case}: expected a case of this study, found none of that name.") from None

    def state_of(self, case: str) -> ReviewState:
        """What was decided of a case; "pending" where it has no row."""
        return self._entries[case].state if case in self._entries else "pending"

    def structures_of(self, case: str) -> Mapping[str, StructureDecision]:
        """What was decided of single structures of a case, by name; nothing where it has no row."""
        return self._entries[case].structures if case in self._entries else {}

    @property
    def can_undo(self) -> bool:
        """Whether there is a decision of this ledger object to take back."""
        return bool(self._undo)

    def decisions_on_no_case(self, cases: Iterable[str]) -> str:
        """A sentence on decisions in rows that are of none of the study's cases; '' if there are none.

        A spreadsheet makes 1 of a case 001, and a date of 3-4.
        """
        known = set(cases)
        lost = [entry for entry in self if entry.case not in known and (entry.state != "pending" or entry.structures)]
        if not lost:
            return ""
        shown = ", ".join(f"'{entry.case}' {entry.state}" for entry in lost[:MOST_SHOWN])
        more = f" and {len(lost) - MOST_SHOWN} more" if len(lost) > MOST_SHOWN else ""
        return f"{self.path.name} has decisions on no case of this study, not used: {shown}{more}."

    def counts(self) -> dict[ReviewState, int]:
        """How many cases are in each state."""
        return {state: sum(entry.state == state for entry in self) for state in STATES}

    def ensure_cases(self, qualities: Iterable[CaseQuality]) -> None:
        """Add the cases that are new, as pending, and update every score; decisions stay as they are."""
        for quality in qualities:
            entry = self._entries.get(quality.case, ReviewEntry(case=quality.case))
            self._entries[quality.case] = replace(entry, score=round(quality.score, 4))

    def decide(self, case: str, state: ReviewState, comment: str | None = None) -> ReviewEntry:
        """Note a decision, now.

        A case that has a saved correction is never accepted without it: its state is "edited" then, as in the shell
        and in Slicer.

        Args:
            case: The case's name.
            state: The decision; "pending" opens the case again.
            comment: The reviewer's comment; None keeps the one of before.

        Raises:
            InputError: If there is no such case or state.
        """
        before = self[case]
        if state not in STATES:
            raise InputError(f"{case}: expected a state of {', '.join(STATES)}, found {state!r}.")
        if state == "accepted" and StudyPaths(self.path.parent).case(case).edited_mask.is_file():
            state = "edited"
        after = replace(before, state=state, comment=before.comment if comment is None else comment, time=_now())
        self._undo.append(before)
        self._entries[case] = after
        return after

    def decide_structure(self, case: str, structure: str, decision: StructureDecision | None) -> ReviewEntry:
        """Note a decision on one structure of a case, now; the case's own state stays.

        Args:
            case: The case's name.
            structure: The structure's name.
            decision: None takes it back: what is decided of the case then holds for the structure.

        Raises:
            InputError: If there is no such case or decision.
        """
        before = self[case]
        if decision is not None and decision not in STRUCTURE_DECISIONS:
            raise InputError(f"{case}: expected a decision of {', '.join(STRUCTURE_DECISIONS)}, found {decision!r}.")
        others = {name: one for name, one in before.structures.items() if name != structure}
        structures = others if decision is None else {**others, structure: decision}
        after = replace(before, structures=structures, time=_now())
        self._undo.append(before)
        self._entries[case] = after
        return after

    def undo(self) -> ReviewEntry | None:
        """Take the last decision back (again for the one before it); the entry as it is now, None if there is none.

        Only decisions made through this object can be taken back; a score that came since then stays.
        """
        if not self._undo:
            return None
        before = self._undo.pop()
        restored = replace(before, score=self._entries[before.case].score)
        self._entries[before.case] = restored
        return restored

    def refresh(self) -> tuple[str, ...]:
        """Take in what others wrote to the file since it was read (see the class); nothing is written.

        Returns:
            As `save`.

        Raises:
            InputError: If the file is broken by now; what is in memory stays.
        """
        theirs = {entry.case: entry for entry in _read(self.path)}
        self._entries, notes = self._merged_with(theirs)
        self._on_disk = {**self._on_disk, **theirs}
        return notes

    def save(self) -> tuple[str, ...]:
        """Merge with what the file holds by now (see the class) and write it, whole or not at all.

        Several programs may save at once: one waits for the other.

        Returns:
            A sentence for each decision that gave way to a later one made elsewhere or here.

        Raises:
            InputError: If the file is broken by now: it is left as it is, and the decisions stay in memory.
        """
        with briefly_locked(self.path):
            theirs = {entry.case: entry for entry in _read(self.path)}
            merged, notes = self._merged_with(theirs)
            _write(self.path, merged.values())
        self._entries, self._on_disk = merged, dict(merged)
        return notes

    def _merged_with(self, theirs: Mapping[str, ReviewEntry]) -> tuple[dict[str, ReviewEntry], tuple[str, ...]]:
        notes: list[str] = []
        merged: dict[str, ReviewEntry] = {}
        for case in dict.fromkeys((*theirs, *self._entries)):
            merged[case] = self._merge(case, theirs.get(case), notes)
        return merged, tuple(notes)

    def _merge(self, case: str, theirs: ReviewEntry | None, notes: list[str]) -> ReviewEntry:
        ours = self._entries.get(case)
        if ours is None or theirs is None:
            kept = ours or theirs
            assert kept is not None  # the case came from one of the two
            return kept
        base = self._on_disk.get(case, ReviewEntry(case=case))
        decided = _merged_decision(base, ours, theirs, notes)
        score = theirs.score if ours.score == base.score else ours.score
        return replace(decided, score=score, extra=theirs.extra)


def _merged_decision(base: ReviewEntry, ours: ReviewEntry, theirs: ReviewEntry, notes: list[str]) -> ReviewEntry:
    if ours.same_decision(base) or ours.same_decision(theirs):
        return theirs
    if theirs.same_decision(base):
        return ours
    kept, lost = (theirs, ours) if _timestamp(theirs.time) > _timestamp(ours.time) else (ours, theirs)
    notes.append(
        f"{ours.case}: two decisions met; kept {_in_words(kept)}, which is the later one, over {_in_words(lost)}."
    )
    return kept


def _in_words(entry: ReviewEntry) -> str:
    comment = f" ({entry.comment})" if entry.comment else ""
    structures = "".join(f", {name} {decision}" for name, decision in entry.structures.items())
    return f"'{entry.state}'{structures}{comment}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _timestamp(time: str) -> float:
    """Seconds since 1970 of an ISO time (without a zone: UTC); no time is before all others."""
    if not time:
        return -math.inf
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _read(path: Path) -> list[ReviewEntry]:
    if not path.exists():
        return []
    entries: dict[str, ReviewEntry] = {}
    for number, row in read_table(path, COLUMNS).rows:
        entry = _entry(f"{path}, line {number}", row)
        if entry.case in entries:
            raise InputError(f"{path}, line {number}: expected each case once, found {entry.case!r} again.")
        entries[entry.case] = entry
    return list(entries.values())


def _entry(place: str, row: Mapping[str, str]) -> ReviewEntry:
    # Names of cases have one form of letters with accents, and no blanks around them (`study.naming`).
    case = unicodedata.normalize("NFC", row["case"].strip(" \u00a0"))
    if not case:
        raise InputError(f"{place}: expected the name of a case, found an empty cell.")
    state: Any = row["state"].strip().lower()
    if state not in STATES:
        raise InputError(f"{place}: expected a state of {', '.join(STATES)}, found {row['state']!r}.")
    extra = {name: text for name, text in row.items() if name not in (*COLUMNS, STRUCTURES)}
    return ReviewEntry(
        case=case,
        state=state,
        score=_score(place, row["score"]),
        comment=row["comment"],
        time=_time(place, row["time"]),
        structures=_structures(place, row.get(STRUCTURES, "")),
        extra=extra,
    )


def _structures(place: str, text: str) -> Mapping[str, StructureDecision]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
        well = isinstance(found, dict) and all(decision in STRUCTURE_DECISIONS for decision in found.values())
    except (ValueError, TypeError, RecursionError):
        well = False
    if not well:
        raise InputError(
            f"{place}: expected structures and decisions of {', '.join(STRUCTURE_DECISIONS)} as in "
            f'{{"Mandible": "rejected"}}, found {text!r}.'
        )
    return dict(found)


def _score(place: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        # A spreadsheet of another language may have saved a decimal comma.
        score = float(text.replace(",", "."))
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise InputError(f"{place}: expected a score from 0 to 1, found {text!r}.")
    return score


def _time(place: str, text: str) -> str:
    try:
        _timestamp(text.strip())
    except (ValueError, OverflowError):
        raise InputError(f"{place}: expected an ISO 8601 time, found {text!r}.") from None
    return text.strip()


def _write(path: Path, entries: Iterable[ReviewEntry]) -> None:
    rows = [_row(entry) for entry in entries]
    added = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    write_table(path, (*COLUMNS, *added), rows)


def _row(entry: ReviewEntry) -> dict[str, object]:
    own = {"case": entry.case, "state": entry.state, "score": entry.score}
    row: dict[str, object] = {**entry.extra, **own, "comment": entry.comment, "time": entry.time}
    return {**row, STRUCTURES: json.dumps(dict(entry.structures), ensure_ascii=False)} if entry.structures else row
