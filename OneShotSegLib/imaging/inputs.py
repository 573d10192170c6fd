"""What a search for CTs found: the CTs, and what it left out with the reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

SHOWN_PER_KIND = 5


class Kind(StrEnum):
    """Why something is left out, in the singular."""

    LABEL_MAP = "label map"
    STRUCTURE_SET = "structure set"
    DOSE = "dose"
    PLAN = "plan"
    OTHER_DICOM = "other DICOM object"
    LOCALIZER = "localizer"
    MODALITY = "scan of another modality"
    SINGLE_SLICE = "single slice"
    NOT_3D = "image without three axes"
    SEVERAL_SERIES = "folder with several CT series"
    NOT_CHOSEN = "series not chosen"
    DIVIDED_SERIES = "divided series"
    BROKEN_LINK = "broken link"
    CIRCLE = "circular link"
    UNREADABLE = "unreadable file"
    NOT_READ = "file of a format that is not read"
    OTHER_FILE = "file of another kind"
    HIDDEN = "hidden file"
    STUDY = "study"
    SUPPORT = "support"
    SAME = "second path"

    def counted(self, number: int) -> str:
        """So many of this kind, in words."""
        return f"{number:,} {self if number == 1 else PLURALS.get(self, f'{self}s')}"


PLURALS = {
    Kind.MODALITY: "scans of other modalities",
    Kind.NOT_3D: "images without three axes",
    Kind.SEVERAL_SERIES: "folders with several CT series",
    Kind.NOT_CHOSEN: "series not chosen",
    Kind.DIVIDED_SERIES: "divided series",
    Kind.NOT_READ: "files of formats that are not read",
    Kind.OTHER_FILE: "files of other kinds",
    Kind.STUDY: "studies",
}


@dataclass(frozen=True, kw_only=True)
class FoundCT:
    """A CT that was found.

    Attributes:
        path: A file, or a folder with a DICOM series: absolute; links keep their own names.
        series: Series instance UID if the folder holds several CT series, else ''.
        description: Series description, '' if there is none.
        size: Voxels along x, y and z (slices last for DICOM), as far as the header says; () if it was not read.
        spacing: Voxel size in mm in the same order; () if it was not read.
    """

    path: Path
    series: str = ""
    description: str = ""
    size: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Something that is not used.

    Attributes:
        path: A file or folder.
        kind: Why, in a word or two.
        reason: Why, in a phrase.
        count: How many files it stands for.
    """

    path: Path
    kind: Kind
    reason: str
    count: int = 1

    @property
    def fields(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        fields = {"path": str(self.path), "kind": self.kind.value, "reason": self.reason, "count": self.count}
        return {**fields, "text": f"Not used: {self}."}

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        cts: The CTs, by query and then by path.
        left_out: What is not used.
    """

    cts: tuple[FoundCT, ...]
    left_out: tuple[LeftOut, ...] = ()


def absolute(path: Path) -> Path:
    """An absolute path without ``..``, in which links keep their own names."""
    return Path(os.path.abspath(path))  # noqa: PTH100  (Path.resolve follows links)


def summary(left_out: Iterable[LeftOut]) -> str:
    """What is not used, counted by kind, such as "3 label maps, 1 structure set"; '' for nothing."""
    counts: Counter[Kind] = Counter()
    for entry in left_out:
        counts[entry.kind] += entry.count
    return ", ".join(kind.counted(number) for kind, number in counts.most_common())


def lines(left_out: Sequence[LeftOut]) -> list[str]:
    """A line for each thing that is not used, at most five per kind."""
    shown = []
    for kind in dict.fromkeys(entry.kind for entry in left_out):
        entries = [entry for entry in left_out if entry.kind is kind]
        most = entries if len(entries) <= SHOWN_PER_KIND + 1 else entries[:SHOWN_PER_KIND]
        shown += [str(entry) for entry in most]
        if len(most) < len(entries):
            shown.append(f"... and {kind.counted(sum(e.count for e in entries[SHOWN_PER_KIND:]))} more")
    return shown
