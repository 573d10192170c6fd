"""Runs that the page starts: the panel's own controller, polled by the event loop; all pages are told of it."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from OneShotSegLib.browser.events import Events
from OneShotSegLib.interface.jobs.progress import RunProgress
from OneShotSegLib.interface.jobs.runs import RunController, RunPlan, RunState
from OneShotSegLib.interface.jobs.worker import JobOutcome, Worker

POLL_SECONDS = 0.1
LOG_LINES = 400


class Runs:
    """At most one run at a time.

    Args:
        events: Where pages are told.
        on_case: Called when a case has its results, and when a run is over.
    """

    def __init__(self, events: Events, on_case: Callable[[str], None]) -> None:
        self._events, self._on_case = events, on_case
        self._controller = RunController(self, Worker(command=lambda: [sys.executable]))
        self._polling: asyncio.Task[None] | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._done: Callable[[], None] = lambda: None
        self._end: dict[str, Any] = {}

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._controller.busy

    def start(self, plan: RunPlan, done: Callable[[], None] = lambda: None) -> None:
        """Start a run.

        Args:
            plan: What to do.
            done: Called when all went well.

        Raises:
            AlreadyRunningError: If one is under way.
        """
        self._log.clear()
        self._end = {}
        self._controller.start(plan)
        self._done = done
        self._polling = asyncio.get_running_loop().create_task(self._poll())

    def cancel(self) -> None:
        """Stop it; what was done is kept."""
        self._controller.cancel()

    def stop_now(self) -> None:
        """End it at once, with everything that it started; for the end of the server."""
        self._controller.stop_now()

    def as_json(self) -> dict[str, Any]:
        """How it stands."""
        progress = self._controller.progress
        whole = (progress.finished_cases + progress.fraction * 0.99) / progress.total if progress.total else 0.0
        plan = self._controller.plan
        return {
            "state": self._controller.state.value,
            "title": plan.title if plan is not None else "",
            "fraction": min(whole, 1.0),
            "cases": progress.describe() if progress.total else "",
            "step": progress.describe_step(),
            "end": self._end,
        }

    @property
    def log(self) -> list[str]:
        """The latest lines of the present or last run."""
        return list(self._log)

    async def _poll(self) -> None:
        while self._controller.busy:
            self._controller.poll()
            await asyncio.sleep(POLL_SECONDS)

    def on_state(self, state: RunState) -> None:
        """The state changed."""
        self._events.send("run", run=self.as_json())

    def on_progress(self, progress: RunProgress) -> None:
        """Something moved on."""
        self._events.send("run", run=self.as_json())

    def on_case(self, case: str) -> None:
        """A case has its results."""
        self._on_case(case)

    def on_log(self, line: str) -> None:
        """A line for the log."""
        self._log.append(line)
        self._events.send("log", line=line)

    def on_end(self, outcome: JobOutcome) -> None:
        """It is over."""
        changes = self._controller.progress.describe_changes()
        self._end = {"ok": outcome.succeeded, "cancelled": outcome.cancelled, "text": outcome.message or changes}
        if outcome.succeeded:
            self._done()
        self._on_case("")
        self._events.send("run", run=self.as_json())
        self._end = {}
