"""`oneshotseg suggest-support`: which CT to scribble, as a table on standard output or as events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OneShotSegLib.cli.batch_progress import BatchProgress
from OneShotSegLib.cli.options import print_error
from OneShotSegLib.cli.plan import table_lines
from OneShotSegLib.events import JsonEvents
from OneShotSegLib.fusion.support_advice import FEWEST_TO_COMPARE
from OneShotSegLib.runner.support_advice import SuggestedSupport, suggest_support

HEAD = ("Rank", "Case", "Why", "CT")


def show_support_advice(volumes: Sequence[Path], series: Sequence[str], count: int, as_events: bool) -> bool:
    """Rank the CTs of a batch as supports and print the best ones and the outliers.

    Returns:
        Whether all of them could be read.

    Raises:
        InputError: If a path is not there, or nothing is a CT.
    """
    found = suggest_support(volumes, series, JsonEvents() if as_events else _Progress())
    ranked = [one for one in found if one.rank]
    failed = len(found) - len(ranked)
    if ranked and not as_events:
        _print(ranked, count)
    print_error(f"{len(ranked)} CTs compared, {failed} failed.")
    return failed == 0


def _print(ranked: Sequence[SuggestedSupport], count: int) -> None:
    rows = [(str(one.rank), one.case, _why(one), str(one.ct)) for one in ranked[:count]]
    for line in table_lines([HEAD, *rows]):
        print(line)
    if len(ranked) > count:
        print(f"... and {len(ranked) - count} more (--count).")
    for one in ranked[count:]:
        if one.outlier:
            print(f"{one.case}: {_why(one)} ({one.ct}).")
    if len(ranked) < FEWEST_TO_COMPARE:
        print(f"Of fewer than {FEWEST_TO_COMPARE} CTs it cannot be said which ones are outliers.")


def _why(one: SuggestedSupport) -> str:
    return f"an outlier: {one.outlier}" if one.outlier else one.why


class _Progress(BatchProgress):
    """Shows which CT is being read."""

    def _on_case_started(self, case: str, **_: Any) -> None:
        if self.task is not None:
            self.bar.update(self.task, description=case)
            self.bar.advance(self.task)

    def _on_case_failed(self, case: str, error: str, **_: Any) -> None:
        self._print(f"{case}: failed: {error}")
