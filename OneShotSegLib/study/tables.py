"""One label table for the scribbles of all supports."""

from __future__ import annotations

from collections.abc import Sequence

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.steps.scribbles import Structures


def common_structures(tables: Sequence[Structures]) -> Structures:
    """All structures that any support has, by ascending value; a value means the same in all of them.

    Raises:
        InputError: If a value has two names, or the background strokes differ in value.
    """
    known: dict[int, Segment] = {}
    background = tables[0].background
    for table in tables:
        if table.background.value != background.value:
            raise InputError(
                "Expected the same value for the background stroke in all supports; "
                f"found {background.value} and {table.background.value}."
            )
        for segment in table.foreground:
            other = known.setdefault(segment.value, segment)
            if other.name.casefold() != segment.name.casefold():
                raise InputError(
                    "Expected a label value to mean the same structure in all supports; "
                    f"found {segment.value} as {other.name} and as {segment.name}."
                )
    if len(tables) == 1:
        return tables[0]
    return Structures(tuple(known[value] for value in sorted(known)), background)
