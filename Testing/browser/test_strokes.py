"""Strokes: which voxels a line and a brush paint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from OneShotSegLib.browser.strokes import Stroke, paint
from OneShotSegLib.errors import InputError

SHAPE, SPACING = (9, 14, 11), (3.0, 1.0, 2.0)
places = st.tuples(*(st.floats(-3, size + 2) for size in SHAPE))


def naive(stroke: Stroke) -> np.ndarray:
    """The same, looked up voxel by voxel."""
    across = [axis for axis in range(3) if axis != stroke.axis]
    plane = round(float(np.median([point[stroke.axis] for point in stroke.points])))
    steps = np.array(SPACING)[across]
    radius = max(stroke.width_mm / 2, 0.5 * min(steps))
    found = np.zeros(SHAPE, dtype=bool)
    line = np.array(stroke.points)[:, across] * steps
    for voxel in np.ndindex(*SHAPE):
        if voxel[stroke.axis] != plane:
            continue
        here = np.array(voxel)[across] * steps
        for start, end in zip(line, line[1:] if len(line) > 1 else line, strict=False):
            along = end - start
            length = float(along @ along)
            share = min(max(float((here - start) @ along) / length, 0.0), 1.0) if length else 0.0
            if float(((here - start - share * along) ** 2).sum()) <= radius**2:
                found[voxel] = True
    for point in np.rint(np.array(stroke.points)[:, across]).astype(int):
        at = np.insert(point, stroke.axis, plane)
        if (at >= 0).all() and (at < SHAPE).all():
            found[tuple(at)] = True
    return found


@given(st.integers(0, 2), st.lists(places, min_size=1, max_size=5), st.floats(0, 9))
def test_a_stroke_paints_what_lies_within_the_brush_of_its_line(
    axis: int, points: list[tuple[float, float, float]], width: float
) -> None:
    stroke = Stroke(value=3, axis=axis, points=tuple(points), width_mm=width)
    labels = np.zeros(SHAPE, np.uint8)
    box = paint(labels, stroke, SPACING)
    expected = naive(stroke)
    assert np.array_equal(labels == 3, expected)
    assert (box is None) == (not expected.any())
    if box is not None:
        labels[box] = 0
        assert not labels.any()


def test_a_stroke_paints_one_slice_at_least_a_voxel_wide() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    paint(labels, Stroke(value=1, axis=0, points=((4.4, 5.0, 5.0), (4.4, 5.0, 8.0)), width_mm=0.0), SPACING)
    assert np.argwhere(labels).tolist() == [[4, 5, x] for x in range(5, 9)]


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"value": 1, "axis": 0, "points": [], "width_mm": 1},
        {"value": 1, "axis": 3, "points": [[0, 0, 0]], "width_mm": 1},
        {"value": 256, "axis": 0, "points": [[0, 0, 0]], "width_mm": 1},
        {"value": True, "axis": 0, "points": [[0, 0, 0]], "width_mm": 1},
        {"value": 1.5, "axis": 0, "points": [[0, 0, 0]], "width_mm": 1},
        {"value": 1, "axis": 0, "points": [[0, 0]], "width_mm": 1},
        {"value": 1, "axis": 0, "points": [[0, 0, "a"]], "width_mm": 1},
        {"value": 1, "axis": 0, "points": [[0, 0, float("nan")]], "width_mm": 1},
        {"value": 1, "axis": 0, "points": [[0, 0, float("inf")]], "width_mm": 1},
        {"value": 1, "axis": 0, "points": [[0, 0, 0]], "width_mm": -1},
        {"value": 1, "axis": 0, "points": [[0, 0, 0]], "width_mm": 1e9},
        {"value": 1, "axis": 0, "points": "abc", "width_mm": 1},
        {"value": 1, "axis": 0, "points": [[0, 0, 0]] * 20_001, "width_mm": 1},
    ],
)
def test_what_is_no_stroke_is_refused_in_a_sentence(content: Any) -> None:
    with pytest.raises(InputError, match="xpected"):
        Stroke.parse(content)


def test_a_stroke_is_kept_as_it_was_sent() -> None:
    content = {"value": 2, "axis": 1, "points": [[1.0, 2.5, 3.0], [1.0, 2.5, 4.0]], "width_mm": 3.5}
    stroke = Stroke.parse(content)
    assert Stroke.parse(stroke.as_json()) == stroke
