"""Label maps that were cropped, turned, refined or moved a little, back on the grid of their CT."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import bounding_box, cropped
from OneShotSegLib.imaging.label_grids import mask_on_ct, onto_grid
from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.small_study import small_ct, small_mask

TILT = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
CT = small_ct(direction=TILT)
LABELS = small_mask(CT).volume


def turned(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same voxels with the axes in another order and direction."""
    flips_by_axis = np.asarray(flips)
    first = np.where(flips_by_axis, np.asarray(volume.shape) - 1, 0)
    array = volume.array[tuple(slice(None, None, -1 if flip else 1) for flip in flips)].transpose(order)
    direction = volume.direction * np.where(flips_by_axis, -1, 1)
    return Volume.create(array, volume.spacing[list(order)], volume.to_world(first), direction[:, list(order)])


def finer(volume: Volume, factors: tuple[int, int, int], same_origin: bool = False) -> Volume:
    """Each voxel as several."""
    array = volume.array
    for axis, factor in enumerate(factors):
        array = array.repeat(factor, axis=axis)
    first = np.zeros(3) if same_origin else (1 / np.asarray(factors) - 1) / 2
    return Volume.create(array, volume.spacing / factors, volume.to_world(first), volume.direction)


def moved(volume: Volume, voxels: float) -> Volume:
    return Volume.create(volume.array, volume.spacing, volume.to_world([voxels] * 3), volume.direction)


def painted_part(volume: Volume) -> Volume:
    box = bounding_box(volume.array > 0)
    assert box is not None
    return cropped(volume, box)


@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize("strokes", [False, True])
def test_every_order_and_direction_of_the_axes_is_exact(part: bool, strokes: bool) -> None:
    base = painted_part(LABELS) if part else LABELS
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        found = onto_grid(turned(base, order, flips), CT, strokes)
        assert found is not None
        assert found.note == ""
        assert found.labels.same_grid(CT)
        np.testing.assert_array_equal(found.labels.array, LABELS.array)


@pytest.mark.parametrize("voxels", [0.004, -0.05, 0.1, -0.099])
@pytest.mark.parametrize("part", [False, True])
def test_a_small_shift_is_taken_for_none_and_said(voxels: float, part: bool) -> None:
    found = onto_grid(moved(painted_part(LABELS) if part else LABELS, voxels * 0.999), CT)
    assert found is not None
    assert "mm beside the CT's voxels" in found.note
    np.testing.assert_array_equal(found.labels.array, LABELS.array)


@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 2, 2), (3, 1, 1), (2, 3, 4)])
@pytest.mark.parametrize("strokes", [False, True])
@pytest.mark.parametrize("part", [False, True])
def test_finer_voxels_are_resampled_and_said(factors: tuple[int, int, int], strokes: bool, part: bool) -> None:
    map_of_them = finer(LABELS, factors)
    found = onto_grid(
        turned(painted_part(map_of_them) if part else map_of_them, (2, 0, 1), (True, False, True)), CT, strokes
    )
    assert found is not None
    assert "resampled" in found.note
    np.testing.assert_array_equal(found.labels.array, LABELS.array)


def test_finer_voxels_from_the_same_first_centre_fit_too() -> None:
    found = onto_grid(finer(LABELS, (2, 2, 2), same_origin=True), CT, strokes=True)
    assert found is not None
    assert (found.labels.array == LABELS.array).mean() > 0.8


def test_no_thin_stroke_is_lost_on_the_way() -> None:
    thin = finer(LABELS, (2, 2, 2))
    array = np.zeros_like(thin.array)
    array[4, 5, 2:12] = 7
    found = onto_grid(thin.with_array(array), CT, strokes=True)
    assert found is not None
    assert np.argwhere(found.labels.array).tolist() == [[2, 2, x] for x in range(1, 6)]


@pytest.mark.parametrize(
    "other",
    [
        moved(LABELS, 0.6),
        moved(LABELS, 40),
        moved(painted_part(LABELS), 0.3),
        moved(painted_part(LABELS), 5),
        Volume.create(LABELS.array, LABELS.spacing * 1.2, LABELS.origin, LABELS.direction),
        Volume.create(LABELS.array, LABELS.spacing * (1, 1, 2), LABELS.origin, LABELS.direction),
        Volume.create(LABELS.array, LABELS.spacing, LABELS.origin),
        Volume.create(np.pad(LABELS.array, 2), LABELS.spacing, LABELS.to_world([-2] * 3), LABELS.direction),
        Volume.create(LABELS.array[:3, :3, :3], LABELS.spacing * 0.7, LABELS.origin, LABELS.direction),
    ],
    ids=["off", "elsewhere", "between", "outside", "larger", "one longer", "turned", "padded", "other voxels"],
)
@pytest.mark.parametrize("strokes", [False, True])
def test_what_does_not_fit_is_refused(other: Volume, strokes: bool) -> None:
    assert onto_grid(other, CT, strokes) is None


def test_a_mask_of_the_whole_ct_in_other_voxels_is_resampled() -> None:
    shape = np.array([9, 11, 10])
    spacing = CT.size_mm / shape
    other = Volume.create(np.zeros(tuple(shape), np.uint8), spacing, CT.to_world(spacing / CT.spacing / 2 - 0.5), TILT)
    other.array[2:6, 3:8, 4:8] = 3
    for strokes in (False, True):
        found = onto_grid(other, CT, strokes)
        assert (found is None) == (strokes and bool((spacing > CT.spacing * 1.02).any()))


def test_a_mask_file_that_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    mask = small_mask(CT)
    path = tmp_path / "mask.seg.nrrd"
    write_label_map(mask.with_volume(moved(mask.volume, 3)), path)
    with pytest.raises(InputError, match="expected a mask on the grid of its CT"):
        mask_on_ct(path, CT)
    write_label_map(mask.with_volume(painted_part(mask.volume)), path)
    np.testing.assert_array_equal(mask_on_ct(path, CT).volume.array, mask.volume.array)


def test_a_distance_at_the_far_end_is_told_as_well() -> None:
    stretched = Volume.create(LABELS.array, LABELS.spacing * 1.01, LABELS.origin, LABELS.direction)
    found = onto_grid(stretched, CT)
    assert found is not None
    assert "beside the CT's voxels" in found.note
    np.testing.assert_array_equal(found.labels.array, LABELS.array)
