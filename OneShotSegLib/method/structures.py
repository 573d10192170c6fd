"""What the labels of scribbles mean: the structures and the background stroke, in one support and in several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_matching import common_segments, translated
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
        InputError: If there is no background stroke, no structure, a segment without a stroke, or a name twice.
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
    keys = [segment.key for segment in foreground]
    twice = next((segment.name for segment in foreground if keys.count(segment.key) > 1), None)
    if twice is not None:
        raise InputError(f"Every structure needs a name of its own; found several named '{twice}'.")
    return Structures(foreground, background[0])


def with_common_values(scribbles: Sequence[LabelMap], known: Sequence[Segment] = ()) -> tuple[LabelMap, ...]:
    """The scribbles of several supports with one value per structure: that of the first support that has its name.

    A structure whose value is taken there gets a free one; the background stroke goes by its name too. Scribbles
    without names are matched by value. One support's scribbles stay as they are, where nothing is known.

    Args:
        scribbles: Of each support.
        known: What is known of values before: a study's table, whose values and spellings of names count first.

    Raises:
        InputError: If a support has one name twice, or if nothing tells what a value without a name means.
    """
    if len(scribbles) < 2 and not known:
        return tuple(scribbles)
    sources = [f"Support {number}" for number in range(1, len(scribbles) + 1)]
    maps = [(one.segments, one.unnamed) for one in scribbles]
    if known:
        table, (_, *translations) = common_segments([(known, frozenset()), *maps], ["The study", *sources])
    else:
        table, (*translations,) = common_segments(maps, sources)
    found = tuple(
        _with_values(one, values, {segment.value: segment for segment in table}, source)
        for one, values, source in zip(scribbles, translations, sources, strict=True)
    )
    names = {segment.value: segment.name for segment in known}
    return tuple(_with_names(one, names) for one in found) if known else found


def _with_names(labels: LabelMap, names: Mapping[int, str]) -> LabelMap:
    """The map with these names, by value; colours stay."""
    segments = tuple(replace(s, name=names.get(s.value, s.name)) for s in labels.segments)
    return LabelMap(labels.volume, segments, labels.unnamed)


def _with_values(labels: LabelMap, values: dict[int, int], known: dict[int, Segment], source: str) -> LabelMap:
    if len(set(values.values())) < len(values):
        raise InputError(f"{source}: expected one background stroke, found another value that is one elsewhere too.")
    segments = tuple(
        replace(known[values[s.value]] if s.value in labels.unnamed else s, value=values[s.value])
        for s in labels.segments
    )
    return translated(labels, values, segments)


def common_structures(tables: Sequence[Structures]) -> Structures:
    """All structures that any support has, by ascending value.

    Args:
        tables: Of each support; a value means the same in all of them (`with_common_values`).
    """
    if len(tables) == 1:
        return tables[0]
    known: dict[int, Segment] = {}
    for table in tables:
        for segment in table.foreground:
            known.setdefault(segment.value, segment)
    return Structures(tuple(known[value] for value in sorted(known)), tables[0].background)
