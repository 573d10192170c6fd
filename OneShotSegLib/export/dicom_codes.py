"""What DICOM calls a structure."""

from __future__ import annotations

from typing import NamedTuple

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
    return Concept(parts[1], parts[0], parts[2][:64])
