"""One run from the panel's point of view: make the files that it reads, run the child process, report."""

from __future__ import annotations

import errno
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Event
from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.interface.i18n import tr as _
from OneShotSegLib.interface.jobs.inputs import Export
from OneShotSegLib.interface.jobs.progress import RunProgress
from OneShotSegLib.interface.jobs.worker import AlreadyRunningError, JobOutcome, Worker

FULL_DISK_BYTES = 1_000_000
WITH_TEXT = ("warning", "planned", "left_out", "revision")
"""The events whose text is shown in the log."""


class RunState(Enum):
    """What the panel shows."""

    IDLE = "idle"
    PREPARING = "preparing"
    RUNNING = "running"
    CANCELLING = "cancelling"


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What to do.

    Attributes:
        title: What it is, for the log.
        arguments: Of the command line.
        folder: Where results go, to distinguish a full disk from other errors.
        exports: Files to be made first.
        makes_cases: Whether its cases are those of the study, to be loaded as they are done.
        on_success: What to do when all went well.
    """

    title: str
    arguments: Sequence[str]
    folder: Path
    exports: Sequence[Export] = field(default_factory=tuple)
    makes_cases: bool = False
    on_success: Callable[[], None] = lambda: None


class RunObserver(Protocol):
    """Shows a run."""

    def on_state(self, state: RunState) -> None:
        """The state changed."""

    def on_progress(self, progress: RunProgress) -> None:
        """Something moved on."""

    def on_case(self, case: str) -> None:
        """A case has its results."""

    def on_log(self, line: str) -> None:
        """A line for the log."""

    def on_end(self, outcome: JobOutcome) -> None:
        """It is over; the state is idle again."""


class Background(Protocol):
    """Where what a run reads is written."""

    def run(
        self,
        function: Callable[[], Any],
        done: Callable[[Any], None] = ...,
        failed: Callable[[Exception], None] = ...,
    ) -> None:
        """Run a function; its result or its error is delivered by `poll`, or at once."""

    def poll(self) -> None:
        """Deliver what is ready; returns at once."""

    def forget(self) -> None:
        """Drop what is not needed any more."""


class AtOnce:
    """Writes in this thread, at once: for a user interface that is another process."""

    def run(
        self,
        function: Callable[[], Any],
        done: Callable[[Any], None] = lambda result: None,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Run a function and deliver its result or its error."""
        try:
            result = function()
        except (InputError, OSError) as error:
            failed(error)
            return
        done(result)

    def poll(self) -> None:
        """Nothing waits."""

    def forget(self) -> None:
        """Nothing waits."""


class RunController:
    """At most one run at a time. `poll` moves everything on; nothing here waits.

    Attributes:
        progress: Of the present or last run.
        plan: The present or last run.
    """

    def __init__(
        self, observer: RunObserver, worker: Worker | None = None, background: Background | None = None
    ) -> None:
        self._observer = observer
        self._worker = worker or Worker()
        self._background = background or AtOnce()
        self._exports: deque[Export] = deque()
        self._state = RunState.IDLE
        self.progress = RunProgress()
        self.plan: RunPlan | None = None

    @property
    def state(self) -> RunState:
        """The present state."""
        return self._state

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._state is not RunState.IDLE

    def start(self, plan: RunPlan) -> None:
        """Start a run.

        Raises:
            AlreadyRunningError: If one is under way.
        """
        if self.busy:
            raise AlreadyRunningError(_("A run is already under way: wait for its end, or cancel it."))
        self.plan = plan
        self.progress = RunProgress()
        self._exports = deque(plan.exports)
        self._observer.on_log(plan.title)
        self._to(RunState.PREPARING)
        self._next_export()

    def poll(self) -> None:
        """Move on; returns at once."""
        self._background.poll()
        self._worker.poll()

    def cancel(self) -> None:
        """Stop; the cases done so far are kept."""
        if self._state is RunState.PREPARING:
            self._end(JobOutcome(ExitStatus.CANCELLED, True, _("Cancelled before anything was computed.")))
        elif self._state is RunState.RUNNING:
            self._to(RunState.CANCELLING)
            self._worker.cancel()

    def stop_now(self) -> None:
        """End everything at once, for closing the scene or the application; the observer gets no call."""
        self._background.forget()
        self._exports.clear()
        self._worker.stop_now()
        self._state = RunState.IDLE

    def _next_export(self) -> None:
        if self._state is not RunState.PREPARING:
            return
        if not self._exports:
            self._launch()
            return
        export = self._exports.popleft()
        self._observer.on_log(_("Writing {path}").format(path=export.path))
        try:
            write = export.prepare()
        except InputError as error:
            self._end(JobOutcome(ExitStatus.BAD_INPUT, message=str(error)))
            return
        self._background.run(write, lambda _none: self._next_export(), lambda error: self._not_written(export, error))

    def _not_written(self, export: Export, error: Exception) -> None:
        if self._state is RunState.PREPARING:
            self._end(JobOutcome(ExitStatus.BAD_INPUT, message=explain_write_error(export.path, error)))

    def _launch(self) -> None:
        assert self.plan is not None
        self._worker.start(self.plan.arguments, self)
        self._to(RunState.RUNNING)

    def on_event(self, event: Event) -> None:
        """Follow the child."""
        self.progress.take(event)
        if event.kind == "case_failed":
            self._observer.on_log(f"{event.case}: {self.progress.failed.get(event.case, '')}")
        text = str(event.fields.get("text") or "")
        if event.kind in WITH_TEXT and text:
            self._observer.on_log(text)
        self._observer.on_progress(self.progress)
        if event.kind == "case_done" and self.plan is not None and self.plan.makes_cases:
            self._observer.on_case(event.case)

    def on_log(self, line: str) -> None:
        """Pass on a line of the child."""
        self._observer.on_log(line)

    def on_end(self, outcome: JobOutcome) -> None:
        """The child is gone."""
        self._end(self._explained(outcome))

    def _explained(self, outcome: JobOutcome) -> JobOutcome:
        if outcome.succeeded or outcome.cancelled or self.plan is None:
            return outcome
        problem = folder_problem(self.plan.folder)
        if problem:
            return JobOutcome(outcome.status, message=problem)
        if self.progress.failed:
            case, reason = next(iter(self.progress.failed.items()))
            text = _("{failed} of {total} cases failed; the first, {case}: {reason}")
            total = self.progress.total or self.progress.finished_cases
            message = text.format(failed=len(self.progress.failed), total=total, case=case, reason=reason)
            return JobOutcome(outcome.status, message=message)
        return outcome

    def _end(self, outcome: JobOutcome) -> None:
        self._exports.clear()
        self._to(RunState.IDLE)
        self._observer.on_end(outcome)

    def _to(self, state: RunState) -> None:
        self._state = state
        self._observer.on_state(state)


def folder_problem(folder: Path, usage: Callable[[Path], object] = shutil.disk_usage) -> str:
    """Why nothing can be written to a folder, in one sentence; '' if no reason is found."""
    if not folder.is_dir():
        return _("{path}: the folder is no longer there.").format(path=folder)
    free = getattr(usage(folder), "free", FULL_DISK_BYTES)
    return _("{path}: the disk is full.").format(path=folder) if free < FULL_DISK_BYTES else ""


def explain_write_error(path: Path, error: Exception) -> str:
    """One sentence for a file that could not be written."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return _("{path}: the disk is full.").format(path=path)
    problem = folder_problem(path.parent) if path.parent.is_dir() else ""
    reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1:] or [type(error).__name__]
    text = reason if isinstance(reason, str) else reason[0]
    return problem or _("{path} could not be written: {reason}.").format(path=path, reason=text.rstrip("."))
