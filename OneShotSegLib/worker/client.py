"""The other end of a worker; imports the standard library alone, and never waits unless it is asked to."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
LINES_KEPT = 20


class WorkerError(Exception):
    """A request that could not be done; the text is a sentence for the user.

    Attributes:
        ended: "cancelled" or "superseded" if it was not wanted any more; else ''.
    """

    def __init__(self, sentence: str, ended: str = "") -> None:
        super().__init__(sentence)
        self.ended = ended


class WorkerClient:
    """Starts a worker and talks to it.

    `send` and `answers` never wait: a user interface sends, and looks for answers from a timer. `ask` waits.

    Args:
        command: The worker's command line; by default that of this Python.
        environment: Its environment; this process's own by default.
    """

    def __init__(self, command: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._number = 0
        self._lock = threading.Lock()
        self.log: list[str] = []
        self._process = subprocess.Popen(
            list(command) or [sys.executable, "-m", "OneShotSegLib", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else dict(environment),
            creationflags=NEW_GROUP,
        )
        for read, stream in ((self._read_answers, self._process.stdout), (self._read_log, self._process.stderr)):
            threading.Thread(target=read, args=(stream,), daemon=True).start()

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The worker's exit status; None while it runs."""
        return self._process.poll()

    def send(self, do: str, **fields: Any) -> int:
        """Send a request; its number.

        Raises:
            WorkerError: If the worker is gone.
        """
        with self._lock:
            self._number += 1
            number = self._number
            line = json.dumps({"id": number, "do": do, **fields}).encode() + b"\n"
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                raise WorkerError(self._gone()) from error
        return number

    def answers(self) -> list[dict[str, Any]]:
        """The answers that came since the last call."""
        taken = []
        while True:
            try:
                taken.append(self._answers.get_nowait())
            except queue.Empty:
                return taken

    def ask(self, do: str, timeout: float = 120.0, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its answer, passing over those to others; what was done.

        Raises:
            WorkerError: If it could not be done, the worker is gone, or no answer came in time.
        """
        return self.wait(self.send(do, **fields), timeout)

    def wait(self, number: int, timeout: float = 120.0) -> dict[str, Any]:
        """Wait for the answer to a request; see `ask`."""
        while True:
            try:
                answer = self._answers.get(timeout=timeout)
            except queue.Empty:
                raise WorkerError(f"Expected an answer within {timeout:g} s, found none.") from None
            if "gone" in answer:
                self._answers.put(answer)  # for whoever asks next
                raise WorkerError(self._gone())
            if answer.get("id") != number:
                continue
            if "error" in answer:
                raise WorkerError(answer["error"], answer.get("ended", ""))
            done: dict[str, Any] = answer["done"]
            return {**done, "notes": answer["notes"]} if "notes" in answer else done

    def cancel(self, number: int | None = None) -> int:
        """Ask that a request be given up, or all of them; the number of this request."""
        return self.send("cancel", **({} if number is None else {"cancel": number}))

    def close(self, seconds: float = 5.0) -> None:
        """End the worker: by the end of its input, by force if it is still there after some seconds."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _gone(self) -> str:
        last = f" ({self.log[-1]})" if self.log else ""
        return f"Expected a worker that runs, found that it ended{last}."

    def _read_answers(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                try:
                    answer = json.loads(line)
                except ValueError:
                    continue
                if isinstance(answer, dict):
                    self._answers.put(answer)
        self._answers.put({"gone": True})

    def _read_log(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.decode("utf-8", "replace").rstrip())
                del self.log[:-LINES_KEPT]
