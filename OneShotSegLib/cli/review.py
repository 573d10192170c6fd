"""The review from the shell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.decisions import Decisions, corrections_that_do_not_count, decide
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import STRUCTURE_DECISIONS, ReviewLedger, StructureDecision


def parse_edited(texts: Iterable[str]) -> dict[str, Path]:
    """Case to file, of texts of the form CASE=FILE.

    Raises:
        InputError: If a text has another form, or a case is there twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        case, equals, file = text.partition("=")
        if not case or not equals or not file:
            raise InputError(f"--edited: expected CASE=FILE, found {text!r}.")
        if case in found:
            raise InputError(f"--edited: expected one file per case, found two for {case}.")
        found[case] = Path(file)
    return found


def parse_structures(texts: Iterable[str]) -> dict[str, dict[str, StructureDecision | None]]:
    """Case to structures and decisions, of texts of the form CASE/STRUCTURE=DECISION.

    Raises:
        InputError: If a text has another form, or a structure is there twice.
    """
    found: dict[str, dict[str, StructureDecision | None]] = {}
    known: dict[str, StructureDecision | None] = {**{name: name for name in STRUCTURE_DECISIONS}, "open": None}
    for text in texts:
        # A structure may be named with any sign; a case and a decision may not.
        place, equals, decision = text.rpartition("=")
        case, slash, structure = place.partition("/")
        if not (equals and slash and case and structure and decision in known):
            raise InputError(f"--structure: expected CASE/STRUCTURE=DECISION ({', '.join(known)}), found {text!r}.")
        if structure in found.setdefault(case, {}):
            raise InputError(f"--structure: expected one decision per structure, found two for {place}.")
        found[case][structure] = known[decision]
    return found


def show_review(study: Path, decisions: Decisions) -> None:
    """Note the decisions, then print the ledger, the doubtful cases first.

    Raises:
        InputError: As `decide`; then nothing is written.
    """
    paths = StudyPaths(study)
    console = Console()
    ledger, sentences = decide(paths, decisions)
    for sentence in sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(_table(ledger))
    console.print(", ".join(f"{count} {state}" for state, count in ledger.counts().items()))
    cases = (case.case for case in StudyDescription.read(paths).cases)
    for sentence in filter(None, (ledger.decisions_on_no_case(cases), *corrections_that_do_not_count(paths, ledger))):
        console.print(sentence, markup=False, soft_wrap=True)


def _table(ledger: ReviewLedger) -> Table:
    with_structures = any(entry.structures for entry in ledger)
    table = Table("case", "state", "score", *(["structures"] if with_structures else []), "comment")
    for entry in sorted(ledger, key=lambda entry: entry.score or 0.0):
        score = "" if entry.score is None else f"{entry.score:.2f}"
        structures = ", ".join(f"{name} {decision}" for name, decision in entry.structures.items())
        cells = (entry.case, entry.state, score, *([structures] if with_structures else []), entry.comment)
        table.add_row(*map(_plain, cells))
    return table


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
