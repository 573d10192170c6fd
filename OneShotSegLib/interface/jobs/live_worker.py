"""The live worker from the panel's side: started when it is first needed, asked and answered without waiting."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.i18n import tr as _
from OneShotSegLib.interface.jobs.interpreter import child_environment
from OneShotSegLib.interface.jobs.worker import slicer_python
from OneShotSegLib.worker.client import WorkerClient, WorkerError

Answer = dict[str, Any]
Done = Callable[[Answer], None]
Failed = Callable[[Exception], None]
CLOSE_SECONDS = 0.3
SAVE_SECONDS = 20.0
"""A correction that is being written is not given up."""


def launch(
    command: Callable[[], Sequence[str]] = slicer_python,
    environment: Callable[[], Mapping[str, str]] = child_environment,
) -> WorkerClient:
    """Start a worker in a child process.

    Args:
        command: The command that starts the Python to run in.
        environment: The variables for it.
    """
    return WorkerClient([*command(), "-m", "OneShotSegLib", "worker"], environment())


class LiveWorker:
    """One worker, which holds one case or one support at a time.

    `poll` delivers the answers, in the thread of the user interface; nothing but `close` waits.

    Args:
        start: Starts the child process.
    """

    def __init__(self, start: Callable[[], WorkerClient] = launch) -> None:
        self._launch = start
        self._client: WorkerClient | None = None
        self._folder: Path | None = None
        self._waiting: dict[int, tuple[str, Done, Failed]] = {}
        self._opened: object = None

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._waiting)

    @property
    def pid(self) -> int | None:
        """The child's process number; None if there is none."""
        return None if self._client is None else self._client.pid

    @property
    def folder(self) -> Path:
        """Where strokes and masks go on their way; removed with the worker."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="OneShotSeg-live-"))
        return self._folder

    def holds(self, key: object) -> bool:
        """Whether this is open, or will be as soon as the child gets to it."""
        return self._client is not None and self._opened == key

    def open(self, key: object, do: str, done: Done, failed: Failed, **fields: Any) -> None:
        """Open a case or a support; what was open is closed.

        Args:
            key: What it is, for `holds`.
            do: ``open_case`` or ``open_support``.
            done: Gets what the worker says of it.
            failed: Gets the error.
            fields: Of the request.
        """
        self._opened = key

        def not_opened(error: Exception) -> None:
            if self._opened == key:
                self._opened = None
            failed(error)

        self.ask(do, done, not_opened, **fields)

    def rename(self, key: object) -> None:
        """What is open has another key from now on."""
        self._opened = key

    def ask(self, do: str, done: Done, failed: Failed, **fields: Any) -> None:
        """Send a request; a worker that is not there is started.

        Args:
            do: What to do.
            done: Gets what was done.
            failed: Gets the error, a `WorkerError`.
            fields: Of the request.
        """
        try:
            if self._client is None:
                self._client = self._launch()
            number = self._client.send(do, **fields)
        except (OSError, WorkerError) as error:
            self._lose()
            failed(error)
            return
        self._waiting[number] = (do, done, failed)

    def poll(self) -> None:
        """Deliver what was answered; returns at once."""
        client = self._client
        if client is None:
            return
        for answer in client.answers():
            if "gone" in answer:
                self._end(client)
                return
            _do, done, failed = self._waiting.pop(answer.get("id", 0), ("", _ignore, _ignore))
            if "done" in answer:
                done({**answer["done"], "notes": answer.get("notes", [])})
            elif "error" in answer:
                failed(WorkerError(answer["error"], answer.get("ended", "")))
            if client is not self._client:
                return

    def _end(self, client: WorkerClient) -> None:
        """The child ended by itself: whoever waits hears it; the next request starts another one."""
        reason = client.log[-1] if client.log else _("no error message")
        waiting = self._lose()
        error = InputError(_("The process that shows masks at once has ended: {reason}").format(reason=reason))
        for _do, _done, failed in waiting:
            failed(error)

    def _lose(self) -> list[tuple[str, Done, Failed]]:
        client, self._client, self._opened = self._client, None, None
        waiting, self._waiting = list(self._waiting.values()), {}
        if client is not None:
            with contextlib.suppress(OSError):
                client.close(CLOSE_SECONDS)
        return waiting

    def close(self) -> None:
        """End the child; nobody gets an answer any more. What is being saved is saved."""
        saving = any(do == "save" for do, _done, _failed in self._waiting.values())
        client, self._client = self._client, None
        if client is not None:
            client.close(SAVE_SECONDS if saving else CLOSE_SECONDS)
        self._lose()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _ignore(_answer: Any) -> None:
    """Nobody waits for it."""
