"""Damaged DICOM files beside a series: whether they are slices that it lacks, or have nothing to do with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.search import SeriesInfo, names_of
from OneShotSegLib.imaging.dicom.stacking import Stack

LONGEST = 2**22
UID = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")
SERIES_TAG = re.compile(rb"\x20\x00\x0e\x00")
"""Of the series instance UID, as little-endian files have it."""
LONGEST_UID = 72
DIGITS = re.compile(r"[0-9]+")


def check_damaged(series: SeriesInfo, stack: Stack, name: object) -> tuple[str, ...]:
    """Check that the damaged files of a series' folder are no slices of the series.

    A file is one if what is left of it names the series and no slice that is there, or if it has the next number to
    the slices' own files; where a slice is missing, any may be it.

    Args:
        series: The series, with the damaged files of its folder.
        stack: Its slices.
        name: What sentences begin with.

    Returns:
        What is to be said of the files that are left out, each the end of a sentence.

    Raises:
        InputError: If a slice is lost.
    """
    if not series.damaged:
        return ()
    instances = {one.uid for one in stack.slices}
    own = [path for path in series.damaged if _is_of(path, series, instances)]
    if own:
        raise InputError(
            f"{name}: expected all slices of the series to be readable, found damaged ones ({names_of(own)})."
        )
    if not stack.is_even:
        raise InputError(
            f"{name}: expected a series without gaps, found missing or unevenly spaced slices, and damaged DICOM files "
            f"that may be these ({names_of(series.damaged)})."
        )
    verb = "is a damaged DICOM file" if len(series.damaged) == 1 else "are damaged DICOM files"
    return (f"{names_of(series.damaged)} {verb} that the series does not lack: left out",)


def _is_of(path: Path, series: SeriesInfo, instances: set[str]) -> bool:
    content = _content(path)
    uids = {found.decode() for found in UID.findall(content)}
    if uids & instances:
        return False  # what is left of a copy
    if any(uid != series.uid and not series.uid.startswith(uid) for uid in _series_in(content)):
        return False
    if series.uid in uids:
        return True
    return _continues(path.name, [file.name for file in series.files])


def _series_in(content: bytes) -> list[str]:
    """The series instance UIDs that are named in it; one that is cut off with the file is shorter."""
    after = [content[found.end() : found.end() + LONGEST_UID] for found in SERIES_TAG.finditer(content)]
    return [uid[0].decode() for part in after if (uid := UID.search(part))]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST)
    except OSError:
        return b""


def _continues(name: str, others: Sequence[str]) -> bool:
    """Whether a file's name is the next in a row of names: it differs from one of them by 1 in one number alone."""
    number, parts = [int(part) for part in DIGITS.findall(name)], DIGITS.split(name)
    for other in others:
        if DIGITS.split(other) == parts:
            steps = [abs(a - int(b)) for a, b in zip(number, DIGITS.findall(other), strict=True)]
            if sorted(steps)[-1:] == [1] and sum(steps) == 1:
                return True
    return False
