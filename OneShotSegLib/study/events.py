"""What a run tells while it works: JSON lines for machines, a progress bar for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Listener(Protocol):
    """Whoever wants to know how a run goes on."""

    def __call__(self, event: str, **fields: Any) -> None:
        """Take one event.

        Args:
            event: "started", "planned" (training only), "case_started", "step", "notice", "case_done", "case_failed"
                or "finished".
            fields: What belongs to it; all can be written as JSON.
        """


def silent(event: str, **fields: Any) -> None:
    """A listener that takes no notice."""


class JsonListener:
    """Writes one JSON object a line, at once, so that a parent process sees it as it happens."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout

    def __call__(self, event: str, **fields: Any) -> None:
        """Write the event."""
        print(json.dumps({"event": event, **fields}), file=self.stream, flush=True)


class ProgressListener:
    """Shows a bar with the time left over the batch, and what is being done; on standard error."""

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

    def __call__(self, event: str, **fields: Any) -> None:
        """Show the event."""
        action: Callable[..., None] | None = getattr(self, f"_on_{event}", None)
        if action is not None:
            action(**fields)

    def _on_started(self, cases: list[str], **_: Any) -> None:
        self.bar.start()
        self.task = self.bar.add_task("starting", total=len(cases))

    def _on_step(self, case: str, step: str, **_: Any) -> None:
        if self.task is not None:
            self.bar.update(self.task, description=f"{case}: {step}")

    def _on_case_done(self, case: str, score: float, seconds: float | None = None, **_: Any) -> None:
        took = "done before" if seconds is None else f"{seconds:.1f} s"
        self._end_case(case, f"{case}: score {score:.2f}, {took}")

    def _on_case_failed(self, case: str, error: str, **_: Any) -> None:
        self._end_case(case, f"{case}: failed: {error}")

    def _on_notice(self, text: str, case: str = "", **_: Any) -> None:
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
