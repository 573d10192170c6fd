"""The review from the shell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewLedger


def show_review(study: Path, accept: Sequence[str], reject: Sequence[str], comment: str | None) -> None:
    """Note the decisions, then print the ledger, the doubtful cases first.

    Raises:
        InputError: If the folder is no study, or a case is not in it; then nothing is written.
    """
    paths = StudyPaths(study)
    StudyDescription.read(paths)
    ledger = ReviewLedger.load(paths.review)
    for case in accept:
        ledger.decide(case, "accepted", comment)
    for case in reject:
        ledger.decide(case, "rejected", comment)
    console = Console()
    if accept or reject:
        for sentence in ledger.save():
            console.print(sentence, markup=False)
    console.print(_table(ledger))
    console.print(", ".join(f"{count} {state}" for state, count in ledger.counts().items()))


def _table(ledger: ReviewLedger) -> Table:
    table = Table("case", "state", "score", "comment")
    for entry in sorted(ledger, key=lambda entry: entry.score or 0.0):
        score = "" if entry.score is None else f"{entry.score:.2f}"
        table.add_row(*(_plain(text) for text in (entry.case, entry.state, score, entry.comment)))
    return table


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
