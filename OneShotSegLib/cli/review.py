"""The review from the shell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.decisions import Decisions, corrections_that_do_not_count, decide
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewLedger


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
    for sentence in corrections_that_do_not_count(paths, ledger):
        console.print(sentence, markup=False, soft_wrap=True)


def _table(ledger: ReviewLedger) -> Table:
    table = Table("case", "state", "score", "comment")
    for entry in sorted(ledger, key=lambda entry: entry.score or 0.0):
        score = "" if entry.score is None else f"{entry.score:.2f}"
        table.add_row(*(_plain(text) for text in (entry.case, entry.state, score, entry.comment)))
    return table


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
