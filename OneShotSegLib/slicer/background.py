"""Reading and writing of files in a thread next to that of the user interface."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _BackgroundTask:
    future: Future[Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]


class Background:
    """Runs functions one after another in one thread; their results are delivered by `poll`, in the same order.

    What is run must not touch the scene or the panel: it gets and returns plain data.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="OneShotSeg")
        self._tasks: deque[_BackgroundTask] = deque()

    @property
    def busy(self) -> bool:
        """Whether something is still to be delivered."""
        return bool(self._tasks)

    def run(
        self,
        function: Callable[[], Any],
        done: Callable[[Any], None] = lambda result: None,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """Run a function in the thread.

        Args:
            function: Takes nothing, returns a result.
            done: Gets the result, in the thread that polls.
            failed: Gets the error, in the thread that polls.
        """
        self._tasks.append(_BackgroundTask(self._executor.submit(function), done, failed))

    def poll(self) -> None:
        """Deliver at most one result that is ready; returns at once."""
        if self._tasks and self._tasks[0].future.done():
            self._deliver(self._tasks.popleft())

    def finish(self) -> None:
        """Wait until all is done and delivered; for closing a scene or the application."""
        while self._tasks:
            task = self._tasks.popleft()
            task.future.exception()
            self._deliver(task)

    def forget(self) -> None:
        """Drop what has not started, and deliver nothing any more; for a scene that was closed."""
        for task in self._tasks:
            task.future.cancel()
        self._tasks.clear()

    @staticmethod
    def _deliver(task: _BackgroundTask) -> None:
        error = task.future.exception()
        if error is None:
            task.done(task.future.result())
        elif isinstance(error, Exception):
            task.failed(error)
        else:
            raise error
