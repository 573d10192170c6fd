"""What a run is given: the CTs among its queries, and what is left out of them, kept in the study too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from OneShotSegLib.events import Emit
from OneShotSegLib.imaging.input_search import search, series_in
from OneShotSegLib.imaging.inputs import Found, FoundCT, Kind, LeftOut, absolute
from OneShotSegLib.study.inputs import is_study
from OneShotSegLib.study.layout import StudyPaths

PANEL_SUFFIX = "-inputs"
"""The Slicer module keeps the volumes that it writes for a study's runs next to it, in a folder of this ending."""
CHUNK = 2**20


def find_inputs(
    paths: StudyPaths | None,
    queries: Iterable[Path],
    *,
    supports: Sequence[Path] = (),
    scribbles: Sequence[Path] = (),
    series: Sequence[str] = (),
) -> Found:
    """The CTs among the queries.

    Left out are studies, this one too, and what it is made from: its supports, copies of them and their scribbles.

    Args:
        paths: The study that the run makes or goes on with; None if it makes none.
        queries: Files and folders.
        supports: The support CTs.
        scribbles: Their scribbles.
        series: Texts that choose among several CT series of a folder.

    Raises:
        InputError: If a query is not there, or nothing is a CT.
    """
    return search(queries, _Own(paths, tuple(supports), tuple(scribbles)), series)


def cts_of_supports(supports: Sequence[Path], series: Sequence[str] = ()) -> tuple[FoundCT, ...]:
    """The supports as CTs that become cases; see `PropagationRequest.support_cases`."""
    return tuple(FoundCT(path=absolute(ct), series=series_in(ct, series)) for ct in supports)


def emit_left_out(left_out: Iterable[LeftOut], emit: Emit) -> None:
    """Emit an event for each thing that is not used."""
    for entry in left_out:
        emit("left_out", **entry.fields)


@dataclass(frozen=True)
class _Own:
    """Leaves out what belongs to a study, or is what the run propagates from."""

    paths: StudyPaths | None
    supports: tuple[Path, ...]
    scribbles: tuple[Path, ...]

    def __call__(self, found: FoundCT | Path) -> LeftOut | None:
        """Why it is left out; None if it is not."""
        return self._of_ct(found.path) if isinstance(found, FoundCT) else self._of_folder(found)

    def _of_folder(self, folder: Path) -> LeftOut | None:
        root = None if self.paths is None else Path(os.path.realpath(self.paths.root))
        if Path(os.path.realpath(folder)) == root or is_study(StudyPaths(folder)):
            return LeftOut(path=folder, kind=Kind.STUDY, reason="a study, not searched for CTs")
        owner = folder.with_name(folder.name.removesuffix(PANEL_SUFFIX))
        if owner != folder and (Path(os.path.realpath(owner)) == root or is_study(StudyPaths(owner))):
            return LeftOut(path=folder, kind=Kind.STUDY, reason="the inputs of a study, not searched for CTs")
        return None

    def _of_ct(self, path: Path) -> LeftOut | None:
        real = os.path.realpath(path)
        if any(os.path.realpath(scribbles) == real for scribbles in self.scribbles):
            return LeftOut(path=path, kind=Kind.SUPPORT, reason="the support's scribbles")
        if any(os.path.realpath(ct) == real for ct in self.supports):
            return LeftOut(path=path, kind=Kind.SUPPORT, reason="the support, not segmented as a query")
        if any(is_copy(path, ct) for ct in self.supports):
            return LeftOut(path=path, kind=Kind.SUPPORT, reason="a copy of the support, not segmented as a query")
        return None


def is_copy(path: Path, of: Path) -> bool:
    """Whether two files, or the files of two folders, are the same byte by byte; looks no further than need be."""
    if path.is_dir() != of.is_dir() or not of.exists():
        return False
    try:
        if not path.is_dir():
            return path.stat().st_size == of.stat().st_size and _is_equal(path, of)
        files, others = _files(path), _files(of)
        if sorted(file.stat().st_size for file in files) != sorted(file.stat().st_size for file in others):
            return False
        hashes = _hashes(of)
        return all(_hash(file) in hashes for file in files)  # ends at the first that is another
    except OSError:
        return False


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


@cache
def _hashes(folder: Path) -> frozenset[str]:
    return frozenset(map(_hash, _files(folder)))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_equal(path: Path, other: Path) -> bool:
    with path.open("rb") as file, other.open("rb") as second:
        while True:
            chunk = file.read(CHUNK)
            if chunk != second.read(CHUNK):
                return False
            if not chunk:
                return True
