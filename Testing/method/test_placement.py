"""The map between support and query, read in both directions."""

from __future__ import annotations

import numpy as np
import torch

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.displacement import ControlGrid, Displacement, least_jacobian
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.placement import Placement, read_at

TURNED = np.array([[1.05, 0.02, 0.0], [-0.03, 0.95, 0.04], [0.01, 0.0, 1.1]])


def placement(fields: int = 2) -> Placement:
    """An affine map with smooth displacements of up to 6 mm on top."""
    affine = AffineMap(np.array([5.0, -3.0, 8.0]), TURNED, np.array([40.0, 20.0, -10.0]))
    corners = np.array([[-60.0, -60.0, -60.0], [60.0, 60.0, 60.0]])
    grid = ControlGrid.around(corners, np.array([3.0, 3.0, 3.0]), 24.0, 0.0)
    shape = (3, *(int(n) + 1 for n in grid.cells))
    generator = torch.Generator().manual_seed(0)
    smooth = tuple(6 * torch.rand(shape, generator=generator) - 3 for _ in range(fields))
    return Placement(affine=affine, displacement=Displacement(grid=grid, linear=affine.linear, fields=smooth))


def test_there_and_back_is_where_one_was() -> None:
    found = placement()
    positions = np.random.default_rng(0).uniform(-50, 50, (200, 3))
    assert np.abs(found.to_support(found.to_query(positions)) - positions).max() < 0.05


def test_without_a_displacement_it_is_the_affine_map() -> None:
    affine = placement().affine
    plain = Placement(affine=affine, displacement=None)
    positions = np.random.default_rng(1).uniform(-50, 50, (20, 3))
    assert np.allclose(plain.to_query(positions), affine(positions))
    assert np.allclose(plain.to_support(affine(positions)), positions)


def test_the_positions_of_a_grid_are_those_of_its_voxels() -> None:
    found = placement()
    grid = Volume.create(np.zeros((8, 10, 13), np.uint8), (2.0, 2.0, 2.0), (20.0, 0.0, -30.0))
    positions = found.support_positions(grid)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    exact = np.moveaxis(found.to_support(grid.to_world(index)), -1, 0)
    assert positions.shape == (3, *grid.shape)
    assert np.abs(positions - exact).max() < 1
    assert np.abs(positions - exact).mean() < 0.1


def test_a_volume_of_any_direction_is_read_at_its_positions() -> None:
    direction = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    array = np.random.default_rng(2).random((5, 6, 7)).astype(np.float32)
    volume = Volume.create(array, (2.0, 3.0, 1.5), (10.0, -4.0, 7.0), direction)
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    positions = np.moveaxis(volume.to_world(index), -1, 0).astype(np.float32)
    assert np.allclose(read_at(volume, positions), array, atol=1e-3)
    assert not read_at(volume, positions + 1000).any()


def test_compiled_displacements_are_those_that_pytorch_reads() -> None:
    """Between the control points, on the faces and beyond them."""
    found = placement().displacement
    assert found is not None
    positions = np.random.default_rng(3).uniform(-75, 75, (5, 80, 3))
    expected = positions
    for field in reversed(found.fields):
        expected = expected + found._read(field, expected)
    moved = found.within_support(positions)
    assert np.abs(moved - expected).max() < 1e-4
    assert np.abs(moved - positions).max() > 2
    assert np.array_equal(found.within_support(positions[0, 0]), moved[0, 0])


def test_the_least_jacobian_is_that_of_the_map() -> None:
    displacement = placement(1).displacement
    assert displacement is not None
    field, grid = displacement.fields[0], displacement.grid
    dense = torch.nn.functional.interpolate(field[None], size=grid.shape, mode="trilinear", align_corners=True)[0]
    index = tuple(slice(0, n - 1) for n in grid.shape)
    slopes = torch.stack([dense.diff(dim=k + 1)[(slice(None), *index)] / grid.spacing[k] for k in range(3)], dim=-1)
    determinants = torch.linalg.det(slopes.permute(1, 2, 3, 0, 4).double() + torch.eye(3))
    assert abs(least_jacobian(field, grid) - float(determinants.min())) < 1e-4
