"""Local alignment: a displacement field that refines the affine fit between support and query by matching the images.

A block-matching search with coupled convex smoothing (Siebert et al., ConvexAdam, IEEE TMI 2024) on self-similarity
descriptors of one machine word each (Heinrich et al., MICCAI 2013), on a control grid around the support's strokes.
Nothing is learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.imaging.boxes import box_between
from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method import descriptor_kernels as kernels
from OneShotSegLib.method.descriptors import DESCRIPTOR_RADIUS, describe
from OneShotSegLib.method.displacement import ControlGrid, Displacement, fade_to_edge, without_folds
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.offset_search import Offsets, block_costs, difference, smooth_offsets
from OneShotSegLib.method.propagation import PreparedCT


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """How the affine fit is refined.

    Attributes:
        enabled: Whether it is refined at all.
        margin_mm: How far the control grid extends beyond the structures' strokes; there the displacement fades to 0.
        control_mm: Distance of the control points.
        radii_mm: Largest displacement of each search; each starts from the result of the one before.
        stiffness: Cost, in shares of differing bits, of a squared mm between a control point's displacement and its
            neighbourhood's mean.
        between_voxels: Whether displacements may lie between the offsets that were tried.
    """

    enabled: bool = True
    margin_mm: float = 36.0
    control_mm: float = 12.0
    radii_mm: tuple[float, ...] = (32.0, 16.0, 8.0)
    stiffness: float = 0.0015
    between_voxels: bool = True


@dataclass(frozen=True, eq=False)
class AlignmentReference:
    """The support's side of the alignment, computed once per study.

    Attributes:
        grid: Where the images are compared.
        words: The support's descriptors there, int64, shape (D, H, W); see `OneShotSegLib.method.descriptors`.
    """

    grid: ControlGrid
    words: Tensor


def prepare_alignment(support: PreparedCT, strokes: Vector, settings: AlignmentSettings) -> AlignmentReference:
    """Compute the support's descriptors around its strokes.

    Args:
        support: The support.
        strokes: Positions of the structures' scribbles, background left out, shape (N, 3), mm.
        settings: Of the control grid.
    """
    grid = ControlGrid.around(strokes, support.fine_volume.spacing, settings.control_mm, settings.margin_mm)
    return AlignmentReference(grid, _words_at(support, _unmoved(grid), 0.0).words)


def align(
    reference: AlignmentReference, query: PreparedCT, affine: AffineMap, settings: AlignmentSettings
) -> Displacement:
    """Find the displacement under which query and support are most similar around the strokes.

    The result of a search is used only if it brings the descriptors closer.

    Args:
        reference: The support's side.
        query: The query.
        affine: The fit, support to query.
        settings: Of the searches.
    """
    grid = reference.grid
    found = Displacement(grid=grid, linear=affine.linear)
    with torch.inference_mode():
        sampled = _words_at(query, found, max(settings.radii_mm, default=0.0), affine)
        before = best = difference(reference.words, sampled.on_grid(grid))
        for number, radius in enumerate(settings.radii_mm):
            field = _search(reference, sampled, radius, settings)
            candidate = replace(found, fields=(*found.fields, field))
            # As far beyond the grid as the searches to come look.
            moved = _words_at(query, candidate, max(settings.radii_mm[number + 1 :], default=0.0), affine)
            distance = difference(reference.words, moved.on_grid(grid))
            if distance < best:
                found, sampled, best = candidate, moved, distance
    return replace(found, distance=(before, best))


@dataclass(frozen=True, eq=False)
class _Words:
    """A CT's descriptors at the control grid's voxels and ``pad`` more beyond each face."""

    words: Tensor
    pad: NDArray[np.int64]

    def on_grid(self, grid: ControlGrid) -> Tensor:
        return self.words[box_between(self.pad, self.pad + np.asarray(grid.shape))]


def _unmoved(grid: ControlGrid) -> Displacement:
    return Displacement(grid=grid, linear=np.eye(3))


def _words_at(ct: PreparedCT, displacement: Displacement, beyond_mm: float, affine: AffineMap | None = None) -> _Words:
    """A CT's descriptors where a displacement and then an affine map take the voxels of the control grid.

    Args:
        ct: The CT.
        displacement: Within the support.
        beyond_mm: How far beyond the grid's faces too.
        affine: Support to the CT's patient; None for the support itself.
    """
    grid = displacement.grid
    pad = np.ceil(beyond_mm / grid.spacing).astype(np.int64)
    # Some more, so that the outermost descriptors too see what is beyond them.
    wide = pad + DESCRIPTOR_RADIUS
    sample = _sample_compiled if ct.fine.image.device.type == "cpu" else sample_by_torch
    image, inside = sample(ct, displacement, wide, affine or AffineMap(np.zeros(3), np.eye(3), np.zeros(3)))
    inner = (slice(DESCRIPTOR_RADIUS, -DESCRIPTOR_RADIUS),) * 3
    return _Words(describe(image, inside)[inner], pad)


def _sample_compiled(
    ct: PreparedCT, displacement: Displacement, pad: NDArray[np.int64], affine: AffineMap
) -> tuple[Tensor, Tensor]:
    """Intensities of the control grid's voxels and ``pad`` more beyond each face; and whether they are in view, 0 or 1.

    Both (D, H, W).
    """
    grid, source, own = displacement.grid, ct.fine, ct.ct
    depth, height, width = (np.asarray(grid.shape) + 2 * pad).tolist()
    shape = depth, height, width
    values, inside = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    kernels.sample(
        source.image.numpy(),
        grid.low - pad * grid.spacing,
        grid.spacing,
        shape,
        grid.low,
        grid.step * grid.spacing,
        displacement.acting,
        _to_index(affine, source.origin.numpy(), np.eye(3), source.spacing.numpy()),
        _to_index(affine, own.origin, own.direction, own.spacing),
        np.asarray(own.shape, np.float64),
        values,
        inside,
    )
    return torch.from_numpy(values), torch.from_numpy(inside)


def _to_index(affine: AffineMap, origin: Any, direction: Vector, spacing: Any) -> Vector:
    """From positions in the support, with a last 1, to indices of a grid in the query; shape (3, 4)."""
    to_index = np.linalg.inv(direction) / np.asarray(spacing, np.float64)[:, None]
    linear = to_index @ affine.linear.T
    offset = to_index @ (affine.target - affine.centre @ affine.linear - np.asarray(origin, np.float64))
    return np.ascontiguousarray(np.concatenate([linear, offset[:, None]], axis=1))


def sample_by_torch(
    ct: PreparedCT, displacement: Displacement, pad: NDArray[np.int64], affine: AffineMap
) -> tuple[Tensor, Tensor]:
    """The same by PyTorch, on any device."""
    device = ct.fine.image.device
    positions = affine(displacement.within_support(displacement.grid.positions(pad)))
    image = ct.fine.read(torch.as_tensor(positions, dtype=torch.float32, device=device)[None])[0, 0]
    return image, torch.as_tensor(ct.ct.contains(positions), dtype=torch.uint8, device=device)


def _search(reference: AlignmentReference, sampled: _Words, radius: float, settings: AlignmentSettings) -> Tensor:
    """The best displacement of each control point, made smooth; shape (3, *cells + 1), mm."""
    grid = reference.grid
    offsets = Offsets.within(radius, grid.spacing)
    costs = block_costs(reference.words, sampled.words, sampled.pad, grid, offsets)
    fade = fade_to_edge(grid, settings.margin_mm).to(costs.device)
    field = smooth_offsets(costs, offsets, settings.stiffness, settings.between_voxels)
    return without_folds(field * fade, fade, grid)
