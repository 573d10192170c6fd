"""Stopping when asked to: cleanly where that is possible, by force after a moment.

Python handles a signal only between two of its own instructions, which a long computation in a library may put off
for many seconds. So a thread, which such a computation does not hold up, gets it at once; if the process is still there
after a moment, the thread ends it. That loses nothing: files appear whole or not at all.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

from OneShotSegLib.exit_status import ExitStatus

GRACE_SECONDS = 0.8
SENTENCE = "Cancelled; what was done is kept, and the same command goes on from there."

_printed = threading.Event()


class Cancelled(BaseException):
    """The user or the parent process asked to stop."""


def listen() -> None:
    """From now on end this process within two seconds of SIGINT or SIGTERM, at best by raising `Cancelled`."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _raise_cancelled)
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(receiver, sender), name="cancelling", daemon=True).start()


def _raise_cancelled(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second signal must not interrupt the clean-up.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    raise Cancelled


def _watch(receiver: socket.socket, sender: socket.socket) -> None:
    """Wait for a signal; ``sender`` is here so that it is not closed."""
    while receiver.recv(1)[0] not in (signal.SIGINT, signal.SIGTERM):
        pass
    time.sleep(GRACE_SECONDS)
    end_by_force()


def print_cancelled() -> None:
    """Print `SENTENCE` on standard error, once."""
    if not _printed.is_set():
        _printed.set()
        os.write(2, f"{SENTENCE}\n".encode())


def end_by_force() -> NoReturn:
    """End this process now; half-written files are removed."""
    atomic = sys.modules.get("OneShotSegLib.imaging.atomic")  # not imported: nothing was written
    if atomic is not None:
        atomic.remove_unfinished()
    print_cancelled()
    os._exit(ExitStatus.CANCELLED)
