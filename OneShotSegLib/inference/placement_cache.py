"""Placements of supports in queries, kept on disk: the costly part of a recomputation that did not change."""

from __future__ import annotations

import contextlib
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.method.displacement import ControlGrid, Displacement
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.placement import Placement

log = logging.getLogger(__name__)
MOST_BYTES = 2 * 2**30
TRIM_EVERY = 100


@dataclass
class PlacementCache:
    """Placements by key in a folder that never grows far beyond a limit.

    A file that is broken, gone or cannot be written costs time, never a result.

    Attributes:
        folder: Where they are; it is made when the first is kept.
        most_bytes: When the folder holds more, the files that were not used for longest are removed.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    _kept: int = 0

    def get(self, key: str) -> Placement | None:
        """The placement of a key; None if it is not there."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as content:
                placement = _placement(dict(content))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        with contextlib.suppress(OSError):
            path.touch()
        return placement

    def put(self, key: str, placement: Placement) -> None:
        """Keep a placement."""
        try:
            with atomic_file(self._path(key)) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **_arrays(placement))
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
        "distance": np.asarray(displacement.distance),
        "fields": np.stack([field.cpu().numpy() for field in displacement.fields] or [np.zeros((0,), np.float32)]),
    }


def _placement(content: dict[str, np.ndarray]) -> Placement:
    affine = AffineMap(content["centre"], content["affine"], content["target"])
    if "low" not in content:
        return Placement(affine=affine, displacement=None)
    grid = ControlGrid(low=content["low"], spacing=content["spacing"], step=content["step"], cells=content["cells"])
    before, after = map(float, content["distance"])
    fields = tuple(torch.from_numpy(field) for field in content["fields"] if field.size)
    displacement = Displacement(grid=grid, linear=content["linear"], fields=fields, distance=(before, after))
    return Placement(affine=affine, displacement=displacement)
