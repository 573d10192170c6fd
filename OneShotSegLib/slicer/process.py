"""A child process that never blocks its parent and can be ended with everything that it started."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

GRACE_SECONDS = 3.0
CHUNK = 65536
WINDOWS = os.name == "nt"
NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)


class ChildProcess:
    """Reads both outputs in threads; the parent takes the lines whenever it likes.

    The child leads its own process group, so that `terminate` and `kill` reach what it started too.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start.

        Raises:
            OSError: If there is no such program.
        """
        self._ended_at: float | None = None
        self._lines: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=NEW_GROUP if WINDOWS else 0,
            start_new_session=not WINDOWS,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [self._reader("out", self._process.stdout), self._reader("err", self._process.stderr)]

    @property
    def pid(self) -> int:
        """Its process number, which is its group's too."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status once it ended and all it wrote was read; None before."""
        if self._process.poll() is None:
            return None
        if any(reader.is_alive() for reader in self._readers):
            return self._abandoned()
        return self._process.returncode

    def _abandoned(self) -> int | None:
        """The process is gone but something that it started still holds its outputs: wait a little, then end it."""
        self._ended_at = self._ended_at or time.monotonic()
        if time.monotonic() - self._ended_at < GRACE_SECONDS:
            return None
        self.kill()
        return self._process.returncode

    def lines(self) -> list[tuple[str, str]]:
        """What came since the last call: ("out" or "err", line); never waits."""
        taken = []
        while True:
            try:
                taken.append(self._lines.get_nowait())
            except queue.Empty:
                return taken

    def interrupt(self) -> None:
        """Ask the group to stop, as Ctrl+C does; on Windows, where no console is shared, this ends the tree."""
        if WINDOWS:
            self.kill()
        else:
            self._signal_group(signal.SIGINT)

    def kill(self) -> None:
        """End the process and everything it started, now."""
        if WINDOWS:
            command = ["taskkill", "/F", "/T", "/PID", str(self.pid)]
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, creationflags=NEW_GROUP)
        else:
            self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        # It may have ended in the meantime.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def wait(self, seconds: float) -> None:
        """Wait for its end, at most so long; meant for closing, not for a running panel."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
        for reader in self._readers:
            reader.join(seconds)

    def _reader(self, name: str, stream: IO[bytes]) -> threading.Thread:
        thread = threading.Thread(target=self._read, args=(name, stream), daemon=True)
        thread.start()
        return thread

    def _read(self, name: str, stream: IO[bytes]) -> None:
        rest = b""
        with stream:
            while chunk := os.read(stream.fileno(), CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    self._lines.put((name, _text(line)))
        if rest:
            self._lines.put((name, _text(rest)))


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
