"""A batch on the terminal: a bar with the time left, and one line per case; on standard error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from OneShotSegLib.cli.plan import not_used
from OneShotSegLib.imaging.inputs import Kind, LeftOut


class BatchProgress:
    """Shows the events of a batch; an `OneShotSegLib.events.Emit`.

    Args:
        console: Where to; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task: TaskID | None = None
        self.ended: set[str] = set()
        self.left_out: list[LeftOut] = []

    def __call__(self, event: str, **fields: Any) -> None:
        """Show the event."""
        if event != "left_out" and self.left_out:
            self._show_left_out()
        action: Callable[..., None] | None = getattr(self, f"_on_{event}", None)
        if action is not None:
            action(**fields)

    def _on_started(self, cases: list[str], **_: Any) -> None:
        self.bar.start()
        self.task = self.bar.add_task("starting", total=len(cases))

    def _on_left_out(self, path: str, kind: str, reason: str, count: int = 1, **_: Any) -> None:
        self.left_out.append(LeftOut(path=Path(path), kind=Kind(kind), reason=reason, count=count))

    def _show_left_out(self) -> None:
        for line in not_used(self.left_out):
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self.left_out.clear()

    def _on_step(self, case: str, step: str, **_: Any) -> None:
        if self.task is not None:
            self.bar.update(self.task, description=f"{case}: {step}")

    def _on_case_done(
        self, case: str, score: float, seconds: float | None = None, score_before: float | None = None, **_: Any
    ) -> None:
        took = "done before" if seconds is None else f"{seconds:.1f} s"
        before = "" if score_before is None else f" ({score_before:.2f} before)"
        self._end_case(case, f"{case}: score {score:.2f}{before}, {took}")

    def _on_revision(self, text: str, **_: Any) -> None:
        self._print(text)

    def _on_case_failed(self, case: str, error: str, **_: Any) -> None:
        self._end_case(case, f"{case}: failed: {error}")

    def _on_warning(self, text: str, case: str = "", **_: Any) -> None:
        self._print(f"{case}: {text}" if case else text)

    def _on_finished(self, **_: Any) -> None:
        self.bar.stop()

    def _end_case(self, case: str, text: str) -> None:
        self._print(text)
        if self.task is not None and case not in self.ended:  # a case that is tried again counts once
            self.bar.advance(self.task)
        self.ended.add(case)

    def _print(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)
