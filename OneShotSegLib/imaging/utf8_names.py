"""Names in UTF-8 for files that libraries open themselves: ITK ends the process with other bytes, safetensors fails.

A file name on Linux is a row of bytes. Python keeps those that are no UTF-8 as lone surrogates, so that they come back
as they were; the libraries cannot take them. Such a file is read by a link with another name, or by a copy where links
are not allowed (Windows).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DETACHED = (".mhd", ".nhdr")
"""Headers that name the file of their voxels."""


def is_plain(path: Path | str) -> bool:
    """Whether a library that takes UTF-8 finds the file under its own name."""
    try:
        name = str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    # Where file names are of another encoding than UTF-8, it would look for another file.
    return os.name == "nt" or name == os.fsencode(path)


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """A file or folder under a name in UTF-8.

    Raises:
        OSError: If it can neither be linked nor copied.
    """
    if is_plain(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        if is_plain(path.name):  # what lies next to it is found as well
            alias = _linked(path.absolute().parent, Path(folder) / "folder", path.name) / path.name
        else:
            alias = _linked(path.absolute(), Path(folder) / f"volume{_ending(path)}")
        if alias.suffix.lower() in DETACHED:
            _link_neighbours(path, alias.parent)
        yield alias


@contextmanager
def writable(path: Path) -> Iterator[Path]:
    """A name in UTF-8 to write a file to, which is in its place when the block ends.

    Raises:
        OSError: If it cannot be put in its place.
    """
    if is_plain(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        alias = Path(folder) / f"volume{_ending(path)}"
        yield alias
        shutil.copyfile(alias, path)


def _ending(path: Path) -> str:
    """The last two suffixes, as far as they are UTF-8: readers are chosen by them."""
    ending = "".join(path.suffixes[-2:])
    return ending if is_plain(ending) else path.suffix if is_plain(path.suffix) else ""


def _linked(source: Path, alias: Path, only: str = "") -> Path:
    """A link to a file or folder; where links are not allowed a copy, of a folder that of one entry alone."""
    try:
        alias.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        if only:
            alias.mkdir()
            _linked(source / only, alias / only)
        elif source.is_dir():
            shutil.copytree(source, alias)
        else:
            shutil.copyfile(source, alias)
    return alias


def _link_neighbours(path: Path, folder: Path) -> None:
    """Link what lies next to a header, so that the file of its voxels is found."""
    for entry in path.absolute().parent.iterdir():
        if entry.is_file() and is_plain(entry.name) and not (folder / entry.name).exists():
            _linked(entry, folder / entry.name)
