"""A segment's tags as Slicer writes them into .seg.nrrd files: ``key:value|key:value|``."""

from __future__ import annotations

TERMINOLOGY_TAG = "TerminologyEntry"


def split_tags(text: str) -> dict[str, str]:
    """The tags in a text, by name; entries of another form are left out."""
    pairs = (entry.partition(":") for entry in text.split("|"))
    return {name: value for name, colon, value in pairs if colon and name}
