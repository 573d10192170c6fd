<<<<<<< HEAD
"""Placements kept on disk: they come back as they were, and a file that is none of them costs time, never a result."""
=======
"""Placements on disk: they come back as they were, and what is wrong with a file costs time alone."""
>>>>>>> faults

from __future__ import annotations

import os
<<<<<<< HEAD
from collections.abc import Callable
from pathlib import Path
from typing import Any
=======
from pathlib import Path
>>>>>>> faults

import numpy as np
import pytest
import torch

from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.displacement import ControlGrid, Displacement
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.placement import Placement

<<<<<<< HEAD
KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


def placement(fields: int = 1) -> Placement:
    rng = np.random.default_rng(0)
    grid = ControlGrid(low=np.zeros(3), spacing=np.full(3, 2.0), step=np.full(3, 4), cells=np.array([3, 4, 5]))
    displacement = Displacement(
        grid=grid,
        linear=np.eye(3) * 1.1,
        fields=tuple(torch.from_numpy(rng.normal(size=(3, 4, 5, 6)).astype(np.float32)) for _ in range(fields)),
        distance=(0.3, 0.2),
    )
    affine = AffineMap(np.arange(3.0), np.eye(3) * 1.1, np.arange(3.0) + 5)
    return Placement(affine=affine, displacement=displacement)


@pytest.fixture
def cache(tmp_path: Path) -> PlacementCache:
    return PlacementCache(tmp_path / "placements")


@pytest.mark.parametrize("fields", [0, 1, 2])
def test_a_placement_comes_back_as_it_was(cache: PlacementCache, fields: int) -> None:
    kept = placement(fields)
    cache.put(KEY, kept)
    found = cache.get(KEY)
    assert found is not None
    points = np.random.default_rng(1).uniform(0, 30, (50, 3))
    np.testing.assert_array_equal(found.to_query(points), kept.to_query(points))
    assert cache.get(OTHER) is None


def test_one_without_displacement_comes_back(cache: PlacementCache) -> None:
    cache.put(KEY, Placement(affine=placement().affine, displacement=None))
    found = cache.get(KEY)
=======

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
>>>>>>> faults
    assert found is not None
    assert found.displacement is None


<<<<<<< HEAD
def changed(**arrays: Any) -> Callable[[Path], None]:
    """Some arrays of the file are others; None takes one away."""

    def write(path: Path) -> None:
        with np.load(path) as content:
            there = {name: array for name, array in {**content, **arrays}.items() if array is not None}
        with path.open("wb") as file:
            np.savez(file, **there)

    return write


def one_array(path: Path) -> None:
    """A file of NumPy's other format."""
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def a_folder(path: Path) -> None:
    """A folder of its name."""
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"no placement"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "a byte changed": lambda path: path.write_bytes(bytes([*path.read_bytes()[:400], 7, *path.read_bytes()[401:]])),
    "one array": one_array,
    "a folder": a_folder,
    "a pickle": changed(centre=np.array([{}, {}, {}])),
    "another key": changed(key=np.asarray(OTHER)),
    "no key": changed(key=None),
    "no target": changed(target=None),
    "no fields": changed(fields=None),
    "centre of another shape": changed(centre=np.zeros(7)),
    "letters": changed(target=np.array(["a", "b", "c"])),
    "not a number": changed(affine=np.full((3, 3), np.nan)),
    "no inverse": changed(affine=np.zeros((3, 3))),
    "fields of another grid": changed(fields=np.zeros((1, 3, 9, 9, 9), np.float32)),
    "infinite fields": changed(fields=np.full((1, 3, 4, 5, 6), np.inf, np.float32)),
    "no cells": changed(cells=np.zeros(3, np.int64)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_is_no_placement_is_passed_over(cache: PlacementCache, damage: Callable[[Path], object]) -> None:
    cache.put(KEY, placement())
    (path,) = cache.folder.iterdir()
    damage(path)
    assert cache.get(KEY) is None


def test_a_folder_that_cannot_be_used_costs_no_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = PlacementCache(tmp_path / "file" / "placements")
    cache.put(KEY, placement())
    cache.trim()
    assert cache.get(KEY) is None


def test_what_was_not_used_for_longest_makes_room(cache: PlacementCache) -> None:
    for number, key in enumerate((KEY, OTHER)):
        cache.put(key, placement())
        os.utime(cache.folder / f"{key}.npz", (number, number))
    assert cache.get(KEY) is not None
    cache.most_bytes = (cache.folder / f"{KEY}.npz").stat().st_size
    cache.trim()
    assert [path.stem for path in cache.folder.iterdir()] == [KEY]
=======
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
>>>>>>> faults
