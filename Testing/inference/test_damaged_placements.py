"""Placements kept on disk: a file that is none, or that of another key, costs time, never a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.displacement import ControlGrid, Displacement
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.placement import Placement

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


def placement() -> Placement:
    rng = np.random.default_rng(0)
    grid = ControlGrid(low=np.zeros(3), spacing=np.full(3, 2.0), step=np.full(3, 4), cells=np.array([3, 4, 5]))
    displacement = Displacement(
        grid=grid,
        linear=np.eye(3) * 1.1,
        fields=(torch.from_numpy(rng.normal(size=(3, 4, 5, 6)).astype(np.float32)),),
        distance=(0.3, 0.2),
    )
    affine = AffineMap(np.arange(3.0), np.eye(3) * 1.1, np.arange(3.0) + 5)
    return Placement(affine=affine, displacement=displacement)


@pytest.fixture
def cache(tmp_path: Path) -> PlacementCache:
    return PlacementCache(tmp_path / "placements")


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
    assert cache.get(KEY) is not None
    damage(path)
    assert cache.get(KEY) is None
