"""A lock for the moment in which decisions are read, merged and written: panel, shell and page may all save."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WAIT_SECONDS = 10.0

log = logging.getLogger(__name__)


@contextmanager
def briefly_locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file while the block lasts; where the file system cannot lock, or nobody lets go, go on.

    The file is replaced whole in any case: without the lock a decision that another program saves in the same
    millisecond could be missed.

    Args:
        path: The file; its lock is a hidden file next to it, which goes with the lock.
    """
    # Only now: Slicer's own process imports this file, and must not import filelock at start-up.
    from filelock import FileLock, SoftFileLock, Timeout

    name = path.with_name(f".{path.name}.lock")
    lock = FileLock(name, timeout=WAIT_SECONDS)
    held = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        held = not isinstance(lock, SoftFileLock)
        if not held:
            lock.release()  # what a crash leaves of it would keep everybody waiting
    except (Timeout, OSError, NotImplementedError) as error:
        log.debug("%s: not locked: %s", path, error)
    try:
        yield
    finally:
        if held:
            # While it is held: whoever waits for it then sees that the name is gone, and makes a new one.
            with suppress(OSError):  # Windows cannot remove what is open
                name.unlink(missing_ok=True)
            lock.release()
