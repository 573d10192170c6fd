"""The names of cases: those that people look for, of the patient's folder or of the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.imaging.files import stem_of, suffix_of
from OneShotSegLib.study.naming import safe_name

GENERIC_STEMS = {"ct", "image", "img", "scan", "volume", "data"}
GENERIC_FOLDER = re.compile(
    # What archives, scanners and viewers call folders: a word and perhaps a number ...
    r"(dicom|dicomobj|dicomdir|dcm|images?|im|img|imgs|ima|cts?|scans?|scan|volumes?|vol|data|nifti|nii|nrrd|raw|"
    r"series|ser|se|study|studies|std|st|exam|ex|export|exp|files?|input|original|axial|primary)[-_ ]?\d*"
    # ... UIDs, hashes, and those of the NBIA's downloads: "01-01-2000-30178" and "3000566.000000-03192".
    r"|\d+(\.\d+){3,}|[0-9a-f]{24,}|\d\d-\d\d-\d{4}-.*|\d+\.\d{6}-.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """Where a CT lies.

    Attributes:
        path: A file, or a folder with a DICOM series; absolute.
        detail: What tells it from other CTs of the same path, such as the series' description.
    """

    path: Path
    detail: str = ""


def names_of(places: Sequence[Place]) -> list[str]:
    """A name for each CT: its file's, or that of the nearest folder whose name says something.

    Equal names get the nearest folders in which they differ; those that still are equal are left so.
    """
    parts = [_Parts.of(place) for place in places]
    groups: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        groups.setdefault(safe_name(part.name).casefold(), []).append(number)
    names = [part.name for part in parts]
    for numbers in groups.values():
        if len(numbers) > 1:
            for number, name in zip(numbers, _told_apart([parts[n] for n in numbers]), strict=True):
                names[number] = name
    return names


@dataclass(frozen=True)
class _Parts:
    """A place as what its name can be made of: the folders above, nearest first; the name; what is below."""

    above: tuple[str, ...]
    name: str
    below: tuple[str, ...]

    @classmethod
    def of(cls, place: Place) -> _Parts:
        path, is_file = place.path, bool(suffix_of(place.path))
        parts = [*path.parts[1:-1], stem_of(path) if is_file else path.name]
        chosen = len(parts) - 1
        if is_file and parts[chosen].casefold() in GENERIC_STEMS:
            chosen -= 1
        if not is_file or chosen < len(parts) - 1:
            telling = [n for n in range(chosen + 1) if not GENERIC_FOLDER.fullmatch(parts[n])]
            chosen = telling[-1] if telling else len(parts) - 1
        below = (*parts[chosen + 1 :], *([place.detail] if place.detail else []))
        return cls(tuple(reversed(parts[:chosen])), parts[chosen], below)


def _told_apart(parts: Sequence[_Parts]) -> list[str]:
    above = _first_that_differ([part.above for part in parts])
    below = _first_that_differ([part.below for part in parts])
    with_above = [_joined(a, part.name) for a, part in zip(above, parts, strict=True)]
    with_below = [_joined(part.name, b) for b, part in zip(below, parts, strict=True)]
    both = [_joined(name, b) for name, b in zip(with_above, below, strict=True)]
    plain = [part.name for part in parts]
    # The fewest additions with which most of them differ.
    return max((plain, with_above, with_below, both), key=lambda names: len({safe_name(n).casefold() for n in names}))


def _first_that_differ(parts: Sequence[tuple[str, ...]]) -> list[str]:
    """The nearest level at which not all are the same; '' for each where there is none."""
    for level in range(max(map(len, parts))):
        found = [part[level] if level < len(part) else "" for part in parts]
        if len(set(found)) > 1:
            return found
    return [""] * len(parts)


def _joined(*parts: str) -> str:
    return "_".join(part for part in parts if part)
