"""Reading and writing of files in a child process: Slicer's main thread holds Python's lock, a thread would crawl."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from OneShotSegLib.interface.jobs.interpreter import child_environment, python_executable
from OneShotSegLib.interface.jobs.process import NEW_GROUP, WINDOWS
from OneShotSegLib.slicer.jobs import parcels
from OneShotSegLib.slicer.jobs.background_child import answer_file, outcome, task_file

MODULE = "OneShotSegLib.slicer.jobs.background_child"
WAIT_SECONDS = 0.01
LOG_NAME = "log.txt"


@dataclass(eq=False)
class _BackgroundTask:
    function: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    keep: bool
    number: int = 0
    pieces: Iterator[bytes | memoryview] | None = None
    file: IO[bytes] | None = None

    @property
    def sent(self) -> bool:
        """Whether the child has it."""
        return self.number > 0 and self.pieces is None

    def abandon(self) -> None:
        """Write no more of it."""
        if self.file is not None:
            self.file.close()


class Background:
    """Runs functions one after another in one child process; their results are delivered by `poll`, in the same order.

    What is run is a function of a module that needs no Slicer, with its arguments (`functools.partial`): it is sent to
    the child. Nothing here waits but `finish` and `keep_only`.
    """

    def __init__(self) -> None:
        self._tasks: deque[_BackgroundTask] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._count = 0

    @property
    def busy(self) -> bool:
        """Whether something is still to be delivered."""
        return bool(self._tasks)

    def run(
        self,
        function: Callable[[], Any],
        done: Callable[[Any], None] = lambda result: None,
        failed: Callable[[Exception], None] = lambda error: None,
        keep: bool = False,
    ) -> None:
        """Run a function in the child.

        Args:
            function: Takes nothing, returns a result; both can be sent to another process.
            done: Gets the result, in the thread that polls.
            failed: Gets the error, in the thread that polls.
            keep: Whether it must not be lost when a scene or the application is closed: a user's work.
        """
        self._tasks.append(_BackgroundTask(function, done, failed, keep))
        self._begin()

    def poll(self) -> None:
        """Deliver at most one result that is ready; returns at once."""
        if not self._tasks:
            return
        task = self._tasks[0]
        if not task.sent:
            self._send(task)
        elif self._answered(task):
            self._tasks.popleft()
            self._begin()
            self._deliver(task, *self._answer(task))

    def finish(self) -> None:
        """Wait until all is done and delivered."""
        while self._tasks:
            self.poll()
            if self._tasks and self._tasks[0].sent and not self._answered(self._tasks[0]):
                time.sleep(WAIT_SECONDS)

    def forget(self) -> None:
        """Drop everything but what must not be lost; for a scene that was closed."""
        self._drop()
        self._begin()

    def keep_only(self) -> None:
        """Do what must not be lost, and drop the rest; for closing a scene or the application.

        What the child has not begun is done here: a child that is just starting would only cost time.
        """
        self._drop()
        if self._tasks and self._tasks[0].sent:
            first = self._tasks[0]
            while not self._answered(first):
                time.sleep(WAIT_SECONDS)
            self._tasks.popleft()
            self._deliver(first, *self._answer(first))
        while self._tasks:
            task = self._tasks.popleft()
            task.abandon()
            self._deliver(task, *outcome(task.function))

    def _drop(self) -> None:
        if self._tasks and not self._tasks[0].keep:
            self._tasks[0].abandon()
            if self._tasks[0].sent:
                self._end()
        self._tasks = deque(task for task in self._tasks if task.keep)

    def close(self) -> None:
        """End the child and remove its files."""
        self._end()
        self._tasks.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _begin(self) -> None:
        """Prepare the next task, if it is not under way."""
        if self._tasks and self._tasks[0].number == 0:
            task = self._tasks[0]
            self._count += 1
            task.number = self._count
            task.pieces = parcels.pieces(task.function)
            self._send(task)

    def _send(self, task: _BackgroundTask) -> None:
        """Write the next piece of a task to a file; after the last one, have the child begin."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._folder is not None
        assert task.pieces is not None
        if task.file is None:
            task.file = task_file(self._folder, task.number).open("wb")
        written = 0
        while written < parcels.PIECE_BYTES:
            piece = next(task.pieces, None)
            if piece is None:
                task.file.close()
                task.pieces = None
                self._hand_over(task)
                return
            written += task.file.write(piece)

    def _hand_over(self, task: _BackgroundTask) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: `_answer` says so
            self._process.stdin.write(f"{task.number}\n".encode())
            self._process.stdin.flush()

    def _start(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="OneShotSeg-"))
        with (self._folder / LOG_NAME).open("wb") as log:
            self._process = subprocess.Popen(
                [python_executable(), "-m", MODULE, str(self._folder)],
                env=child_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                creationflags=NEW_GROUP if WINDOWS else 0,
                start_new_session=not WINDOWS,
            )

    def _answered(self, task: _BackgroundTask) -> bool:
        assert self._folder is not None
        there = answer_file(self._folder, task.number).exists()
        return there or self._process is None or self._process.poll() is not None

    def _answer(self, task: _BackgroundTask) -> tuple[bool, Any]:
        assert self._folder is not None
        path = answer_file(self._folder, task.number)
        if not path.exists():
            lines = (self._folder / LOG_NAME).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            reason = lines[-1] if lines else "no reason given"
            return False, RuntimeError(f"the process that reads and writes files ended: {reason}")
        well, result = parcels.read(path)
        path.unlink()
        return well, result

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    @staticmethod
    def _deliver(task: _BackgroundTask, well: bool, result: Any) -> None:
        if well:
            task.done(result)
        else:
            task.failed(result)
