"""Resampling: nothing shifts, nothing thin is lost, and large grids cost little."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from OneShotSegLib.imaging import resampling
from OneShotSegLib.imaging.boxes import cropped, label_boxes
from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labels import paint_points, present_labels
from OneShotSegLib.imaging.resampling import resample, working_grid
from OneShotSegLib.imaging.volume import Volume

SPACING = (3.0, 0.9, 1.1)
PERMUTED = np.eye(3)[[2, 0, 1]]
ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)


def turned(angles: Any = (20, -30, 40)) -> np.ndarray:
    return Rotation.from_euler("xyz", angles, degrees=True).as_matrix()


def ramp(direction: Any = None, shape: Any = (9, 30, 24), spacing: Any = SPACING) -> Volume:
    """Intensity = a linear function of the place, which every right interpolation reproduces."""
    grid = Volume.create(np.zeros(shape, np.float32), spacing, (10, -20, 30), direction)
    world = grid.to_world(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1))
    return grid.with_array((world @ (0.5, -2.0, 1.0)).astype(np.float32))


def ball(
    radius: float = 8.0, shape: Any = (20, 60, 60), spacing: Any = SPACING, direction: Any = None, value: int = 3
) -> Volume:
    grid = Volume.create(np.zeros(shape, np.uint8), spacing, (0, 0, 0), direction)
    world = grid.to_world(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1))
    middle = grid.to_world((np.asarray(shape) - 1) / 2)
    inside = np.linalg.norm(world - middle, axis=-1) <= radius
    return grid.with_array((inside * value).astype(np.uint8))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


# Intensities


@pytest.mark.parametrize("direction", [None, PERMUTED, turned()])
def test_reading_on_the_same_grid_changes_nothing(direction: Any) -> None:
    volume = ramp(direction)
    np.testing.assert_allclose(resample(volume, volume).array, volume.array, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(ANGLES, ANGLES)
@example((1e-307, 0.0, 0.0), (0.0, 0.0, 1.0))
def test_a_ramp_keeps_its_place_on_any_other_grid(source_angles: Any, target_angles: Any) -> None:
    volume = ramp(turned(source_angles))
    grid = Volume.create(np.zeros((5, 6, 7)), (0.8, 0.7, 0.9), volume.to_world((4, 15, 12)), turned(target_angles))
    world = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    read = resample(volume, grid, fill=np.nan).array
    inside = np.isfinite(read)
    assert inside[0, 0, 0]
    edge = np.all((volume.to_index(world) >= 0) & (volume.to_index(world) <= np.array(volume.shape) - 1), axis=-1)
    np.testing.assert_allclose(read[inside & edge], (world @ (0.5, -2.0, 1.0))[inside & edge], atol=1e-2)


@settings(max_examples=30, deadline=None)
@given(ANGLES, st.tuples(*[st.floats(0.5, 8)] * 3))
def test_the_working_grid_is_straight_and_covers_everything(angles: Any, spacing: Any) -> None:
    volume = ramp(turned(angles))
    grid = working_grid(volume, spacing)
    corners = volume.to_world(list(itertools.product(*[(-0.5, n - 0.5) for n in volume.shape])))
    np.testing.assert_array_equal(grid.direction, np.eye(3))
    np.testing.assert_allclose(grid.spacing, spacing)
    index = grid.to_index(corners)
    assert (index >= -0.5 - 1e-4).all()
    assert (index <= np.array(grid.shape) - 0.5 + 1e-4).all()
    assert (np.asarray(grid.shape) * spacing < np.ptp(corners, axis=0) + 2 * np.asarray(spacing)).all()
    # However the scan is stored, it is looked at in the same places.
    np.testing.assert_allclose(grid.origin / spacing, np.rint(grid.origin / spacing), atol=1e-6)


def test_outside_the_volume_is_the_fill_value() -> None:
    volume = ramp()
    far = Volume.create(np.zeros((3, 3, 3)), (1, 1, 1), (500, 500, 500))
    assert (resample(volume, far, fill=-1000).array == -1000).all()


@pytest.mark.parametrize("direction", [None, PERMUTED, -np.eye(3)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_coarser_grid_averages_what_it_steps_over(direction: Any, axis: int) -> None:
    """A pattern that alternates from voxel to voxel averages out where, and only where, the grid is coarser."""
    pattern = (np.indices((24, 24, 24))[axis] % 2).astype(np.float32)
    volume = Volume.create(pattern, (1, 1, 1), (0, 0, 0), direction)
    for coarse in range(3):
        spacing, shape = np.ones(3), np.array([24, 24, 24])
        spacing[coarse], shape[coarse] = 4, 6
        along = int(np.flatnonzero(volume.direction[:, axis])[0])  # the world axis along which the pattern runs
        first = volume.to_world((11.5, 11.5, 11.5)) - (shape - 1) / 2 * spacing
        grid = Volume.create(np.zeros(shape), spacing, np.round(first))
        inner = resample(volume, grid, fill=0.5).array[1:-1, 1:-1, 1:-1]
        contrast = float(inner.max() - inner.min())
        if coarse == along:
            assert contrast < 0.1
        else:
            assert contrast > 0.9


def test_a_turned_grid_of_the_same_fineness_does_not_smooth() -> None:
    noise = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)
    volume = Volume.create(noise)
    grid = Volume.create(np.zeros((1, 1, 1)), (1, 1, 1), (12, 12, 12), turned((45, 45, 0)))
    assert resample(volume, grid).array[0, 0, 0] == pytest.approx(noise[12, 12, 12], abs=1e-4)


def test_nearest_reading_keeps_the_type_and_invents_no_value() -> None:
    labels = ball()
    read = resample(labels, working_grid(labels, (2, 2, 2)), order=0)
    assert read.array.dtype == np.uint8
    assert set(np.unique(read.array)) == {0, 3}


def test_a_prepared_ct_is_straight_in_zero_to_one_with_air_around() -> None:
    ct = Volume.create(np.full((10, 20, 20), 1500, np.int16), (2, 1, 1), direction=turned())
    ready = prepare_ct(ct, (3, 3, 3), HUWindow())
    assert ready.array.dtype == np.float32
    assert ready.array[0, 0, 0] == 0
    assert ready.array.max() == 1
    np.testing.assert_array_equal(ready.direction, np.eye(3))


# Labels


def test_labels_on_the_same_grid_are_handed_through() -> None:
    labels = ball()
    assert resample_labels(labels, labels) is labels


@pytest.mark.parametrize("direction", [None, PERMUTED, turned()])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 2, 2), (0.7, 2, 1.3)])
def test_a_ball_stays_a_ball_of_its_size_in_its_place(direction: Any, spacing: Any) -> None:
    labels = ball(radius=12, direction=direction)
    grid = working_grid(labels, spacing)
    read = resample_labels(labels, grid)
    world = grid.to_world(np.argwhere(read.array == 3))
    middle = labels.to_world((np.asarray(labels.shape) - 1) / 2)
    assert np.abs(world.mean(axis=0) - middle).max() < 0.35
    volume = len(world) * np.prod(spacing) / ((labels.array == 3).sum() * np.prod(SPACING))
    assert volume == pytest.approx(1, abs=0.05)
    assert set(np.unique(read.array)) == {0, 3}


@settings(max_examples=15, deadline=None)
@given(ANGLES)
def test_there_and_back_through_any_grid_gives_the_same_mask(angles: Any) -> None:
    labels = ball(radius=10, shape=(16, 40, 40), spacing=(2, 1, 1))
    # A finer grid whose voxels do not lie half-way between the labels': there every border would be a tie.
    there = resample_labels(labels, Volume.create(np.zeros((32, 40, 40)), (1, 1, 1), (-0.5, 0, 0)))
    tilted = Volume.create(np.zeros((60, 60, 60)), (1, 1, 1), (-15, -10, -10), turned(angles))
    middle = labels.to_world((np.asarray(labels.shape) - 1) / 2)
    tilted = Volume.create(tilted.array, (1, 1, 1), middle - tilted.direction @ (29.5, 29.5, 29.5), tilted.direction)
    back = resample_labels(resample_labels(there, tilted), labels)
    assert dice(back.array > 0, labels.array > 0) > 0.95


def by_definition(labels: Volume, grid: Volume) -> np.ndarray:
    """Shares over the whole grid, label by label, background included."""
    values = [0, *present_labels(labels.array)]
    shares = [
        resample(labels.with_array((labels.array == v).astype(np.float32)), grid, fill=float(v == 0)).array
        for v in values
    ]
    return np.asarray(values, np.uint8)[np.argmax(shares, axis=0)]


@pytest.mark.parametrize("direction", [None, PERMUTED, turned((10, 5, -15))])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (4, 3, 3), (2, 0.5, 5)])
def test_reading_only_where_a_label_reaches_gives_what_reading_everywhere_gives(direction: Any, spacing: Any) -> None:
    rng = np.random.default_rng(0)
    array = np.zeros((12, 40, 36), np.uint8)
    for value in range(1, 7):
        low = rng.integers(0, (8, 30, 26))
        high = low + rng.integers(2, 10, 3)
        array[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = value
    labels = Volume.create(array, SPACING, (3, 2, 1), direction)
    grid = working_grid(labels, spacing)
    read, wanted = resample_labels(labels, grid).array, by_definition(labels, grid)
    assert (read != wanted).mean() < 5e-4  # shares within rounding of each other


def test_a_sheet_thinner_than_a_coarse_voxel_survives() -> None:
    array = np.zeros((8, 32, 32), np.uint8)
    array[:, 13:16, :] = 1  # 3 mm within a voxel of 4 mm
    labels = Volume.create(array)
    read = resample_labels(labels, Volume.create(np.zeros((2, 8, 8)), (4, 4, 4), (1.5, 1.5, 1.5)))
    assert (read.array == 1).any(axis=1).all()


def test_a_thin_tube_keeps_its_length_on_a_finer_grid() -> None:
    array = np.zeros((10, 20, 20), np.uint8)
    array[:, 10, 10] = 4
    labels = Volume.create(array, (3, 1, 1))
    read = resample_labels(labels, working_grid(labels, (1, 1, 1)))
    assert (read.array == 4).any(axis=(1, 2)).all()


def test_smoothing_rounds_a_block_and_keeps_a_thin_tube() -> None:
    array = np.zeros((24, 24, 24), np.uint8)
    array[4:20, 4:20, 4:16] = 1
    array[:, 21, 21] = 2
    labels = Volume.create(array, (1, 1, 1))
    smooth = resample_labels(labels, labels, smooth_mm=2.5).array
    assert smooth[4, 4, 4] == 0
    assert smooth[12, 12, 10] == 1
    assert 0.7 < (smooth == 1).sum() / (array == 1).sum() < 1
    np.testing.assert_array_equal(smooth == 2, array == 2)


def test_labels_that_lie_off_the_grid_leave_it_empty() -> None:
    labels = ball()
    far = Volume.create(np.zeros((5, 5, 5)), (1, 1, 1), (900, 900, 900))
    assert not resample_labels(labels, far).array.any()
    empty = labels.with_array(np.zeros_like(labels.array))
    assert not resample_labels(empty, working_grid(labels, (2, 2, 2))).array.any()


def test_labels_that_touch_the_border_end_there() -> None:
    labels = Volume.create(np.ones((6, 6, 6), np.uint8))
    grid = Volume.create(np.zeros((20, 20, 20)), (0.5, 0.5, 0.5), (-2.1, -2.1, -2.1))
    read = resample_labels(labels, grid)
    inside = labels.contains(grid.to_world(np.argwhere(read.array >= 0))).reshape(grid.shape)
    np.testing.assert_array_equal(read.array == 1, inside)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_the_labels_type_is_kept(kind: Any) -> None:
    labels = ball()
    labels = labels.with_array(labels.array.astype(kind))
    assert resample_labels(labels, working_grid(labels, (2, 2, 2))).array.dtype == kind


def test_small_structures_on_a_large_grid_cost_little() -> None:
    labels = ball(radius=8, shape=(60, 120, 120), spacing=(3, 2, 2))
    grid = Volume.create(np.broadcast_to(np.uint8(0), (300, 512, 512)), (0.7, 0.5, 0.5))
    started = time.process_time()
    read = resample_labels(labels, grid)
    assert time.process_time() - started < 2.0
    assert (read.array == 3).any()


def test_boxes_just_hold_each_label() -> None:
    array = np.zeros((4, 5, 6), np.uint8)
    array[1:3, 2, 3:6], array[0, 0, 0] = 9, 2
    assert label_boxes(array) == {2: np.s_[0:1, 0:1, 0:1], 9: np.s_[1:3, 2:3, 3:6]}
    assert label_boxes(array.astype(np.float32)) == label_boxes(array)
    assert present_labels(array) == [2, 9]


def test_a_cropped_volume_stays_in_its_place() -> None:
    volume = ramp(turned())
    part = cropped(volume, np.s_[2:5, 10:12, 3:9])
    np.testing.assert_allclose(part.to_world((1, 1, 2)), volume.to_world((3, 11, 5)))
    assert part.array[1, 1, 2] == volume.array[3, 11, 5]


# Points


def painted(index: Any, values: Any, shape: Any = (4, 5, 6)) -> np.ndarray:
    grid = Volume.create(np.zeros(shape), SPACING, (1, 2, 3), turned())
    return paint_points(grid, grid.to_world(np.asarray(index, float).reshape(-1, 3)), np.asarray(values, int))


def test_points_paint_the_voxel_that_contains_them() -> None:
    result = painted([(1, 2, 3), (1.4, 1.6, 3.4), (3, 4, 5)], [7, 7, 200])
    assert (result[1, 2, 3], result[3, 4, 5]) == (7, 200)
    assert np.count_nonzero(result) == 2
    assert result.dtype == np.uint8


def test_the_most_frequent_label_of_a_voxel_wins_whatever_the_order() -> None:
    for order in itertools.permutations([5, 2, 5, 9]):
        assert painted([(1, 1, 1)] * 4, order)[1, 1, 1] == 5


def test_ties_go_to_the_lower_label_whatever_the_order() -> None:
    for order in itertools.permutations([5, 2, 2, 5]):
        assert painted([(1, 1, 1)] * 4, order)[1, 1, 1] == 2


def test_points_off_the_grid_and_without_a_label_paint_nothing() -> None:
    off = [(-0.6, 0, 0), (0, 4.6, 0), (0, 0, 99), (np.nan, 0, 0), (2, 2, 2)]
    assert not painted(off, [1, 2, 3, 4, 0]).any()
    assert not painted([], []).any()


@pytest.mark.parametrize("spacing", [(6.0, 6.0, 6.0), (2.5, 1.0, 3.0), (0.7, 0.9, 1.1)])
def test_reading_along_the_axes_gives_what_smoothing_and_reading_the_whole_volume_gives(spacing: Any) -> None:
    array = np.random.default_rng(0).integers(-1000, 1500, (31, 33, 37)).astype(np.int16)
    volume = Volume.create(array, (2.0, 0.9, 1.1), (3, -7, 11))
    grid = working_grid(volume, spacing)
    image = resampling._smoothed(
        to_itk(volume.with_array(array.astype(np.float32))), resampling._smoothing(volume, grid)
    )
    whole = from_itk(resampling._resample_itk(image, grid, -1000.0, sitk.sitkLinear)).array
    np.testing.assert_allclose(resample(volume, grid, fill=-1000.0).array, whole, atol=0.02)
