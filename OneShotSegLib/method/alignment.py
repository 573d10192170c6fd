"""Local alignment: a displacement field that refines the affine fit between support and query by matching the images.

A block-matching search with coupled convex smoothing (Siebert et al., ConvexAdam, IEEE TMI 2024) on MIND-SSC
descriptors (Heinrich et al., MICCAI 2013), on a control grid around the support's strokes. Nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.imaging.boxes import box_between
from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method.descriptors import DESCRIPTOR_RADIUS, mind_ssc
from OneShotSegLib.method.displacement import ControlGrid, Displacement, fade_to_edge, without_folds
from OneShotSegLib.method.filters import box_mean
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.propagation import PreparedCT

COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
DENSE_RADIUS_MM = 11.0  # A wider search tries every second or third voxel only: the next, narrower one tries the rest.
MIN_IN_VIEW = 0.3
CPU_SLAB = 8


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """How the affine fit is refined.

    Attributes:
        enabled: Whether it is refined at all.
        margin_mm: How far the control grid extends beyond the structures' strokes; there the displacement fades to 0.
        control_mm: Distance of the control points.
        radii_mm: Largest displacement of each search; each starts from the result of the one before.
        stiffness: Cost of a squared mm between a control point's displacement and its neighbourhood's mean.
        between_voxels: Whether displacements may lie between the offsets that were tried.
    """

    enabled: bool = True
    margin_mm: float = 36.0
    control_mm: float = 12.0
    radii_mm: tuple[float, ...] = (32.0, 16.0, 8.0)
    stiffness: float = 0.01
    between_voxels: bool = True


@dataclass(frozen=True, eq=False)
class AlignmentReference:
    """The support's side of the alignment, computed once per study.

    Attributes:
        grid: Where the images are compared.
        descriptors: MIND-SSC, shape (12, D, H, W).
        in_view: 1 where the support's own field of view covers a voxel and its neighbourhood, else 0; shape (D, H, W).
    """

    grid: ControlGrid
    descriptors: Tensor
    in_view: Tensor


@dataclass(frozen=True, eq=False)
class _SampledCT:
    """A CT sampled at the control grid's voxels and some more beyond each face.

    Attributes:
        descriptors: MIND-SSC, shape (12, d, h, w).
        in_view: As in `AlignmentReference`, shape (d, h, w).
    """

    descriptors: Tensor
    in_view: Tensor

    @classmethod
    def at(cls, ct: PreparedCT, positions: Vector) -> _SampledCT:
        """Sample a CT at mm positions (d, h, w, 3) of its own patient."""
        device = ct.fine.image.device
        image = ct.fine.read(torch.as_tensor(positions, dtype=torch.float32, device=device)[None])[0, 0]
        inside = torch.as_tensor(ct.ct.contains(positions), dtype=torch.float32, device=device)
        # A descriptor that reads voxels beyond the field of view gets no weight either.
        width = 2 * DESCRIPTOR_RADIUS + 1
        in_view = 1 - F.max_pool3d(1 - inside[None], width, stride=1, padding=DESCRIPTOR_RADIUS)[0]
        return cls(mind_ssc(image), in_view)

    def part(self, start: NDArray[Any], shape: Sequence[int]) -> _SampledCT:
        """The samples of a window of this shape that begins at voxel ``start``."""
        window = box_between(start, start + np.asarray(shape))
        return _SampledCT(self.descriptors[(slice(None), *window)], self.in_view[window])


def prepare_alignment(support: PreparedCT, strokes: Vector, settings: AlignmentSettings) -> AlignmentReference:
    """Compute the support's descriptors around its strokes.

    Args:
        support: The support.
        strokes: Positions of the structures' scribbles, background left out, shape (N, 3), mm.
        settings: Of the control grid.
    """
    grid = ControlGrid.around(strokes, support.fine_volume.spacing, settings.control_mm, settings.margin_mm)
    sampled = _SampledCT.at(support, grid.positions())
    return AlignmentReference(grid, sampled.descriptors, sampled.in_view)


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
    pad = np.ceil(max(settings.radii_mm, default=0.0) / grid.spacing).astype(np.int64)
    positions = grid.positions(pad)
    with torch.inference_mode():
        sampled = _SampledCT.at(query, affine(positions))
        before = best = _distance(reference, sampled.part(pad, grid.shape))
        for radius in settings.radii_mm:
            field = _search(reference, sampled, pad, radius, settings)
            candidate = replace(found, fields=(*found.fields, field))
            moved = _SampledCT.at(query, affine(candidate.within_support(positions)))
            distance = _distance(reference, moved.part(pad, grid.shape))
            if distance < best:
                found, sampled, best = candidate, moved, distance
    return replace(found, distance=(before, best))


def _distance(reference: AlignmentReference, sampled: _SampledCT) -> float:
    """Mean squared difference of the descriptors where both CTs are in view."""
    weight = reference.in_view * sampled.in_view
    squared = ((reference.descriptors - sampled.descriptors) ** 2).mean(dim=0)
    return float((squared * weight).sum() / weight.sum().clamp_min(1.0))


def _search(
    reference: AlignmentReference, sampled: _SampledCT, pad: NDArray[Any], radius: float, settings: AlignmentSettings
) -> Tensor:
    """The best displacement of each control point, made smooth; shape (3, *cells + 1), mm."""
    grid, device = reference.grid, reference.in_view.device
    stride = max(1, round(radius / DENSE_RADIUS_MM))
    steps = np.floor(radius / grid.spacing / stride).astype(int)
    offsets = stride * np.array(list(product(*(range(-n, n + 1) for n in steps))))
    near = np.linalg.norm(offsets * grid.spacing, axis=1) <= radius
    costs = torch.stack([_block_costs(reference, sampled.part(pad + offset, grid.shape)) for offset in offsets[near]])
    # Where an offset leads out of view, its cost is the mean over the offsets that do not.
    known = costs.isfinite()
    mean = torch.where(known, costs, 0.0).sum(dim=0) / known.sum(dim=0).clamp_min(1)
    # Offsets in the corners of the cuboid are never chosen: only the ball is searched.
    everywhere = torch.full((len(offsets), *costs.shape[1:]), torch.inf, device=device)
    everywhere[torch.as_tensor(near, device=device)] = torch.where(known, costs, mean)
    choices = torch.as_tensor(offsets * grid.spacing, dtype=torch.float32, device=device)
    fade = fade_to_edge(grid, settings.margin_mm).to(device)
    field = torch.zeros(3, *costs.shape[1:], device=device)
    step_mm = (stride * grid.spacing).tolist()
    for coupling in (COUPLING[0], *COUPLING):
        away = ((choices[:, :, None, None, None] - field) ** 2).sum(dim=1)
        coupled = everywhere + settings.stiffness * coupling * away
        best = coupled.argmin(dim=0)
        field = choices[best].permute(3, 0, 1, 2)
        if settings.between_voxels:
            field = field + _subvoxel_minimum(coupled, best, tuple(2 * steps + 1), step_mm)
        field = box_mean(field)
    return without_folds(field * fade, fade, grid)


def _subvoxel_minimum(costs: Tensor, best: Tensor, counts: Sequence[int], step_mm: Sequence[float]) -> Tensor:
    """Where the minimum of each control point's cost lies relative to the best offset tried, mm, shape (3, d, h, w).

    It is that of a parabola through the best offset and its two neighbours along each axis: whole voxels alone leave an
    error of a quarter of a voxel on average, a different one in every scan.

    Args:
        costs: Shape (offsets, d, h, w), infinite where an offset may not be chosen. The offsets are all of a cuboid,
            the last axis fastest.
        best: Index of the best offset, shape (d, h, w).
        counts: Offsets of the cuboid along each axis.
        step_mm: Distance of neighbouring offsets along each axis.
    """
    lowest = costs.gather(0, best[None])[0]
    minima = []
    for axis, (count, step) in enumerate(zip(counts, step_mm, strict=True)):
        stride = int(np.prod(counts[axis + 1 :]))
        before, after = (
            costs.gather(0, (best + way * stride).clamp(0, len(costs) - 1)[None])[0] - lowest for way in (-1, 1)
        )
        index = best // stride % count
        inner = (index > 0) & (index < count - 1) & before.isfinite() & after.isfinite() & (before + after > 0)
        minima.append(torch.where(inner, (before - after) / (2 * (before + after)) * step, 0.0))
    return torch.stack(minima)


def _block_costs(reference: AlignmentReference, sampled: _SampledCT) -> Tensor:
    """Descriptor distance in the block around each control point, infinite where too little of it is in view."""
    grid = reference.grid
    step = grid.step.tolist()
    weight = reference.in_view * sampled.in_view
    squared = _squared_distance(reference.descriptors, sampled.descriptors)
    z, y, x = (_block_means(cells, n, weight.device) for cells, n in zip(grid.cells.tolist(), step, strict=True))
    along_rows = torch.matmul(y, torch.stack([squared * weight, weight]) @ x.T)
    blocks = torch.einsum("kz,czyx->ckyx", z, along_rows)
    return torch.where(blocks[1] >= MIN_IN_VIEW, blocks[0] / blocks[1].clamp_min(1e-6), torch.inf)


@cache
def _block_means(cells: int, step: int, device: torch.device) -> Tensor:
    """The matrix that takes means over blocks around the control points along one axis, shape (cells + 1, voxels).

    The mean over a block is a mean along one axis after the other; as products of matrices these take a fraction of the
    time of a pooling layer.
    """
    voxels = torch.arange(cells * step + 1, device=device)
    points = torch.arange(cells + 1, device=device)[:, None] * step
    within = ((voxels - points).abs() < step).float()
    return within / within.sum(dim=1, keepdim=True)


def _squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """Sum over the channels of the squared difference, shape (D, H, W).

    On a CPU a few slices at a time: their difference stays in the cache instead of going through memory.
    """
    depth = first.shape[1]
    slab = CPU_SLAB if first.device.type == "cpu" else depth
    distance = torch.empty(first.shape[1:], device=first.device)
    for start in range(0, depth, slab):
        part = slice(start, start + slab)
        difference = first[:, part] - second[:, part]
        torch.sum(difference.mul_(difference), dim=0, out=distance[part])
    return distance
