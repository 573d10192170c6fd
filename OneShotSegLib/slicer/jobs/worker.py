"""Runs one command of the command line in a child process and tells an observer what happens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from OneShotSegLib.events import Event, parse_event
from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.interpreter import child_environment, python_executable
from OneShotSegLib.slicer.jobs.process import GRACE_SECONDS, ChildProcess

LAST_WORDS = 20
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
        return self.status == 0 and not self.cancelled


class JobObserver(Protocol):
    """Who wants to know."""

    def on_event(self, event: Event) -> None:
        """The child said something."""

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


class Worker:
    """One run at a time; `poll` is to be called now and then from the thread that shows things.

    Attributes:
        last_words: The latest lines of the child's standard error.
    """

    def __init__(
        self,
        launch: Callable[[Sequence[str], Mapping[str, str]], Child] = ChildProcess,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._launch = launch
        self._clock = clock
        self._child: Child | None = None
        self._observer: JobObserver | None = None
        self._cancelled_at: float | None = None
        self._finished = False
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)

    @property
    def running(self) -> bool:
        """Whether there is a child process."""
        return self._child is not None

    @property
    def cancelling(self) -> bool:
        """Whether the child was asked to stop and is not gone yet."""
        return self.running and self._cancelled_at is not None

    def start(self, arguments: Sequence[str], observer: JobObserver) -> None:
        """Run ``python -m OneShotSegLib`` with these arguments.

        Raises:
            AlreadyRunningError: If a run is under way.
        """
        if self.running:
            raise AlreadyRunningError(_("A run is already under way."))
        self.last_words.clear()
        self._finished = False
        self._cancelled_at = None
        self._child = self._launch([python_executable(), "-m", "OneShotSegLib", *arguments], child_environment())
        self._observer = observer

    def poll(self) -> None:
        """Hand on what came since the last call; returns at once."""
        child, observer = self._child, self._observer
        if child is None or observer is None:
            return
        status = child.exit_status
        for stream, line in child.lines():
            self._hand_on(observer, stream, line)
        if status is not None:
            self._end(observer, status)
        elif self._cancelled_at is not None and self._clock() - self._cancelled_at > GRACE_SECONDS:
            child.kill()

    def _hand_on(self, observer: JobObserver, stream: str, line: str) -> None:
        event = parse_event(line) if stream == "out" else None
        if event is not None:
            self._finished = self._finished or event.kind == "finished"
            observer.on_event(event)
        elif line.strip():
            words = line.strip(FRAMES)
            if stream == "err" and words:
                self.last_words.append(words)
            observer.on_log(line)

    def _end(self, observer: JobObserver, status: int) -> None:
        if self._cancelled_at is not None and self._child is not None:
            self._child.kill()  # What it started and did not take along.
        cancelled = self._cancelled_at is not None or status == ExitStatus.CANCELLED
        self._child = self._observer = None
        observer.on_end(JobOutcome(status, cancelled, self._sentence(status, cancelled)))

    def _sentence(self, status: int, cancelled: bool) -> str:
        if status == 0 and not cancelled:
            return ""
        if cancelled:
            return _("Cancelled; the cases done so far are kept.")
        # Python itself also exits with 1, after an error that nobody caught: then the run did not say that it finished.
        if status == ExitStatus.SOME_FAILED and self._finished:
            return _("Some cases failed; the others are there.")
        if status == ExitStatus.BAD_INPUT and self.last_words:
            return self.last_words[-1]
        words = self.last_words[-1] if self.last_words else _("it said nothing")
        return _("The computation stopped unexpectedly (exit status {status}): {words}").format(
            status=status, words=words
        )

    def cancel(self) -> None:
        """Ask the child to stop; if it has not within a few seconds its whole tree is ended. Returns at once."""
        if self._child is not None and self._cancelled_at is None:
            self._cancelled_at = self._clock()
            self._child.interrupt()

    def stop_now(self, seconds: float = GRACE_SECONDS) -> None:
        """End the child's tree and wait for it; for closing the application. Nobody is told."""
        child, self._child, self._observer = self._child, None, None
        if child is not None:
            child.kill()
            child.wait(seconds)
