"""Atomic writes: files and folders that appear whole or not at all, however the writing process ends."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from OneShotSegLib.troubles import is_held

LEFT_BEHIND = re.compile(r"\.[0-9a-f]{32}(\..*)?")
NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}

HELD_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses between the attempts to rename what an antivirus program reads; it takes part of a second as a rule."""

UNFINISHED: set[Path] = set()
"""The temporary files that this process is writing."""


@contextmanager
def atomic_file(path: Path, suffix: str | None = None) -> Iterator[Path]:
    """A temporary file to write to, which replaces ``path`` when the block ends without an error.

    The temporary file is in the same folder, and on the disk before it is renamed, so that even a power cut leaves the
    old or the new file.

    Args:
        path: The file to appear; its folder is made if it is not there.
        suffix: Suffix of the temporary file, where a writer chooses its format by it; ``path``'s own if left out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix if suffix is None else suffix}")
    UNFINISHED.add(temporary)
    try:
        with _errors_name(path, temporary):
            yield temporary
            _sync(temporary)
            _replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        UNFINISHED.discard(temporary)


def move_file(source: Path, target: Path) -> None:
    """Move a file that is whole and on the disk over another one in the same file system; takes no space.

    Raises:
        OSError: If it cannot be moved; both files are then as they were.
    """
    _replace(source, target)
    _sync(target.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, which takes no space, or copy it where there are no such links.

    Only for files that are replaced when they change, as `atomic_file` does, not written into.

    Raises:
        OSError: If it cannot be done.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        copy_file(source, target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content; the copy appears whole or not at all.

    Raises:
        OSError: If it cannot be done.
    """
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)


@contextmanager
def _errors_name(path: Path, temporary: Path) -> Iterator[None]:
    """Let an error of the file system name what was to be written, not the temporary name that nobody knows."""
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str | os.PathLike) and Path(error.filename).is_relative_to(temporary):
            error.filename = str(path / Path(error.filename).relative_to(temporary))
        raise


def _replace(source: Path, target: Path) -> None:
    """Rename; where another program has a file open, as antivirus programs have new ones, wait until it is done.

    Raises:
        OSError: If it cannot be renamed, or is held for longer than that.
    """
    for pause in HELD_SECONDS:
        try:
            source.replace(target)
            return
        except OSError as error:
            if not is_held(error):
                raise
        time.sleep(pause)
    source.replace(target)


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
    """Remove the temporary files of this process; for one that is about to end without leaving its blocks."""
    for temporary in tuple(UNFINISHED):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_left_behind(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; only while no other process writes there."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if LEFT_BEHIND.fullmatch(entry.name) and entry.is_file():
            with contextlib.suppress(OSError):
                entry.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which replaces ``path`` when the block ends without an error.

    It is in the same parent folder; what a killed process left in it is removed when the same is begun again.

    Args:
        path: The folder to appear; there must be nothing there, or an empty folder.
    """
    path = path.absolute()  # "." has no name
    temporary = path.with_name(f"{path.name}.unfinished")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _errors_name(path, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            if path.is_dir():
                path.rmdir()
            _replace(temporary, path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
