"""A way of storing a CT, and what is to become of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from outcomes import LEFT_OUT, MENDED, REFUSED, USED

from OneShotSegLib.imaging.volume import Volume

Write = Callable[[Path, Volume], object]
Entries = Mapping[str, tuple[str, Write, dict[str, Any]]]
"""By the name of a variant: what the table counts it under, what writes it, and what is to become of it."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way of storing.

    Attributes:
        kind: What the table counts it under.
        name: Its name, which is that of its folder.
        write: Writes it into its folder.
        expected: What is to become of it.
        says: A part of what is to be said of it.
        least: The world-space Dice with the plainly stored case that it must have.
        why: Why that is less than 0.99, for the table: its voxels are other ones. Such a variant is done by the default
            settings: the quick ones make more of such differences.
    """

    kind: str
    name: str
    write: Write
    expected: str = USED
    says: str = ""
    least: float = 0.99
    why: str = ""


def refused(says: str) -> dict[str, Any]:
    """What is to become of a variant: it is refused with these words."""
    return {"expected": REFUSED, "says": says}


def mended(says: str = "", least: float = 0.99, why: str = "") -> dict[str, Any]:
    """What is to become of a variant: it is used, and these words are said."""
    return {"expected": MENDED, "says": says, "least": least, "why": why}


def of_other_voxels(least: float, why: str) -> dict[str, Any]:
    """What is less alike in a variant, and the reason."""
    return {"least": least, "why": why}


def left_out(says: str) -> dict[str, Any]:
    """What is to become of a variant: it becomes no case, and these words are said."""
    return {"expected": LEFT_OUT, "says": says}


def whole_numbers(ct: Volume) -> Volume:
    """The CT with values that DICOM stores."""
    return ct.with_array(np.round(ct.array).astype(np.int16))


def then(first: Write, *others: Callable[[Path], object]) -> Write:
    """A way of storing, and what is done to the files after it."""

    def write(folder: Path, ct: Volume) -> None:
        first(folder, ct)
        for other in others:
            other(folder)

    return write


def cut_off(name: str, length: int) -> Callable[[Path], None]:
    """A file of which only the beginning is left."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])
