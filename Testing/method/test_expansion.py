from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.expansion import ExpansionSettings, StructureExtent, expand, measure_extent, part_in_extent
from OneShotSegLib.method.scribbles import ScribblePoints
from OneShotSegLib.method.structures import Structures
from OneShotSegLib.scoring.overlap import dice

STRUCTURES = Structures(
    (Segment(value=1, name="Ball", color=(1, 0, 0)), Segment(value=2, name="Other ball", color=(0, 1, 0))),
    Segment(value=9, name="Background", color=(0, 0, 1)),
)
REACH = {1: StructureExtent(30, 30), 2: StructureExtent(30, 30)}
PAPER = ExpansionSettings(exact=False, spacing=None, smooth_mm=0, air_is_background=False, limit_extent=False)
EXACT = ExpansionSettings(smooth_mm=0)


def two_balls() -> tuple[Volume, np.ndarray]:
    """Two bright balls of 12 mm radius in grey tissue, with their masks as labels."""
    grid = Volume.create(np.zeros((20, 32, 48)), (3, 2, 2))
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    truth = np.zeros(grid.shape, np.uint8)
    for value, centre in ((1, (28, 30, 24)), (2, (28, 30, 70))):
        truth[np.linalg.norm(world - np.array(centre), axis=-1) < 12] = value
    noise = np.random.default_rng(0).normal(0, 0.01, grid.shape)
    return grid.with_array((np.where(truth > 0, 0.8, 0.4) + noise).astype(np.float32)), truth


def seeds(*places: tuple[float, float, float, int]) -> ScribblePoints:
    table = np.array(places, dtype=float)
    return ScribblePoints(table[:, :3], table[:, 3].astype(np.uint8))


STROKES = seeds((28, 30, 24, 1), (28, 30, 70, 2), (28, 8, 47, 9), (28, 52, 47, 9), (6, 30, 47, 9), (52, 30, 47, 9))


@pytest.mark.parametrize("settings", [PAPER, EXACT], ids=["paper", "exact"])
def test_strokes_grow_into_the_structures_they_lie_in(settings: Any) -> None:
    image, truth = two_balls()
    labels = expand(image, STROKES, STRUCTURES, REACH, settings).labels.array
    for value in (1, 2):
        assert dice(labels == value, truth == value) > 0.95


@pytest.mark.parametrize("settings", [PAPER, EXACT], ids=["paper", "exact"])
def test_a_structure_without_strokes_gets_no_voxel_and_the_others_all_of_theirs(settings: Any) -> None:
    image, truth = two_balls()
    alone = STROKES.select(STROKES.labels != 2)
    labels = expand(image, alone, STRUCTURES, REACH, settings).labels.array
    assert set(np.unique(labels)) == {0, 1}
    assert (labels[truth == 1] == 1).mean() > 0.95


def test_certainty_is_high_inside_and_low_at_the_border() -> None:
    image, truth = two_balls()
    expansion = expand(image, STROKES, STRUCTURES, REACH, EXACT)
    assert 0 <= expansion.certainty.min() <= expansion.certainty.max() <= 1
    assert expansion.volumes_ml.keys() == {1, 2}
    assert expansion.volumes_ml[1] == pytest.approx((truth == 1).sum() * 12 / 1000, rel=0.1)


@pytest.mark.parametrize("settings", [PAPER, EXACT], ids=["paper", "exact"])
def test_the_rival_is_the_class_on_the_other_side_of_the_border(settings: Any) -> None:
    image, truth = two_balls()
    expansion = expand(image, STROKES, STRUCTURES, REACH, settings)
    assert set(np.unique(expansion.second_labels[truth == 1])) <= {0, 2}
    assert (expansion.second_labels != expansion.labels.array)[truth > 0].all()
    assert expansion.soft.shares.min() >= 0.5
    assert (expansion.soft.shares.min() == 1) != settings.between_voxels


def test_only_the_part_in_reach_is_needed() -> None:
    image, _ = two_balls()
    ball = STRUCTURES.foreground[:1]
    strokes = STROKES.select(STROKES.labels != 2)
    extent = {1: StructureExtent(14, 14)}
    part = part_in_extent(image, strokes, extent, EXACT)
    assert np.prod(part.shape) < np.prod(image.shape) / 2
    structures = Structures(ball, STRUCTURES.background)
    whole, small = (expand(grid, strokes, structures, extent, EXACT).labels for grid in (image, part))
    np.testing.assert_array_equal(resample(small, whole, order=0).array, whole.array)
    assert part_in_extent(image, strokes, extent, PAPER) is image


def test_a_part_in_reach_that_lies_out_of_view_is_still_a_grid() -> None:
    image, _ = two_balls()
    far = STROKES.moved(STROKES.positions + 500)
    assert min(part_in_extent(image, far, REACH, EXACT).shape) >= 1


def test_a_mask_ends_where_its_structure_cannot_reach() -> None:
    grid = Volume.create(np.full((20, 20, 40), 0.5, np.float32), (3, 2, 2))
    lone = seeds((28, 20, 10, 1))
    labels = expand(grid, lone, STRUCTURES, {1: StructureExtent(12, 20)}, EXACT).labels
    far = np.abs(labels.to_world(np.argwhere(labels.array == 1)) - [28, 20, 10]).max(axis=0)
    assert far[2] <= 10
    # In even tissue the front meets the background half way.
    assert 7 < far[0] <= 20


def test_air_is_background() -> None:
    grid = Volume.create(np.full((10, 20, 20), 0.5, np.float32), (3, 2, 2))
    grid.array[:, :, 12:] = 0
    labels = expand(grid, seeds((15, 20, 10, 1)), STRUCTURES, REACH, EXACT).labels.array
    assert not labels[:, :, 12:].any()


def test_reach_is_read_off_the_strokes() -> None:
    foreground = [(0, 0, 0, 1), (10, 0, 0, 1), (20, 0, 0, 1), (0, 0, 50, 2)]
    strokes = seeds(*foreground, (0, 0, 16, 9), (10, 16, 0, 9), (20, 0, -16, 9))
    extent = measure_extent(strokes, STRUCTURES, ExpansionSettings(extent_across=1.5, extent_along=0.8))
    assert extent[1].across == pytest.approx(24)
    assert extent[1].along == pytest.approx(16)
    assert extent[2].along == 10


def test_a_structure_painted_in_air_keeps_its_air() -> None:
    tissue = np.full((10, 24, 24), 0.5, np.float32)
    tissue[:, 8:14, 8:14] = 0
    grid = Volume.create(tissue, (3, 2, 2))
    strokes = seeds((15, 22, 22, 1), (15, 22, 20, 1), (15, 2, 22, 9))
    extent = measure_extent(strokes, Structures(STRUCTURES.foreground[:1], STRUCTURES.background), EXACT, grid)
    assert extent[1].holds_air
    labels = expand(grid, strokes, Structures(STRUCTURES.foreground[:1], STRUCTURES.background), {1: extent[1]}, EXACT)
    assert labels.labels.array[5, 8:14, 8:14].all()
