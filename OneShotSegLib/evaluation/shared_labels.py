"""The structures of two folders of label maps: one table by name, whatever values each file has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_matching import common_segments
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.study.structure_table import read_named_label_map

Names = dict[int, str]


def shared_labels(
    cases: Iterable[str], references: Mapping[str, Path], predictions: Mapping[str, Path | None]
) -> tuple[Names, list[str]]:
    """Value and name of all structures that occur in the label maps of these cases, without the background stroke.

    Values are those of the first file that has the structure, or free ones where they are taken.

    Returns:
        The names, and sentences on those that only predictions or only references have.

    Raises:
        InputError: If a file cannot be read, a prediction and its reference have names and none in common, or nothing
            tells what a value without a name means.
    """
    sides: tuple[dict[str, Segment], dict[str, Segment]] = ({}, {})
    maps, sources = [], []
    for case in cases:
        paths = (predictions[case], references[case])
        found = [None if path is None else read_named_label_map(path) for path in paths]
        _check_names_meet(found, paths)
        for side, labels, path in zip(sides, found, paths, strict=True):
            if labels is not None:
                maps.append(_segments(labels))
                sources.append(str(path))
                side.update({segment.key: segment for segment in labels.named})
    table, _ = common_segments(maps, sources)
    names = {s.value: s.name for s in sorted(table, key=lambda s: s.value) if not s.is_background_stroke}
    notes = []
    if all(sides):
        for own, other, what in ((sides[0], sides[1], "predictions"), (sides[1], sides[0], "references")):
            only = ", ".join(f"'{segment.name}'" for key, segment in own.items() if key not in other)
            notes += [f"Structures that only {what} name: {only}."] if only else []
    return names, notes


def _segments(labels: LabelMap) -> tuple[tuple[Segment, ...], frozenset[int]]:
    """What a file adds to the table: where it has names, only what has one."""
    if not labels.named:
        return labels.segments, labels.unnamed
    return tuple(s for s in labels.segments if s.value not in labels.unnamed), frozenset()


def _check_names_meet(found: list[LabelMap | None], paths: tuple[Path | None, Path]) -> None:
    prediction, reference = found
    if prediction is None or reference is None or not prediction.named or not reference.named:
        return
    if {s.key for s in prediction.named}.isdisjoint(s.key for s in reference.named):
        wanted, there = (
            ", ".join(f"'{segment.name}'" for segment in labels.named[:8]) for labels in (prediction, reference)
        )
        raise InputError(f"{paths[1]}: expected structures of the names {wanted} as in {paths[0]}, found {there}.")
