"""Local alignment: a displacement field that refines the affine fit between support and query by matching the images.

Block-matching searches with coupled convex smoothing (Siebert et al., ConvexAdam, IEEE TMI 2024) on self-similarity
descriptors of one machine word each (Heinrich et al., MICCAI 2013), on control grids around the support's strokes, from
far with large blocks to near with small ones, each from the support to the query and back. Nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from OneShotSegLib.imaging.boxes import box_between
from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method import descriptor_kernels as kernels
from OneShotSegLib.method.descriptors import DESCRIPTOR_RADIUS, describe
from OneShotSegLib.method.displacement import (
    ControlGrid,
    Displacement,
    VoxelBox,
    fade_to_edge,
    inverse_consistent,
    on_control_points,
    without_folds,
)
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.offset_search import Offsets, block_costs, difference, smooth_offsets
from OneShotSegLib.method.propagation import PreparedCT


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """How the affine fit is refined.

    Attributes:
        enabled: Whether it is refined at all.
        margin_mm: How far the control grid extends beyond the structures' strokes; there the displacement fades to 0.
        radii_mm: Largest displacement of each search; each starts from the result of the one before.
        control_mm: Distance of the control points of a search, less ``control_share`` of its radius: what moves far
            is searched for with large blocks, which are hardly found in a wrong place.
        control_share: Share of a search's radius by which its control points lie farther apart.
        stiffness: Cost, in shares of differing bits, of a squared mm between a control point's displacement and its
            neighbourhood's mean.
        between_voxels: Whether displacements may lie between the offsets that were tried.
    """

    enabled: bool = True
    margin_mm: float = 36.0
    radii_mm: tuple[float, ...] = (48.0, 32.0, 16.0, 8.0, 6.0)
    control_mm: float = 4.0
    control_share: float = 0.5
    stiffness: float = 0.0007
    between_voxels: bool = True

    def control_of(self, radius_mm: float) -> float:
        """Distance of the control points of a search, mm."""
        return self.control_mm + self.control_share * radius_mm


@dataclass(frozen=True, eq=False)
class _Words:
    """A CT's descriptors on a lattice of voxels.

    Attributes:
        words: int64, shape (D, H, W); see `OneShotSegLib.method.descriptors`.
        low: Position of the first voxel, mm, shape (3,).
    """

    words: Tensor
    low: Vector

    def on_grid(self, grid: ControlGrid) -> Tensor:
        """Those of a grid of the same lattice, which must hold it."""
        first = grid.voxels_after(self.low)
        return self.words[box_between(first, first + np.asarray(grid.shape))]


@dataclass(frozen=True, eq=False)
class AlignmentReference:
    """The support's side of the alignment, computed once per study.

    Attributes:
        grid: Where the displacement is given: the control points of the narrowest search.
        searched: The grid of each search, with the same voxels and some more.
        words: The support's descriptors at all of these voxels, and as far beyond them as the searches look.
    """

    grid: ControlGrid
    searched: tuple[ControlGrid, ...]
    words: _Words


def prepare_alignment(support: PreparedCT, strokes: Vector, settings: AlignmentSettings) -> AlignmentReference:
    """Compute the support's descriptors around its strokes.

    Args:
        support: The support.
        strokes: Positions of the structures' scribbles, background left out, shape (N, 3), mm.
        settings: Of the control grids.
    """
    finest = settings.control_of(min(settings.radii_mm, default=0.0))
    grid = ControlGrid.around(strokes, support.fine_volume.spacing, finest, settings.margin_mm)
    searched = tuple(grid.with_control_points(settings.control_of(radius)) for radius in settings.radii_mm)
    searches = list(zip(searched, settings.radii_mm, strict=True))
    return AlignmentReference(grid, searched, _words_at(support, _unmoved(grid), searches))


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
    own = reference.words.on_grid(grid)
    found = Displacement(grid=grid, linear=affine.linear)
    searches = list(zip(reference.searched, settings.radii_mm, strict=True))
    with torch.inference_mode():
        sampled = _words_at(query, found, searches, affine)
        before = best = difference(own, sampled.on_grid(grid))
        for number, (coarse, radius) in enumerate(searches):
            candidate = _search(reference.words, sampled, found, coarse, radius, settings)
            # As far beyond the grid as the searches to come look.
            moved = _words_at(query, candidate, searches[number + 1 :] or [(grid, 0.0)], affine)
            distance = difference(own, moved.on_grid(grid))
            if distance < best:
                found, sampled, best = candidate, moved, distance
    return replace(found, distance=(before, best))


def _unmoved(grid: ControlGrid) -> Displacement:
    return Displacement(grid=grid, linear=np.eye(3))


def _words_at(
    ct: PreparedCT,
    displacement: Displacement,
    searches: Sequence[tuple[ControlGrid, float]],
    affine: AffineMap | None = None,
) -> _Words:
    """A CT's descriptors where a displacement and then an affine map take the voxels that searches look at.

    Args:
        ct: The CT.
        displacement: Within the support.
        searches: The grids of searches, which have the displacement's voxels, and how far beyond them they look, mm.
        affine: Support to the CT's patient; None for the support itself.
    """
    grid = displacement.grid
    first, last = np.zeros(3, np.int64), np.asarray(grid.shape)
    for searched, radius in searches:
        start, beyond = searched.voxels_after(grid.low), np.ceil(radius / grid.spacing).astype(np.int64)
        first, last = np.minimum(first, start - beyond), np.maximum(last, start + searched.shape + beyond)
    # Some more, so that the outermost descriptors too see what is beyond them.
    box = first - DESCRIPTOR_RADIUS, last + DESCRIPTOR_RADIUS
    sample = _sample_compiled if ct.fine.image.device.type == "cpu" else sample_by_torch
    image, inside = sample(ct, displacement, box, affine or AffineMap(np.zeros(3), np.eye(3), np.zeros(3)))
    inner = (slice(DESCRIPTOR_RADIUS, -DESCRIPTOR_RADIUS),) * 3
    return _Words(describe(image, inside)[inner], grid.low + first * grid.spacing)


def _sample_compiled(
    ct: PreparedCT, displacement: Displacement, box: VoxelBox, affine: AffineMap
) -> tuple[Tensor, Tensor]:
    """Intensities of a box of the control grid's voxels and beyond; and whether they are in view, 0 or 1.

    Args:
        ct: The CT.
        displacement: Within the support.
        box: From which voxel of its grid to before which; may go beyond its faces.
        affine: Support to the CT's patient.

    Returns:
        Both (D, H, W).
    """
    grid, source, own = displacement.grid, ct.fine, ct.ct
    depth, height, width = (box[1] - box[0]).tolist()
    shape = depth, height, width
    values, inside = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    kernels.sample(
        source.image.numpy(),
        grid.low + box[0] * grid.spacing,
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
    ct: PreparedCT, displacement: Displacement, box: VoxelBox, affine: AffineMap
) -> tuple[Tensor, Tensor]:
    """The same by PyTorch, on any device."""
    device = ct.fine.image.device
    positions = affine(displacement.within_support(displacement.grid.positions(box)))
    image = ct.fine.read(torch.as_tensor(positions, dtype=torch.float32, device=device)[None])[0, 0]
    return image, torch.as_tensor(ct.ct.contains(positions), dtype=torch.uint8, device=device)


def _search(
    own: _Words, sampled: _Words, found: Displacement, grid: ControlGrid, radius: float, settings: AlignmentSettings
) -> Displacement:
    """What a search adds to a displacement.

    Args:
        own: The support's descriptors.
        sampled: The query's, under the displacement.
        found: The displacement.
        grid: Of the search.
        radius: Of the search, mm.
        settings: Of all searches.
    """
    forward, backward = _both_ways(own, sampled, grid, radius, settings)
    field = on_control_points(inverse_consistent(forward, backward, grid), grid, found.grid)
    fade = fade_to_edge(found.grid, settings.margin_mm).to(field.device)
    return found.after(without_folds(field * fade, fade, found.grid))


def _both_ways(
    own: _Words, sampled: _Words, grid: ControlGrid, radius: float, settings: AlignmentSettings
) -> tuple[Tensor, Tensor]:
    """What is found from the support to the query, and from the query to the support; both (3, *cells + 1), mm."""
    offsets = Offsets.within(radius, grid.spacing)

    def search(here: _Words, there: _Words) -> Tensor:
        costs = block_costs(here.on_grid(grid), there.words, grid.voxels_after(there.low), grid, offsets)
        return smooth_offsets(costs, offsets, settings.stiffness, settings.between_voxels)

    return search(own, sampled), search(sampled, own)
