"""Label maps matched by name: a structure's identity is its name; a value means something within its own file alone.

A file that names its segments is matched by them; values count only where a file has no names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import MAX_LABEL, LabelMap, Segment, name_key, read_label_map
from OneShotSegLib.imaging.labels import present_labels

MOST_NAMED = 8
"""Names in one sentence of an error."""


class MatchedLabels(NamedTuple):
    """What was found of the structures asked for.

    Attributes:
        labels: The label map with their values; all of them are its segments, in their order.
        notes: One sentence for each kind of thing that was not matched.
    """

    labels: LabelMap
    notes: tuple[str, ...]


def read_matched(path: Path, structures: Sequence[Segment], same_values: bool = False) -> MatchedLabels:
    """Read a label map and match it with structures; see `match_labels`.

    Raises:
        InputError: If it cannot be read or matched.
    """
    return match_labels(read_label_map(path), structures, path, same_values)


def match_labels(
    labels: LabelMap, structures: Sequence[Segment], source: Path, same_values: bool = False
) -> MatchedLabels:
    """The structures of a label map, found by name, with the values, names and colours that they have here.

    Case, blanks around a name and Unicode's form make no difference. A map without any name (NIfTI) is matched by
    value. What matches no structure is left out and said; a structure that the map does not name has no voxel in the
    result, and is said too. Nothing is guessed of names that are only alike. The background stroke is no structure.

    Args:
        labels: The map.
        structures: What is asked for.
        source: The map's file, for the sentences.
        same_values: The map was written with the structures' values: what no name tells, the value does, which is said.

    Raises:
        InputError: If names are there and none matches, or one that is asked for is there twice.
    """
    if not labels.named:
        return _by_value(labels, structures, source)
    if same_values:
        labels, said = _renamed(labels, structures, source)
        matched = match_labels(labels, structures, source)
        return MatchedLabels(matched.labels, (*said, *matched.notes))
    names = [segment.name for segment in labels.named]
    missing, others = compare_names(names, structures, source)
    notes = [*name_notes(missing, others, source)]
    nameless = [value for value in present_labels(labels.volume.array) if value in labels.unnamed]
    notes += [f"{source.name}: value(s) that no segment names, not used: {_listed(nameless)}."] if nameless else []
    own = {segment.key: segment for segment in labels.named}
    values = {own[s.key].value: s.value for s in structures if s.key in own}
    found = tuple(replace(s, tags=own[s.key].tags or s.tags) if s.key in own else s for s in structures)
    return MatchedLabels(translated(labels, values, found), tuple(notes))


def compare_names(names: Sequence[str], structures: Sequence[Segment], source: Path) -> tuple[list[str], list[str]]:
    """Names of the structures that a file does not name, and its names that are none of theirs.

    Args:
        names: All names of the file.
        structures: What is asked for.
        source: The file, for the sentences.

    Raises:
        InputError: If it has none of the names, or one of them twice, or if two structures have one name.
    """
    asked, there = Counter(s.key for s in structures), Counter(name_key(name) for name in names)
    twice = next((s.name for s in structures if asked[s.key] > 1), None)
    if twice is not None:
        raise InputError(f"{source}: expected to match structures by name, found that two of them are named '{twice}'.")
    if there.keys().isdisjoint(asked):
        wanted = _quoted([s.name for s in structures][:MOST_NAMED])
        raise InputError(
            f"{source}: expected structures of the names {wanted}, found {_quoted(names[:MOST_NAMED]) or 'none'}."
        )
    twice = next((name for name in names if name_key(name) in asked and there[name_key(name)] > 1), None)
    if twice is not None:
        raise InputError(f"{source}: expected each structure once, found several of the name '{twice}'.")
    missing = [s.name for s in structures if s.key not in there]
    return missing, [name for name in dict.fromkeys(names) if name_key(name) not in asked]


def name_notes(missing: Sequence[str], others: Sequence[str], source: Path) -> tuple[str, ...]:
    """The sentences on names that were not matched, as `compare_names` gives them."""
    notes = [f"{source.name}: it has no structure of these names: {_quoted(missing)}."] if missing else []
    notes += [f"{source.name}: structures that were not asked for, not used: {_quoted(others)}."] if others else []
    return tuple(notes)


def _renamed(labels: LabelMap, structures: Sequence[Segment], source: Path) -> tuple[LabelMap, tuple[str, ...]]:
    """The map with the name of the structure of its value for each segment of an unknown name, if no other has it."""
    there, asked = {segment.key for segment in labels.named}, {structure.key for structure in structures}
    free = {structure.value: structure for structure in structures if structure.key not in there}
    unknown = {s.value for s in labels.named if s.key not in asked and s.value in free}
    if not unknown:
        return labels, ()
    whats = ", ".join(f"'{s.name}' as '{free[s.value].name}'" for s in labels.named if s.value in unknown)
    segments = tuple(replace(s, name=free[s.value].name) if s.value in unknown else s for s in labels.segments)
    note = f"{source.name}: structures of other names, taken by their values: {whats}."
    return LabelMap(labels.volume, segments, labels.unnamed), (note,)


def _by_value(labels: LabelMap, structures: Sequence[Segment], source: Path) -> MatchedLabels:
    background = {segment.value for segment in labels.segments if segment.is_background_stroke}
    known = {structure.value for structure in structures}
    others = [value for value in present_labels(labels.volume.array) if value not in known | background]
    notes = [f"{source.name}: value(s) that were not asked for, not used: {_listed(others)}."] if others else []
    if labels.has_nameless_segments:
        notes.append(f"{source.name}: its segments have no names: they were matched by value.")
    values = {value: value for value in known - background}
    return MatchedLabels(translated(labels, values, tuple(structures)), tuple(notes))


def translated(labels: LabelMap, values: dict[int, int], segments: tuple[Segment, ...]) -> LabelMap:
    """The map with other values and these segments; a value that has no other becomes 0.

    Args:
        labels: The map.
        values: Its own value to the new one.
        segments: What the new values mean.
    """
    table: NDArray[np.uint8] = np.zeros(MAX_LABEL + 1, dtype=np.uint8)
    for own, value in values.items():
        table[own] = value
    present = present_labels(labels.volume.array)
    if all(table[value] == value for value in present):
        return LabelMap(labels.volume, segments)
    return LabelMap(labels.volume.with_array(table[labels.volume.array]), segments)


def with_values_of(labels: LabelMap, structures: Sequence[Segment]) -> LabelMap:
    """The whole map, in which segments that are named like these structures have their values.

    All other segments stay, with their own value if it is free, else the lowest free one; of several that are named
    alike, the first has the structure's value. For what is edited further: nothing may be lost.

    Raises:
        InputError: If there are more segments than values.
    """
    if not labels.named:
        return labels
    free = {structure.key: structure.value for structure in structures}
    reserved, values = set(free.values()), {}
    for segment in labels.segments:
        if segment.value not in labels.unnamed and segment.key in free:
            values[segment.value] = free.pop(segment.key)
    taken = reserved.copy()
    for segment in labels.segments:
        if segment.value not in values:
            values[segment.value] = _free_value(segment.value, taken)
            taken.add(values[segment.value])
    segments = tuple(replace(segment, value=values[segment.value]) for segment in labels.segments)
    unnamed = frozenset(values[value] for value in labels.unnamed if value in values)
    return LabelMap(translated(labels, values, segments).volume, segments, unnamed)


def common_segments(
    maps: Sequence[tuple[Sequence[Segment], frozenset[int]]], sources: Sequence[str]
) -> tuple[tuple[Segment, ...], tuple[dict[int, int], ...]]:
    """One table of segments for several label maps, by name; where a value is taken, a later map's gets a free one.

    Maps without names add to it by value, which the others must then agree on.

    Args:
        maps: Segments of each map, and which of their values have no name.
        sources: What each map is called in a sentence.

    Returns:
        The segments, in the order in which they were found; the background stroke, if there is one, is among them. And
        for each map, its own values to theirs.

    Raises:
        InputError: If a map has one name twice, or if nothing tells what a value without a name means.
    """
    for (segments, unnamed), source in zip(maps, sources, strict=True):
        keys = Counter(s.key for s in segments if s.value not in unnamed)
        twice = next((s.name for s in segments if keys[s.key] > 1 and s.value not in unnamed), None)
        if twice is not None:
            raise InputError(f"{source}: expected each structure once, found several of the name '{twice}'.")
    if any(unnamed for _, unnamed in maps):
        _check_agreement(maps, sources)
    table: list[Segment] = []
    nameless: set[int] = set()
    translations = []
    for segments, unnamed in maps:
        own: dict[int, int] = {}
        for segment in sorted(segments, key=lambda s: s.value in unnamed):
            own[segment.value] = _place(segment, segment.value not in unnamed, table, nameless)
        translations.append(own)
    return tuple(table), tuple(translations)


def _place(segment: Segment, is_named: bool, table: list[Segment], nameless: set[int]) -> int:
    """The value of a segment in a table, which gets it if it does not have it."""
    if is_named:
        by_name = next((other for other in table if other.value not in nameless and other.key == segment.key), None)
        if by_name is not None:
            return by_name.value
    for place, other in enumerate(table):
        if other.value == segment.value and not is_named:
            return other.value
        if other.value == segment.value and other.value in nameless:
            # The others have no name for this value: here is one.
            nameless.discard(other.value)
            table[place] = segment
            return other.value
    value = _free_value(segment.value, {other.value for other in table})
    table.append(replace(segment, value=value))
    if not is_named:
        nameless.add(value)
    return value


def _check_agreement(maps: Sequence[tuple[Sequence[Segment], frozenset[int]]], sources: Sequence[str]) -> None:
    """Refuse maps without names next to such as name their values in different ways."""
    plain = next(source for (_, unnamed), source in zip(maps, sources, strict=True) if unnamed)
    by_value: dict[int, Segment] = {}
    by_key: dict[str, Segment] = {}
    for segments, unnamed in maps:
        for segment in segments:
            if segment.value in unnamed or segment.is_background_stroke:
                continue
            same_value = by_value.setdefault(segment.value, segment)
            same_name = by_key.setdefault(segment.key, segment)
            if same_value.key != segment.key or same_name.value != segment.value:
                other = same_value if same_value.key != segment.key else same_name
                raise InputError(
                    f"{plain}: expected names for its label values, for the other files disagree on them; found "
                    f"'{other.name}' as {other.value} and '{segment.name}' as {segment.value} there, and no name here."
                )


def _free_value(wanted: int, taken: Iterable[int]) -> int:
    taken = set(taken)
    if wanted not in taken:
        return wanted
    free = next((value for value in range(1, MAX_LABEL + 1) if value not in taken), 0)
    if not free:
        raise InputError(f"Expected at most {MAX_LABEL} structures, found more.")
    return free


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
