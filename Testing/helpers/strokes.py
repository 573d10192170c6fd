"""Scribbles as somebody changed them: fewer strokes, another structure, other names and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map


def fewer_strokes(source: Path, target: Path) -> Path:
    """The same scribbles without the half of the first structure's voxels."""
    labels = read_label_map(source)
    array = labels.volume.array.copy()
    painted = np.argwhere(array == labels.segments[0].value)
    array[tuple(painted[: len(painted) // 2].T)] = 0
    return _written(labels, array, target)


def without(source: Path, target: Path, *names: str) -> Path:
    """The same scribbles without these structures."""
    labels = read_label_map(source)
    gone = [segment.value for segment in labels.segments if segment.name in names]
    assert len(gone) == len(names)
    kept = LabelMap(labels.volume, tuple(segment for segment in labels.segments if segment.value not in gone))
    return _written(kept, np.where(np.isin(labels.volume.array, gone), 0, labels.volume.array), target)


def renamed(source: Path, target: Path, names: Mapping[str, str]) -> Path:
    """The same scribbles with other names."""
    labels = read_label_map(source)
    segments = tuple(replace(segment, name=names.get(segment.name, segment.name)) for segment in labels.segments)
    return _written(LabelMap(labels.volume, segments), labels.volume.array, target)


def with_other_values(source: Path, target: Path) -> Path:
    """The same scribbles with other values in another order, as another program may write them."""
    labels = read_label_map(source)
    values = [segment.value for segment in labels.segments]
    others = dict(zip(values, [*values[1:-1], 77, 78], strict=True))
    array = np.zeros_like(labels.volume.array)
    for value, other in others.items():
        array[labels.volume.array == value] = other
    segments = tuple(replace(segment, value=others[segment.value]) for segment in reversed(labels.segments))
    return _written(LabelMap(labels.volume, segments), array, target)


def _written(labels: LabelMap, array: np.ndarray, target: Path) -> Path:
    write_label_map(labels.with_volume(labels.volume.with_array(array.astype(np.uint8))), target)
    return target
