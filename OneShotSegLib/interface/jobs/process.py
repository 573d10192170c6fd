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
NOT_STARTED = 127
"""The exit status of a program that cannot be started, as in a shell."""
WINDOWS = os.name == "nt"
NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)


class ChildProcess:
    """Starts and is read in threads; the parent takes the lines at any time and never waits.

    Even starting takes its time (the system loads the program, a virus scanner looks at it), so the process may not be
    there yet when this object is. The child leads its own process group, so that `interrupt` and `kill` reach what it
    started too.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._lines: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._to_be_ended = False
        self._never_started = False
        self._ended_at: float | None = None
        self._readers = [threading.Thread(target=self._run, args=(list(command), dict(environment)), daemon=True)]
        self._readers[0].start()

    @property
    def pid(self) -> int | None:
        """Its process number, which is its group's too; None while it is not started."""
        return None if self._process is None else self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status once it ended and all it wrote was read; None before."""
        if self._never_started:
            return NOT_STARTED
        if self._process is None or self._process.poll() is None:
            return None
        if any(reader.is_alive() for reader in self._readers):
            return self._abandoned(self._process)
        return self._process.returncode

    def _abandoned(self, process: subprocess.Popen[bytes]) -> int | None:
        """The process is gone but something that it started still holds its outputs: wait a little, then end it."""
        self._ended_at = self._ended_at or time.monotonic()
        if time.monotonic() - self._ended_at < GRACE_SECONDS:
            return None
        self.kill()
        return process.returncode

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
        if not WINDOWS:
            self._signal_group(signal.SIGKILL)
        elif self._is_there():
            command = ["taskkill", "/F", "/T", "/PID", str(self.pid)]
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, creationflags=NEW_GROUP)

    def _is_there(self) -> bool:
        """Whether there is a process to be ended; if not yet, it is ended as soon as it is."""
        with self._lock:
            self._to_be_ended = True
            return self._process is not None

    def _signal_group(self, number: int) -> None:
        if self._is_there() and self.pid is not None:
            # It may have ended in the meantime.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def wait(self, seconds: float) -> None:
        """Wait for its end, at most so long; meant for closing, not for a running panel."""
        end = time.monotonic() + seconds
        for reader in list(self._readers):
            reader.join(max(end - time.monotonic(), 0))
        # A process closes its outputs a moment before it is gone.
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(end - time.monotonic(), 0))

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                creationflags=NEW_GROUP if WINDOWS else 0,
                start_new_session=not WINDOWS,
            )
        except OSError as error:
            self._lines.put(("err", f"{command[0]}: {error.strerror or error}"))
            self._never_started = True
            return
        assert process.stdout is not None
        assert process.stderr is not None
        errors = threading.Thread(target=self._read, args=("err", process.stderr), daemon=True)
        errors.start()
        self._readers.append(errors)
        with self._lock:
            self._process = process
            to_be_ended = self._to_be_ended
        if to_be_ended:
            self.kill()
        self._read("out", process.stdout)

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
