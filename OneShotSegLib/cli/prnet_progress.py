"""A training on the terminal: what is planned, a bar with the time left, and a line for each check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from OneShotSegLib.timer import in_words


class TrainingProgress:
    """Shows the events of a training on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %, {task.fields[left]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task: TaskID | None = None
        self.output = ""

    def __call__(self, event: str, **fields: Any) -> None:
        """Show the event."""
        action = getattr(self, f"_on_{event}", None)
        if action is not None:
            action(**fields)

    def _on_started(self, study: str, **_: Any) -> None:
        self.output = study
        self._line("Reading the CTs ...")

    def _on_left_out(self, path: str, reason: str, **_: Any) -> None:
        self._line(f"Not used: {path}: {reason}")

    def _on_planned(self, text: str, **_: Any) -> None:
        self._line(text)

    def _on_case_started(self, case: str, **_: Any) -> None:
        self.bar.start()
        self.task = self.bar.add_task(case, total=1.0, left="starting")

    def _on_step(self, case: str, step: str, fraction: float, seconds_left: float | None = None, **_: Any) -> None:
        left = "" if seconds_left is None else f"{in_words(seconds_left)} left"
        self._line(f"{case}: {step}" + (f", {left}" if left else ""))
        if self.task is not None:
            self.bar.update(self.task, completed=fraction, left=left or "starting")

    def _on_case_done(self, case: str, resumed: bool = False, **fields: Any) -> None:
        self._line(f"{case}: {'done before' if resumed else self._result(fields)}")
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.task = None

    def _result(self, fields: Mapping[str, Any]) -> str:
        """What a stage ended with, by the fields of its "case_done" event."""
        return (
            f"done after {fields['steps']} steps; the best weights, of step {fields['best_step']}, are off by "
            f"{fields['held_out_error_mm']:.1f} mm per axis on the CTs held out"
        )

    def _on_finished(self, **_: Any) -> None:
        self.bar.stop()
        self._line(f"Weights: {self.output}")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
