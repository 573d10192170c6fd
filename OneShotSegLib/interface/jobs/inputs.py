"""What a run reads, as files that the child process can open, and where the panel keeps them."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.naming import safe_name

COMPLETE = ".complete"
INPUTS_SUFFIX = "-inputs"


@dataclass(frozen=True)
class Export:
    """A file or folder to be made before the run.

    Attributes:
        path: Where.
        prepare: Copies what is needed out of the scene; its result makes the file, in a child process.
    """

    path: Path
    prepare: Callable[[], Callable[[], None]]


def inputs_folder(study: StudyPaths) -> Path:
    """Where the panel keeps the files that it writes for a study's runs: next to the study."""
    return study.root.parent / (study.root.name + INPUTS_SUFFIX)


def export_series(name: str, files: Sequence[str], folder: Path) -> Export:
    """Plan a folder with the files of one DICOM series."""
    target = folder / safe_name(name)
    write = functools.partial(link_series, [Path(file) for file in files], target)
    return Export(target, lambda: write)


def link_series(sources: Sequence[Path], target: Path) -> None:
    """Make a folder with the files of a series, unless it is there already."""
    if (target / COMPLETE).exists():
        return
    for number, source in enumerate(sources):
        link_or_copy(source, target / f"{number:05d}.dcm")
    (target / COMPLETE).touch()


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name: a hard link where the file system can, else a copy, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copy2(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
