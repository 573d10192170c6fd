"""What the labels of scribbles mean: the structures and the background stroke, in one support and in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.labels import present_labels


@dataclass(frozen=True)
class Structures:
    """What the label values mean.

    Attributes:
        foreground: The structures to segment.
        background: The background stroke.
    """

    foreground: tuple[Segment, ...]
    background: Segment

    @property
    def values(self) -> list[int]:
        """Label values of the structures."""
        return [segment.value for segment in self.foreground]


def structures_of(scribbles: LabelMap) -> Structures:
    """Split the segments into structures and background stroke, and check that all of them were painted.

    Raises:
        InputError: If there is no background stroke, no structure, or a segment without a stroke.
    """
    painted = set(present_labels(scribbles.volume.array))
    background = [segment for segment in scribbles.segments if segment.is_background_stroke]
    if len(background) != 1 or background[0].value not in painted:
        named = ", ".join(f"{s.value} {s.name}" for s in scribbles.segments) or "none"
        raise InputError(
            "The scribbles need one painted background stroke: a segment named 'Background' or the value given by "
            f"--background-label; found the segments: {named}."
        )
    foreground = tuple(s for s in scribbles.segments if not s.is_background_stroke)
    if not foreground:
        raise InputError("The scribbles need a stroke on at least one structure; found the background stroke alone.")
    missing = [segment.name for segment in foreground if segment.value not in painted]
    if missing:
        raise InputError(f"Every structure needs a stroke; found none for: {', '.join(missing)}.")
    return Structures(foreground, background[0])


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
