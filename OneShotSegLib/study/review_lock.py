"""A lock for the moment in which decisions are read, merged and written: panel, shell and page may all save.

Of the standard library alone: Slicer's own process saves decisions, and has no filelock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_SECONDS = 10.0
LOOK_SECONDS = 0.02

log = logging.getLogger(__name__)


@contextmanager
def briefly_locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file while the block lasts; where the file system cannot lock, or nobody lets go, go on.

    The file is replaced whole in any case: without the lock a decision that another program saves in the same
    millisecond could be missed.

    Args:
        path: The file; its lock is a hidden file next to it, which goes with the lock.
    """
    name = path.with_name(f".{path.name}.lock")
    descriptor = _acquired(name)
    try:
        yield
    finally:
        if descriptor is not None:
            # While it is held: whoever waits for it then sees that the name is gone, and makes a new one.
            with contextlib.suppress(OSError):  # Windows cannot remove what is open
                name.unlink(missing_ok=True)
            os.close(descriptor)


def _acquired(name: Path) -> int | None:
    """The open lock file; None if it cannot be locked."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        descriptor = -1
        try:
            name.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
            _lock(descriptor)
            if os.path.samestat(os.fstat(descriptor), name.stat()):
                return descriptor
        except OSError as error:
            if not _is_held(error):
                log.debug("%s: not locked: %s", name, error)
                end = 0.0
        if descriptor >= 0:
            os.close(descriptor)
        if time.monotonic() > end:
            return None
        time.sleep(LOOK_SECONDS)


def _is_held(error: OSError) -> bool:
    """Whether another program holds the lock, or has just removed its file."""
    held = (BlockingIOError, FileNotFoundError)
    return isinstance(error, held) or (sys.platform == "win32" and isinstance(error, PermissionError))


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
