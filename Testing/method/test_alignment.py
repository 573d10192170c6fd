from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method import alignment, descriptors, offset_search
from OneShotSegLib.method.alignment import (
    AlignmentSettings,
    _sample_compiled,
    align,
    prepare_alignment,
    sample_by_torch,
)
from OneShotSegLib.method.displacement import ControlGrid, Displacement, inverse_consistent, least_jacobian
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.networks.patches import PatchSource

SPACING = np.array([3.0, 4.0, 4.0])
SHAPE = (56, 44, 44)
SETTINGS = AlignmentSettings()
IDENTITY = AffineMap(np.zeros(3), np.eye(3), np.zeros(3))
# Row vectors times this: a small turn and growth, with a shift.
AFFINE = AffineMap(
    np.array([80.0, 85.0, 85.0]), np.eye(3) * 1.05 + np.eye(3)[[1, 2, 0]] * 0.04, np.array([90.0, 80, 85])
)


def prepared(array: np.ndarray, origin: tuple[float, ...] = (0.0, 0.0, 0.0)) -> PreparedCT:
    volume = Volume.create(array.astype(np.float32), SPACING, origin)
    source = PatchSource.from_volume(volume)
    return PreparedCT(ct=volume, coarse=source, fine=source, fine_volume=volume)


def texture() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=SHAPE)
    smooth = gaussian_filter(noise, 2.0)
    return np.clip(0.5 + 0.2 * smooth / smooth.std(), 0, 1)


def strokes() -> np.ndarray:
    return np.random.default_rng(1).uniform([60, 65, 65], [105, 110, 110], (60, 3))


def bump(positions: np.ndarray) -> np.ndarray:
    """A smooth displacement of up to 8 mm around the strokes."""
    distance = np.linalg.norm(positions - 85.0, axis=-1, keepdims=True)
    return np.exp(-((distance / 40) ** 2)) * np.array([4.0, 5.0, -4.5])


def warped(array: np.ndarray, affine: AffineMap) -> np.ndarray:
    """The query in which support position x lies at affine(x + bump(x))."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    goal = affine.inverse()(index * SPACING)
    source = goal
    for _ in range(20):
        source = goal - bump(source)
    return map_coordinates(array, np.moveaxis(source / SPACING, -1, 0), order=3, mode="constant")


def aligned(support: PreparedCT, query: PreparedCT, affine: AffineMap = IDENTITY) -> Any:
    reference = prepare_alignment(support, strokes(), SETTINGS)
    return align(reference, query, affine, SETTINGS)


@pytest.mark.parametrize("affine", [IDENTITY, AFFINE], ids=["identity", "affine"])
def test_a_smooth_displacement_of_8_mm_is_recovered_to_about_a_voxel(affine: Any) -> None:
    image = texture()
    found = aligned(prepared(image), prepared(warped(image, affine)), affine)
    truth = affine(strokes() + bump(strokes()))
    error = np.linalg.norm(affine(strokes()) + found(strokes()) - truth, axis=1)
    without = np.linalg.norm(affine(strokes()) - truth, axis=1)
    assert without.mean() > 5
    assert error.mean() < 2.5
    assert error.max() < 5
    assert found.distance[1] < found.distance[0]


def test_a_shift_of_a_part_of_a_voxel_is_found_to_a_tenth_of_a_voxel() -> None:
    shift = np.array([1.3, -1.8, 1.2])
    image = texture()
    moved = map_coordinates(image, np.indices(SHAPE) - (shift / SPACING)[:, None, None, None], order=3, mode="nearest")
    found = aligned(prepared(image), prepared(moved))(strokes())
    np.testing.assert_allclose(found.mean(axis=0), shift, atol=0.4)
    whole = replace(SETTINGS, between_voxels=False)
    reference = prepare_alignment(prepared(image), strokes(), whole)
    rounded = align(reference, prepared(moved), IDENTITY, whole)(strokes())
    assert np.abs(rounded.mean(axis=0) - shift).max() > 0.8


def test_the_same_image_stays_where_it_is() -> None:
    image = prepared(texture())
    assert np.abs(aligned(image, image)(strokes())).max() < 1e-6


def test_outside_the_box_nothing_moves_and_inside_it_fades() -> None:
    image = texture()
    found = aligned(prepared(image), prepared(warped(image, IDENTITY)))
    low, high = found.grid.low, found.grid.low + found.grid.size_mm
    middle = (low + high) / 2
    faces = np.stack([middle * np.array([0, 1, 1]) + low * np.array([1, 0, 0]), high, low - 1, high + 300])
    np.testing.assert_allclose(found(faces), 0, atol=1e-4)
    way = np.linspace(middle, [low[0], middle[1], middle[2]], 200)
    assert np.linalg.norm(np.diff(found(way), axis=0), axis=1).max() < 1.0


def test_the_same_inputs_give_the_same_displacement() -> None:
    image = texture()
    query = prepared(warped(image, AFFINE))
    first, second = (aligned(prepared(image), query, AFFINE)(strokes()) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_query_that_lacks_a_third_of_the_box_is_aligned_where_it_is_seen() -> None:
    image = texture()
    cut = 28
    query = prepared(warped(image, IDENTITY)[cut:], (cut * SPACING[0], 0, 0))
    found = aligned(prepared(image), query)
    seen = strokes()[strokes()[:, 0] > cut * SPACING[0] + 10]
    assert np.linalg.norm(found(seen) - bump(seen), axis=1).mean() < 4
    assert np.linalg.norm(found(strokes()), axis=1).max() < sum(SETTINGS.radii_mm) + 1


def test_a_query_wholly_out_of_view_moves_nothing() -> None:
    image = texture()
    found = aligned(prepared(image), prepared(image, (5000.0, 0, 0)))
    assert np.all(found(strokes()) == 0)
    assert found.fields == ()


def test_an_unlike_image_never_folds_the_map() -> None:
    other = np.random.default_rng(5).uniform(size=SHAPE)
    found = aligned(prepared(texture()), prepared(other))
    assert all(least_jacobian(field, found.grid) > 0 for field in found.fields)


def test_volumes_smaller_than_the_box_work() -> None:
    small = texture()[:6, :5, :4]
    settings = AlignmentSettings(margin_mm=20)
    support = prepared(small)
    reference = prepare_alignment(support, np.array([[6.0, 8.0, 8.0]]), settings)
    found = align(reference, support, IDENTITY, settings)
    assert np.abs(found(np.array([[6.0, 8.0, 8.0]]))).max() < 1e-6


def test_the_box_holds_the_strokes_and_their_margin() -> None:
    box = ControlGrid.around(strokes(), SPACING, 12.0, SETTINGS.margin_mm)
    assert (box.low <= strokes().min(axis=0) - SETTINGS.margin_mm).all()
    assert (box.low + box.size_mm >= strokes().max(axis=0) + SETTINGS.margin_mm).all()


def test_each_search_has_the_voxels_of_the_displacement_and_control_points_as_far_apart_as_it_looks() -> None:
    reference = prepare_alignment(prepared(texture()), strokes(), SETTINGS)
    grid = reference.grid
    for searched, radius in zip(reference.searched, SETTINGS.radii_mm, strict=True):
        np.testing.assert_allclose(searched.step * SPACING, SETTINGS.control_of(radius), atol=2)
        first = searched.voxels_after(grid.low)
        np.testing.assert_allclose(grid.low + first * SPACING, searched.low)
        assert (first <= 0).all()
        assert (first + searched.shape >= grid.shape).all()
        # No more than asked for: less than a cell beyond.
        assert (np.asarray(searched.shape) - grid.shape < searched.step).all()


def test_two_displacements_become_one_field() -> None:
    grid = ControlGrid.around(strokes(), SPACING, 8.0, 36.0)
    field = torch.as_tensor(np.moveaxis(0.7 * bump(grid.control_positions()), -1, 0), dtype=torch.float32)
    found = Displacement(grid=grid, linear=AFFINE.linear, fields=(field,))
    together = found.after(0.5 * field)
    apart = replace(found, fields=(field, 0.5 * field)).within_support(strokes())
    assert len(together.fields) == 1
    assert np.linalg.norm(together.within_support(strokes()) - apart, axis=1).max() < 0.2
    assert np.linalg.norm(apart - found.within_support(strokes()), axis=1).max() > 2


def test_the_inverse_of_one_field_and_another_become_one() -> None:
    grid = ControlGrid.around(strokes(), SPACING, 8.0, 36.0)
    forward = torch.as_tensor(np.moveaxis(bump(grid.control_positions()), -1, 0), dtype=torch.float32)
    one = Displacement(grid=grid, linear=IDENTITY.linear, fields=(forward,))
    points = grid.control_positions()
    back = points
    for _ in range(30):
        back = points - (one.within_support(back) - back)
    backward = torch.as_tensor(np.moveaxis(back - points, -1, 0), dtype=torch.float32)
    found = inverse_consistent(forward, backward, grid)
    assert float((found - forward).abs().max()) < 0.8
    # A search that finds nothing on its way back halves what the other found.
    halved = inverse_consistent(forward, torch.zeros_like(forward), grid)
    assert float((halved - forward / 2).abs().max()) < 1.5


@pytest.mark.parametrize("fields", [0, 2])
def test_compiled_sampling_reads_what_pytorch_reads(fields: int) -> None:
    """Beyond the CT's faces too, and where an own grid that is turned ends."""
    query = prepared(texture())
    turned = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    query = replace(query, ct=Volume.create(np.zeros((30, 20, 20)), (4.0, 5.0, 6.0), (20.0, 40.0, 130.0), turned))
    reference = prepare_alignment(query, strokes(), SETTINGS)
    generator = torch.Generator().manual_seed(0)
    shape = (3, *(reference.grid.cells + 1).tolist())
    random = tuple(8 * torch.rand(shape, generator=generator) - 4 for _ in range(fields))
    displacement = Displacement(grid=reference.grid, linear=AFFINE.linear, fields=random)
    compiled, torched = (
        sample(query, displacement, (np.array([-4, -3, -5]), np.add(reference.grid.shape, np.array([5, 3, 4]))), AFFINE)
        for sample in (_sample_compiled, sample_by_torch)
    )
    torch.testing.assert_close(compiled[0], torched[0], atol=1e-4, rtol=0)
    assert (compiled[1] == torched[1]).float().mean() > 0.999
    assert 0.1 < compiled[1].float().mean() < 0.9


def test_a_query_on_a_gpu_would_be_aligned_as_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    image = texture()
    support, query = prepared(image), prepared(warped(image, AFFINE))
    compiled = aligned(support, query, AFFINE)
    by_torch: dict[Any, dict[str, Any]] = {
        alignment: {"_sample_compiled": alignment.sample_by_torch},
        descriptors: {"_describe_compiled": descriptors.describe_by_torch},
        offset_search: {
            "_block_costs_compiled": offset_search.block_costs_by_torch,
            "_choose_compiled": offset_search.choose_by_torch,
        },
    }
    for module, functions in by_torch.items():
        for name, function in functions.items():
            monkeypatch.setattr(module, name, function)
    torched = aligned(support, query, AFFINE)
    assert np.linalg.norm(compiled(strokes()), axis=1).mean() > 3
    assert np.abs(compiled(strokes()) - torched(strokes())).max() < 0.05
