"""Outlines and dots as SVG path data."""

import re

import numpy as np

from OneShotSegLib.report.outlines import dots_path, outline_path


def corners(path: str) -> np.ndarray:
    """The vertices of a path of one relative polyline, in pixels."""
    start, steps = path[1:].split("l")
    numbers = np.array(re.findall(r"-?\d+", steps), dtype=int).reshape(-1, 2)
    first = np.array(start.split(), dtype=int)
    return np.vstack([first, first + numbers.cumsum(axis=0)]) / 10


def test_an_outline_runs_along_the_edge_of_the_mask_and_closes() -> None:
    share = np.zeros((12, 20))
    share[3:7, 5:15] = 1
    line = corners(outline_path(share))
    assert np.allclose(line[0], line[-1])
    assert np.allclose(line.min(axis=0), (5, 3), atol=0.01)
    assert np.allclose(line.max(axis=0), (15, 7), atol=0.01)


def test_straight_edges_cost_few_points() -> None:
    share = np.zeros((200, 200))
    share[20:180, 20:180] = 1
    assert len(corners(outline_path(share))) < 12


def test_an_outline_closes_where_the_mask_reaches_the_border() -> None:
    line = corners(outline_path(np.ones((6, 9))))
    assert np.allclose(line[0], line[-1])
    assert np.allclose(line.max(axis=0), (9, 6), atol=0.01)


def test_nothing_has_no_outline() -> None:
    assert outline_path(np.zeros((5, 5))) == ""


def test_dots_are_one_a_pixel() -> None:
    assert dots_path(np.array([[1.2, 3.4], [1.7, 3.9], [4.0, 0.0]])) == "M15 35h0M45 5h0"
