"""One run at a time on a study, by a lock of the operating system: it ends with the process, however that ends."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, SoftFileLock, Timeout

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.layout import StudyPaths

log = logging.getLogger(__name__)


@contextmanager
def exclusive(paths: StudyPaths) -> Iterator[None]:
    """Lock a study folder against other runs while the block lasts; the folder is made if it is not there.

    If the block made no study, nothing of the lock stays behind.

    Raises:
        InputError: If another run is at work on it.
        OSError: If the folder cannot be made or written to.
    """
    is_new = not paths.root.exists()
    paths.root.mkdir(parents=True, exist_ok=True)
    with _locked(paths):
        try:
            yield
        finally:
            # While it is still held: a process that waits for it then sees that the name is gone, and makes a new one.
            _clean_up(paths, is_new)
    if os.name == "nt":  # where a file that is open cannot be removed
        _clean_up(paths, is_new)


def _clean_up(paths: StudyPaths, is_new: bool) -> None:
    if paths.description.exists():
        return
    with contextlib.suppress(OSError):
        paths.lock.unlink(missing_ok=True)
        if is_new:
            paths.root.rmdir()


@contextmanager
def _locked(paths: StudyPaths) -> Iterator[None]:
    lock = FileLock(paths.lock, blocking=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"{paths.root}: expected a study that no run is at work on, found another run: wait for its end."
            ) from None
    if isinstance(lock, SoftFileLock):
        # A file that a crash leaves behind would block every later run: rather no lock, and a warning.
        lock.release()
        log.warning("%s: this file system cannot lock files: make sure that no other run uses this study.", paths.root)
    try:
        yield
    finally:
        lock.release()
