"""No step's memory grows with the product of two numbers of points: strokes of a brush are many voxels."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.export.contours import with_keyholes
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.labels import paint_points
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.denoising import DenoisingSettings, denoise, spread_to_neighbours
from OneShotSegLib.method.expansion import ExpansionSettings, measure_extent, part_in_extent
from OneShotSegLib.method.fitting import fit_affine, propagate_residuals
from OneShotSegLib.method.scribbles import ScribblePoints, levels_of, points_of, thin
from OneShotSegLib.method.structures import Structures
from OneShotSegLib.method.tubular_tracking import TrackingSettings, is_tubular
from OneShotSegLib.scoring.suggestion import choose
from OneShotSegLib.study.quality import CaseQuality, StructureQuality

STRUCTURES = Structures(
    (Segment(value=1, name="Liver", color=(1, 0, 0)),), Segment(value=9, name="Background", color=(0, 0, 1))
)
GRID = Volume.create(np.zeros((20, 60, 60), np.uint8), (3, 2, 2))
POINTS = 20_000
BYTES_PER_POINT = 1000
"""A few vectors of each point; the distance to every hundredth of the other points alone would be as much."""


def points(count: int = POINTS, turn: float = 0.0) -> ScribblePoints:
    """Voxels of a block, half of them structure and half background, on a grid turned about its x axis."""
    rng = np.random.default_rng(0)
    turned = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    positions = GRID.to_world(rng.integers(0, GRID.shape, (count, 3))) @ np.array(turned).T
    return ScribblePoints(positions, np.where(np.arange(count) % 2, 1, 9).astype(np.uint8))


def peak_of(work: Callable[[], Any]) -> int:
    """The most bytes that are taken while something is done."""
    work()  # what is imported or compiled at the first call does not count
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def every_other(of: ScribblePoints) -> np.ndarray:
    return np.arange(0, len(of), 2)


STEPS: dict[str, Callable[[ScribblePoints], Any]] = {
    "extent": lambda p: measure_extent(p, STRUCTURES, ExpansionSettings()),
    "extent, strokes on other slices": lambda p: measure_extent(
        p.moved(p.positions + 1000.0 * (p.labels == 9)[:, None]), STRUCTURES, ExpansionSettings()
    ),
    "tubular": lambda p: is_tubular(p.positions, TrackingSettings()),
    "thin": lambda p: thin(p, 24),
    "paint": lambda p: paint_points(GRID, p.positions, p.labels),
    "points": lambda p: points_of(GRID.with_array(paint_points(GRID, p.positions, p.labels))),
    "part in extent": lambda p: part_in_extent(
        GRID, p, measure_extent(p, STRUCTURES, ExpansionSettings()), ExpansionSettings()
    ),
    "fit": lambda p: fit_affine(p.positions, p.positions + 1.0),
    "denoise": lambda p: denoise(p, np.ones(len(p), np.float32), GRID, 9, DenoisingSettings(keep_at_least=0.5)),
    "similarity of all": lambda p: spread_to_neighbours(np.ones(len(p)), p, np.arange(len(p))),
    "similarity of some": lambda p: spread_to_neighbours(np.ones(200), p, np.arange(200)),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("turn", [0.0, 0.2], ids=["axis-aligned", "oblique"])
def test_memory_grows_with_the_points_alone(name: str, turn: float) -> None:
    strokes = points(turn=turn)
    assert peak_of(lambda: STEPS[name](strokes)) < BYTES_PER_POINT * POINTS


def test_residuals_of_many_points_are_smoothed_a_part_at_a_time() -> None:
    strokes = points(4 * POINTS)
    chosen = every_other(strokes)[:2000]
    source = strokes.positions[chosen]
    fitted, weights = fit_affine(source, source + 3.0)
    moved = propagate_residuals(fitted, source, source + 3.0, weights, strokes.positions, 20.0, 4.0)
    few = propagate_residuals(fitted, source, source + 3.0, weights, strokes.positions[-5:], 20.0, 4.0)
    np.testing.assert_allclose(moved[-5:], few, atol=1e-9)
    peak = peak_of(lambda: propagate_residuals(fitted, source, source, weights, strokes.positions, 20.0, 4.0))
    assert peak < 40e6 < len(source) * len(strokes) * 8


def test_an_oblique_grid_has_no_more_levels_than_its_length_allows() -> None:
    strokes = points(turn=0.2)
    groups = [group for _, group in levels_of(strokes.positions)]
    assert sum(map(len, groups)) == POINTS
    assert len(groups) <= 10 * np.ptp(strokes.positions[:, 0]) + 1
    assert max(np.ptp(group[:, 0]) for group in groups) <= 0.1


def test_contours_with_many_vertices_are_joined_in_parts() -> None:
    turns = np.linspace(0, 2 * np.pi, 6000, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    holes = [10 * circle + [40 * k, 0] for k in range(-2, 3)]
    peak = peak_of(lambda: with_keyholes(150 * circle, holes))
    assert peak < 20e6 < circle.size**2


def test_cases_are_compared_one_by_one() -> None:
    one = StructureQuality(
        value=1, name="", state="found", score=0.5, similarity=0.5, kept=1.0, cycle_mm=1.0, volume_ml=1.0,
        volume_ratio=1.0, in_view=1.0, agreement=0.5, core_dice=0.5, certainty=0.5,
    )  # fmt: skip
    rng = np.random.default_rng(0)

    def case(number: int) -> CaseQuality:
        structures = tuple(replace(one, value=value, score=float(rng.random())) for value in range(1, 21))
        return CaseQuality(case=str(number), score=0.5, structures=structures, seconds={}, warnings=())

    count = 600
    cases = [case(number) for number in range(count)]
    peak = peak_of(lambda: choose(cases, range(count), [], 3))
    assert peak < 4 * count**2 * 8
