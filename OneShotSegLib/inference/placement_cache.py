"""Placements of supports in queries, kept on disk: the costly part of a recomputation that did not change."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.method.displacement import ControlGrid, Displacement
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.placement import Placement

log = logging.getLogger(__name__)
MOST_BYTES = 2 * 2**30
TRIM_EVERY = 100
LEAST_DETERMINANT = 1e-6
AFFINE = {"centre": (3,), "affine": (3, 3), "target": (3,)}
DISPLACEMENT = {"low": (3,), "spacing": (3,), "linear": (3, 3)}
"""Arrays of a file and their shapes."""


@dataclass
class PlacementCache:
    """Placements by key in a folder that never grows far beyond a limit.

    A file that is broken, gone, of another key or cannot be written costs time, never a result.

    Attributes:
        folder: Where they are; it is made when the first is kept.
        most_bytes: When the folder holds more, the files that were not used for longest are removed.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    _kept: int = 0

    def get(self, key: str) -> Placement | None:
        """The placement of a key; None if it is not there, or its file cannot be used."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as content:
                placement = _placement(dict(content), key)
        except Exception as error:  # whatever a damaged file does: the placement is computed again
            log.info("%s: a placement of an earlier run cannot be used: %s", path, error)
            return None
        with contextlib.suppress(OSError):
            path.touch()
        return placement

    def put(self, key: str, placement: Placement) -> None:
        """Keep a placement."""
        try:
            with atomic_file(self._path(key)) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, key=np.asarray(key), **_arrays(placement))
        except OSError as error:
            log.info("A placement was not kept for the next run: %s", error)
        self._kept += 1
        if self._kept % TRIM_EVERY == 1:
            self.trim()

    def trim(self) -> None:
        """Remove what was not used for longest, down to the limit."""
        files = []
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                with contextlib.suppress(OSError):
                    state = path.stat()
                    files.append((state.st_mtime, state.st_size, path))
        too_much = sum(size for _, size, _ in files) - self.most_bytes
        for _, size, path in sorted(files):
            if too_much <= 0:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            too_much -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def _arrays(placement: Placement) -> dict[str, np.ndarray]:
    affine, displacement = placement.affine, placement.displacement
    content = {"centre": affine.centre, "affine": affine.linear, "target": affine.target}
    if displacement is None:
        return content
    grid = displacement.grid
    return content | {
        "low": grid.low,
        "spacing": grid.spacing,
        "step": grid.step,
        "cells": grid.cells,
        "linear": displacement.linear,
        "distance": np.asarray(displacement.distance, dtype=np.float64),
        "fields": np.stack([field.cpu().numpy() for field in displacement.fields] or [np.zeros((0,), np.float32)]),
    }


def _placement(content: Mapping[str, NDArray[Any]], key: str) -> Placement:
    """The placement that arrays describe.

    Raises:
        KeyError, TypeError, ValueError: If they describe none, or that of another key.
    """
    if str(content["key"]) != key:
        raise ValueError("it is that of another query or support")
    affine = AffineMap(*(_numbers(content[name], shape) for name, shape in AFFINE.items()))
    if abs(np.linalg.det(affine.linear)) < LEAST_DETERMINANT:
        raise ValueError("its affine map has no inverse")
    if "low" not in content:
        return Placement(affine=affine, displacement=None)
    low, spacing, linear = (_numbers(content[name], shape) for name, shape in DISPLACEMENT.items())
    step, cells = (_counts(content[name]) for name in ("step", "cells"))
    before, after = map(float, _numbers(content["distance"], (2,)))
    fields = content["fields"]
    if fields.size:
        _numbers(fields, (len(fields), 3, *(cells + 1).tolist()))
    return Placement(
        affine=affine,
        displacement=Displacement(
            grid=ControlGrid(low=low, spacing=spacing, step=step, cells=cells),
            linear=linear,
            fields=tuple(torch.from_numpy(field.astype(np.float32)) for field in fields if field.size),
            distance=(before, after),
        ),
    )


def _numbers(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of this shape whose values are all finite."""
    if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"expected finite numbers of shape {shape}, found others of shape {array.shape}")
    return array


def _counts(array: NDArray[Any]) -> NDArray[np.int64]:
    """Three whole numbers from 1 on."""
    if array.shape != (3,) or array.dtype.kind != "i" or (array < 1).any():
        raise ValueError("expected three whole numbers from 1 on, found others")
    return array.astype(np.int64)
