"""Placements on disk: they come back as they were, and what is wrong with a file costs time alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.displacement import ControlGrid, Displacement
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.placement import Placement


def placement(fields: int = 2, seed: int = 0) -> Placement:
    affine = AffineMap(np.zeros(3), 1.1 * np.eye(3), np.array([1.0, 2.0, 3.0]))
    corners = np.array([[0.0, 0.0, 0.0], [40.0, 40.0, 40.0]])
    grid = ControlGrid.around(corners, np.array([2.0, 2.0, 2.0]), 10.0, 4.0)
    generator = torch.Generator().manual_seed(seed)
    shape = (3, *(int(n) + 1 for n in grid.cells))
    found = tuple(torch.rand(shape, generator=generator) for _ in range(fields))
    displacement = Displacement(grid=grid, linear=affine.linear, fields=found, distance=(0.25, 0.125))
    return Placement(affine=affine, displacement=displacement)


@pytest.mark.parametrize("fields", [0, 1, 3])
def test_a_placement_comes_back_bit_by_bit(tmp_path: Path, fields: int) -> None:
    kept = placement(fields)
    PlacementCache(tmp_path / "cache").put("key", kept)
    found = PlacementCache(tmp_path / "cache").get("key")
    assert found is not None
    positions = np.random.default_rng(0).uniform(0, 40, (50, 3))
    assert np.array_equal(found.to_query(positions), kept.to_query(positions))
    assert np.array_equal(found.to_support(positions), kept.to_support(positions))
    assert found.displacement is not None
    assert found.displacement.distance == (0.25, 0.125)


def test_one_without_a_displacement_too(tmp_path: Path) -> None:
    cache = PlacementCache(tmp_path)
    cache.put("key", Placement(affine=placement().affine, displacement=None))
    found = cache.get("key")
    assert found is not None
    assert found.displacement is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY", b"no archive"])
def test_a_broken_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    cache = PlacementCache(tmp_path)
    (tmp_path / "key.npz").write_bytes(content)
    assert cache.get("key") is None
    assert cache.get("another") is None
    cache.put("key", placement())
    assert cache.get("key") is not None


def test_a_truncated_file_is_as_none(tmp_path: Path) -> None:
    cache = PlacementCache(tmp_path)
    cache.put("key", placement())
    path = tmp_path / "key.npz"
    path.write_bytes(path.read_bytes()[:-200])
    assert cache.get("key") is None


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = PlacementCache(tmp_path / "file" / "cache")
    cache.put("key", placement())
    assert cache.get("key") is None


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    cache = PlacementCache(tmp_path)
    for number, key in enumerate(("old", "used", "new")):
        cache.put(key, placement(seed=number))
        os.utime(tmp_path / f"{key}.npz", (number, number))
    assert cache.get("old") is not None  # now it is the latest
    size = (tmp_path / "new.npz").stat().st_size
    PlacementCache(tmp_path, most_bytes=2 * size).trim()
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["new", "old"]
