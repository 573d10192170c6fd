"""What DICOM calls a structure, and texts as DICOM can hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.segment_tags import TERMINOLOGY_TAG, split_tags


class Concept(NamedTuple):
    """A coded concept.

    Attributes:
        value: Its code.
        scheme: Who coded it, such as SCT (SNOMED CT).
        meaning: In words, at most 64 letters.
    """

    value: str
    scheme: str
    meaning: str


# What Slicer gives a segment of which it knows no more.
TISSUE = Concept("85756007", "SCT", "Tissue")
CATEGORY_AT, KIND_AT = 1, 2
UTF_8 = "ISO_IR 192"
LONGEST_NAME = 64
"""Characters of a text of the type LO."""
FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def category_and_type(segment: Segment) -> tuple[Concept, Concept]:
    """Category and type of what is segmented, from Slicer's terminology tag; "Tissue" where there is none."""
    parts = split_tags(segment.tags).get(TERMINOLOGY_TAG, "").split("~")
    found = [_concept(parts[at]) if len(parts) > at else None for at in (CATEGORY_AT, KIND_AT)]
    return found[0] or TISSUE, found[1] or TISSUE


def _concept(text: str) -> Concept | None:
    """A concept in Slicer's words, ``scheme^code^meaning``."""
    parts = [part.strip() for part in text.split("^")]
    if len(parts) != 3 or not all(parts) or len(parts[1]) > 16:
        return None
    return Concept(dicom_text(parts[1]), dicom_text(parts[0]), dicom_text(parts[2]))


def dicom_text(text: str, most: int = LONGEST_NAME) -> str:
    """A text on one line, without what DICOM forbids, of at most so many characters."""
    return " ".join(FORBIDDEN.sub(" ", text).split())[:most].strip()


def text_of(value: Any) -> str:
    """A value of a header as text, to be written in another character set; several are parted by a backslash."""
    if value is None:
        return ""
    many = not isinstance(value, str) and isinstance(value, Sequence)
    return "\\".join(map(str, value)) if many else str(value)


def roi_names(names: Iterable[str]) -> list[str]:
    """ROI names for these names, in their order: at most 64 characters, none that DICOM forbids, each name once."""
    found: list[str] = []
    taken: set[str] = set()
    for text in names:
        plain = dicom_text(text, len(text)) or "Structure"
        name, count = plain[:LONGEST_NAME].strip(), 1
        while name.casefold() in taken:
            count += 1
            ending = f" ({count})"
            name = plain[: LONGEST_NAME - len(ending)].strip() + ending
        taken.add(name.casefold())
        found.append(name)
    return found
