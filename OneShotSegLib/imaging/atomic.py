"""Files and folders that appear whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEFT_BEHIND = re.compile(r"\.[0-9a-f]{32}(\..*)?")
NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}

UNFINISHED: set[Path] = set()
"""What this process must not leave behind if it is ended by force."""


@contextmanager
def atomic_file(path: Path, suffix: str | None = None) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes ``path``'s place when the block ends without an error.

    What was written is on the disk before it takes that place, so that even a power cut leaves the old or the new file.

    Args:
        path: The file to appear.
        suffix: The suffix of the path to write to, where a writer chooses its format by it; ``path``'s own if left out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex}{path.suffix if suffix is None else suffix}")
    UNFINISHED.add(beside)
    try:
        yield beside
        _sync(beside)
        beside.replace(path)
        _sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)
        UNFINISHED.discard(beside)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk, where the system can do that."""
    folder = path.is_dir()
    if folder and os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # Some network shares cannot sync. A folder that could not be synced lists the file all the same.
        if not folder and error.errno not in NO_SYNC:
            raise


def remove_unfinished() -> None:
    """Remove ``UNFINISHED``; for a process that is about to end by force."""
    for beside in tuple(UNFINISHED):
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder; only while no one else writes there."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if LEFT_BEHIND.fullmatch(entry.name) and entry.is_file():
            with contextlib.suppress(OSError):
                entry.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to fill; it takes ``path``'s place when the block ends without an error.

    What a killed process left in it is removed when the same is begun again.

    Args:
        path: The folder to appear; there must be nothing there, or an empty folder.
    """
    beside = path.with_name(f"{path.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        if path.is_dir():
            path.rmdir()
        beside.replace(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
