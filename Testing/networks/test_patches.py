"""Cutting patches: the batched gather against plain slicing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.patches import PatchSource

SPACING, ORIGIN = (3.0, 0.9, 1.1), (-300.0, 12.5, 99.0)


def volume(shape: Any = (20, 24, 28)) -> Volume:
    return Volume.create(np.random.default_rng(0).random(shape).astype(np.float32), SPACING, ORIGIN)


def cut(source: Volume, index: Any, size: Any) -> np.ndarray:
    positions = torch.tensor(source.to_world(np.atleast_2d(index)), dtype=torch.float32)
    return PatchSource.from_volume(source).cut(positions, size).numpy()


@pytest.mark.parametrize("size", [(4, 6, 8), (5, 7, 3), (1, 1, 1), (16, 16, 16)])
def test_patches_at_voxel_centres_are_plain_slices(size: Any) -> None:
    source = volume()
    centres = [(8, 10, 12), (9, 11, 13), (11, 14, 16)]
    patches = cut(source, centres, size)
    assert patches.shape == (3, 1, *size)
    for patch, centre in zip(patches, centres, strict=True):
        first = [c - n // 2 for c, n in zip(centre, size, strict=True)]
        wanted = source.array[tuple(slice(f, f + n) for f, n in zip(first, size, strict=True))]
        np.testing.assert_allclose(patch[0], wanted, atol=2e-4)


def test_a_volume_smaller_than_a_patch_is_padded_with_zero() -> None:
    source = volume((4, 6, 8))
    patch = cut(source, (2, 3, 4), (16, 16, 16))[0, 0]
    wanted = np.zeros((16, 16, 16), np.float32)
    wanted[6:10, 5:11, 4:12] = source.array
    np.testing.assert_allclose(patch, wanted, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volumes_of_one_voxel_along_an_axis_have_nothing_beside_it(axis: int) -> None:
    shape = [6, 6, 6]
    shape[axis] = 1
    source = Volume.create(np.ones(shape, np.float32), SPACING, ORIGIN)
    patch = cut(source, np.asarray(shape) // 2, (4, 4, 4))[0, 0]
    assert [float(np.take(patch, k, axis).max()) for k in range(4)] == pytest.approx([0, 0, 1, 0], abs=1e-4)


def test_far_from_the_volume_there_is_nothing() -> None:
    assert not cut(volume(), [(1e4, 0, 0), (0, -1e4, 0)], (8, 8, 8)).any()


def test_between_voxels_intensities_are_linear() -> None:
    source = volume()
    shift = np.array((0.3, -0.45, 0.6))
    centre = np.array((9, 11, 13)) + shift
    patch = cut(source, centre, (6, 6, 6))[0, 0]
    at = np.stack(np.meshgrid(*[np.arange(6) - 3.0] * 3, indexing="ij")) + centre.reshape(3, 1, 1, 1)
    np.testing.assert_allclose(patch, ndimage.map_coordinates(source.array, at, order=1), atol=3e-4)


def test_one_call_gives_what_one_call_a_patch_gives() -> None:
    source, rng = volume(), np.random.default_rng(1)
    centres = rng.uniform(-5, 30, (9, 3))
    together = cut(source, centres, (6, 8, 4))
    alone = np.concatenate([cut(source, centre, (6, 8, 4)) for centre in centres])
    np.testing.assert_array_equal(together, alone)


def test_a_linear_map_turns_the_patch_about_its_centre() -> None:
    source = PatchSource.from_volume(volume())
    turn = torch.tensor(Rotation.from_euler("z", 30, degrees=True).as_matrix(), dtype=torch.float32)
    positions = torch.tensor([[-270.0, 24.0, 115.0]])
    straight, turned = source.grid(positions, (5, 5, 5)), source.grid(positions, (5, 5, 5), turn)
    torch.testing.assert_close(turned[:, 2, 2, 2], positions)
    torch.testing.assert_close(turned - positions, (straight - positions) @ turn.T, atol=1e-4, rtol=0)


def test_positions_and_indices_belong_together() -> None:
    source, plain = PatchSource.from_volume(volume()), volume()
    index = torch.tensor([[1.0, 2.0, 3.0], [7.5, 0.0, -2.0]])
    world = torch.tensor(plain.to_world(index.numpy()), dtype=torch.float32)
    torch.testing.assert_close(source.to_index(world), index, atol=1e-4, rtol=0)
