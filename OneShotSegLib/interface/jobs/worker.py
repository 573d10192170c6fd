"""Runs one command of the command line in a child process and reports to an observer what happens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from OneShotSegLib.events import Event, parse_event, readable_text
from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.interface.i18n import tr as _
from OneShotSegLib.interface.jobs.interpreter import child_environment, python_executable
from OneShotSegLib.interface.jobs.process import GRACE_SECONDS, ChildProcess

MAX_ERROR_LINES = 20
FRAMES = " \t│╭╮╰╯─|+-"
"""What a terminal library draws around an error."""


@dataclass(frozen=True)
class JobOutcome:
    """How a run ended.

    Attributes:
        status: The exit status.
        cancelled: Whether it was cancelled.
        message: One sentence for the user; '' if all went well.
    """

    status: int
    cancelled: bool = False
    message: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether everything was done."""
        return self.status == ExitStatus.DONE and not self.cancelled


class JobObserver(Protocol):
    """Follows a run."""

    def on_event(self, event: Event) -> None:
        """The child emitted an event."""

    def on_log(self, line: str) -> None:
        """A line for the log."""

    def on_end(self, outcome: JobOutcome) -> None:
        """The child and everything it started is gone."""


class Child(Protocol):
    """What a worker needs of a process; see `ChildProcess`."""

    @property
    def exit_status(self) -> int | None:
        """The exit status, None while it runs."""

    def lines(self) -> list[tuple[str, str]]:
        """New lines."""

    def interrupt(self) -> None:
        """Ask to stop."""

    def kill(self) -> None:
        """End the tree."""

    def wait(self, seconds: float) -> None:
        """Wait for the end."""


class AlreadyRunningError(Exception):
    """A second start while a run is under way."""


def slicer_python() -> list[str]:
    """The command that starts Slicer's own Python."""
    return [python_executable()]


class Worker:
    """One run at a time; `poll` is to be called regularly from the thread of the user interface.

    Args:
        launch: Starts a process.
        clock: Seconds.
        command: The command that starts the Python to run in.
        environment: The variables for it.
        module: What is run in it.

    Attributes:
        error_lines: The latest lines of the child's standard error.
    """

    def __init__(
        self,
        launch: Callable[[Sequence[str], Mapping[str, str]], Child] = ChildProcess,
        clock: Callable[[], float] = time.monotonic,
        command: Callable[[], Sequence[str]] = slicer_python,
        environment: Callable[[], Mapping[str, str]] = child_environment,
        module: str = "OneShotSegLib",
    ) -> None:
        self._launch = launch
        self._command, self._environment, self._module = command, environment, module
        self._clock = clock
        self._child: Child | None = None
        self._observer: JobObserver | None = None
        self._cancelled_at: float | None = None
        self._finished = False
        self.error_lines: deque[str] = deque(maxlen=MAX_ERROR_LINES)

    @property
    def running(self) -> bool:
        """Whether there is a child process."""
        return self._child is not None

    @property
    def cancelling(self) -> bool:
        """Whether the child was asked to stop and is not gone yet."""
        return self.running and self._cancelled_at is not None

    def start(self, arguments: Sequence[str], observer: JobObserver) -> None:
        """Run the module (``python -m OneShotSegLib``) with these arguments.

        Raises:
            AlreadyRunningError: If a run is under way.
        """
        if self.running:
            raise AlreadyRunningError(_("A run is already under way."))
        self.error_lines.clear()
        self._finished = False
        self._cancelled_at = None
        self._child = self._launch([*self._command(), "-m", self._module, *arguments], self._environment())
        self._observer = observer

    def poll(self) -> None:
        """Pass on what came since the last call; returns at once."""
        child, observer = self._child, self._observer
        if child is None or observer is None:
            return
        status = child.exit_status
        for stream, line in child.lines():
            self._pass_on(observer, stream, line)
        if status is not None:
            self._end(observer, status)
        elif self._cancelled_at is not None and self._clock() - self._cancelled_at > GRACE_SECONDS:
            child.kill()

    def _pass_on(self, observer: JobObserver, stream: str, line: str) -> None:
        event = parse_event(line) if stream == "out" else None
        if event is not None:
            self._finished = self._finished or event.kind == "finished"
            observer.on_event(event)
            return
        text = readable_text(line) if stream == "out" else line
        if text.strip():
            bare = text.strip(FRAMES)
            if stream == "err" and bare:
                self.error_lines.append(bare)
            observer.on_log(text)

    def _end(self, observer: JobObserver, status: int) -> None:
        if self._cancelled_at is not None and self._child is not None:
            self._child.kill()  # What it started may still run.
        cancelled = self._cancelled_at is not None or status == ExitStatus.CANCELLED
        self._child = self._observer = None
        observer.on_end(JobOutcome(status, cancelled, self._sentence(status, cancelled)))

    def _sentence(self, status: int, cancelled: bool) -> str:
        if status == ExitStatus.DONE and not cancelled:
            return ""
        if cancelled:
            return _("Cancelled; the cases done so far are kept.")
        # Python itself also exits with 1, after an error that nobody caught: then the run emitted no "finished".
        if status == ExitStatus.SOME_FAILED and self._finished:
            return _("Some cases failed; the others are there.")
        if status == ExitStatus.BAD_INPUT and self.error_lines:
            return self.error_lines[-1]
        reason = self.error_lines[-1] if self.error_lines else _("no error message")
        text = _("The computation stopped unexpectedly (exit status {status}): {reason}")
        return text.format(status=status, reason=reason)

    def cancel(self) -> None:
        """Ask the child to stop; if it has not within a few seconds its whole tree is ended. Returns at once."""
        if self._child is not None and self._cancelled_at is None:
            self._cancelled_at = self._clock()
            self._child.interrupt()

    def stop_now(self, seconds: float = GRACE_SECONDS) -> None:
        """End the child's tree and wait for it; for closing the application. The observer gets no call."""
        child, self._child, self._observer = self._child, None, None
        if child is not None:
            child.kill()
            child.wait(seconds)
