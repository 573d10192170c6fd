"""What to correct first, on the terminal or for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from OneShotSegLib.scoring.suggestion import Suggestion, suggest


def show_suggestions(study: Path, count: int, as_json: bool) -> None:
    """Print the cases whose correction would teach most.

    Raises:
        InputError: If the folder is no study, or the count is not positive.
    """
    found = suggest(study, count)
    if as_json:
        print(json.dumps([asdict(suggestion) for suggestion in found], indent=2))
    elif found:
        Console().print(_table(found))
    else:
        Console().print("No case waits for review.")


def _table(found: Sequence[Suggestion]) -> Table:
    table = Table("case", "look at", "worth", "doubt", "novelty", box=None)
    for one in found:
        table.add_row(Text(one.case), Text(one.structure), f"{one.worth:.2f}", f"{one.doubt:.2f}", f"{one.novelty:.2f}")
    return table
