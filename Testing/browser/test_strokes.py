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


def naive(stroke: Stroke, slack: float) -> np.ndarray:
    """The same, looked up voxel by voxel, with a brush that is a little wider or narrower; a ball's too."""
    across = [axis for axis in range(3) if axis != stroke.axis]
    plane = round(float(np.median([point[stroke.axis] for point in stroke.points])))
    steps = np.array(SPACING)[across]
    radius = max(stroke.width_mm / 2, 0.5 * min(steps))
    found = np.zeros(SHAPE, dtype=bool)
    line = np.array(stroke.points)[:, across] * steps
    for voxel in np.ndindex(*SHAPE):
        away = (voxel[stroke.axis] - plane) * SPACING[stroke.axis]
        if away and stroke.kind == "line":
            continue
        here = np.array(voxel)[across] * steps
        for start, end in zip(line, line[1:] if len(line) > 1 else line, strict=False):
            along = end - start
            length = float(along @ along)
            share = min(max(float((here - start) @ along) / length, 0.0), 1.0) if length else 0.0
            if float(((here - start - share * along) ** 2).sum()) + away**2 <= radius**2 + slack:
                found[voxel] = True
    for point in np.rint(np.array(stroke.points)[:, across]).astype(int):
        at = np.insert(point, stroke.axis, plane)
        if (at >= 0).all() and (at < SHAPE).all():
            found[tuple(at)] = True
    return found


@pytest.mark.parametrize("kind", ["line", "ball"])
@given(axis=st.integers(0, 2), points=st.lists(places, min_size=1, max_size=5), width=st.floats(0, 9))
def test_a_stroke_paints_what_lies_within_the_brush_of_its_line(
    kind: Any, axis: int, points: list[tuple[float, float, float]], width: float
) -> None:
    stroke = Stroke(value=3, axis=axis, points=tuple(points), width_mm=width, kind=kind)
    labels = np.zeros(SHAPE, np.uint8)
    box = paint(labels, stroke, SPACING)
    painted = labels == 3
    assert not (naive(stroke, -1e-6) & ~painted).any()
    assert not (painted & ~naive(stroke, 1e-6)).any()
    assert (box is None) == (not painted.any())
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


def outline(axis: int, *points: tuple[float, float, float], **named: Any) -> Stroke:
    return Stroke(value=2, axis=axis, points=points, width_mm=6.0, kind="outline", **named)


@pytest.mark.parametrize("backwards", [False, True])
def test_an_outline_paints_what_it_encloses(backwards: bool) -> None:
    corners = [(4.0, 2.4, 1.6), (4.0, 2.4, 8.3), (4.0, 9.7, 8.3), (4.0, 9.7, 1.6)]
    labels = np.zeros(SHAPE, np.uint8)
    box = paint(labels, outline(0, *(corners[::-1] if backwards else corners)), SPACING)
    expected = np.zeros(SHAPE, bool)
    expected[4, 3:10, 2:9] = True
    for corner in corners:  # the line's own voxels
        expected[tuple(np.rint(corner).astype(int))] = True
    assert np.array_equal(labels == 2, expected)
    assert box is not None
    labels[box] = 0
    assert not labels.any()


def test_an_outline_that_crosses_itself_has_no_holes_where_it_runs_twice() -> None:
    square = [(0.0, 1.6, 1.6), (0.0, 1.6, 9.4), (0.0, 11.4, 9.4), (0.0, 11.4, 1.6)]
    once, twice = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    paint(once, outline(0, *square), SPACING)
    paint(twice, outline(0, *square, *square), SPACING)
    assert np.array_equal(once, twice)


def test_a_range_leaves_out_what_has_other_hu() -> None:
    hu = np.random.default_rng(2).integers(-1000, 1000, SHAPE).astype(np.int16)
    everything, some = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    line = ((4.0, 2.0, 2.0), (4.0, 11.0, 8.0))
    paint(everything, Stroke(value=1, axis=0, points=line, width_mm=8.0, kind="ball"), SPACING)
    ranged = Stroke(value=1, axis=0, points=line, width_mm=8.0, kind="ball", within=(0, 500))
    paint(some, ranged, SPACING, lambda box: hu[box])
    assert np.array_equal(some == 1, (everything == 1) & (hu >= 0) & (hu <= 500))
    nothing = Stroke(value=1, axis=0, points=line, width_mm=8.0, within=(2000, 3000))
    assert paint(some, nothing, SPACING, lambda box: hu[box]) is None


def disc(middle: tuple[float, float], radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0:40, 0:40]
    return (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= radius**2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_filling_between_slices_makes_the_shapes_between(axis: int) -> None:
    labels = np.zeros((11, 40, 40), np.uint8)
    labels[2], labels[8] = 3 * disc((20, 20), 12), 3 * disc((20, 20), 6)
    labels[5, 0:20] = 7  # what has a label keeps it
    turned = np.moveaxis(labels, 0, axis).copy()
    before = turned.copy()
    fill = Stroke(value=3, axis=axis, points=(), width_mm=1.0, kind="between")
    assert paint(turned, fill, (1.0, 1.0, 1.0)) is not None
    filled = np.moveaxis(turned, axis, 0)
    assert np.array_equal(turned[before > 0], before[before > 0])
    assert not filled[[0, 1, 9, 10]].any()
    sizes = [(filled[slice_] == 3).sum() for slice_ in (2, 3, 4, 6, 7, 8)]
    assert sizes == sorted(sizes, reverse=True)
    wanted = disc((20, 20), 9)
    wanted[:20] = False
    assert ((filled[5] == 3) != wanted).sum() < 0.15 * wanted.sum()
    assert paint(turned, fill, (1.0, 1.0, 1.0)) is None  # nothing is left to fill


def test_filling_follows_what_runs_at_a_slant() -> None:
    labels = np.zeros((9, 40, 40), np.uint8)
    labels[0], labels[8] = disc((8, 20), 4), disc((32, 20), 4)
    paint(labels, Stroke(value=1, axis=0, points=(), width_mm=1.0, kind="between"), (3.0, 1.0, 1.0))
    for slice_ in range(1, 8):
        wanted = disc((8 + 3 * slice_, 20), 4)
        assert ((labels[slice_] == 1) & wanted).sum() > 0.7 * wanted.sum()


@pytest.mark.parametrize(
    "content",
    [{"kind": "spray"}, {"kind": "between", "value": 0}, {"within": [1]}, {"within": [5, 1]}, {"within": [0.5, 2]}],
)
def test_what_is_no_stroke_of_a_kind_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Stroke.parse({"value": 1, "axis": 0, "points": [(1, 1, 1)], "width_mm": 2.0, **content})


@pytest.mark.parametrize("content", [{}, {"kind": "ball"}, {"kind": "between", "points": []}, {"within": [-100, 200]}])
def test_what_is_kept_is_read_again(content: dict[str, Any]) -> None:
    stroke = Stroke.parse({"value": 1, "axis": 0, "points": [(1, 1, 1)], "width_mm": 2.0, **content})
    assert Stroke.parse(stroke.as_json()) == stroke
