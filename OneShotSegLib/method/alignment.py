"""Local alignment: what the affine fit leaves between support and query is closed by matching the images themselves.

A block-matching search with coupled convex smoothing (Siebert et al., ConvexAdam, IEEE TMI 2024) on MIND-SSC
descriptors (Heinrich et al., MICCAI 2013), in a box around the support's strokes. Nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.imaging.boxes import box_between
from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.propagation import PreparedCT

COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
DENSE_RADIUS_MM = 11.0  # A wider search looks at every second or third voxel: the next, narrower one sees the others.
LEAST_SEEN = 0.3
LEAST_JACOBIAN = 0.1
DESCRIPTOR_REACH = 2
MOST_SMOOTHING = 20
CPU_SLAB = 8


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """How the affine fit is refined.

    Attributes:
        enabled: Whether it is refined at all.
        margin_mm: How far the box extends beyond the structures' strokes; within it the displacement fades to 0.
        control_mm: Distance of the control points.
        radii_mm: Largest displacement that each search tries; each starts from where the one before ended.
        stiffness: Cost of a squared mm between a control point's displacement and its neighbourhood's mean.
        between_voxels: Whether a control point may go between the offsets that were tried.
    """

    enabled: bool = True
    margin_mm: float = 36.0
    control_mm: float = 12.0
    radii_mm: tuple[float, ...] = (32.0, 16.0, 8.0)
    stiffness: float = 0.01
    between_voxels: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class ControlGrid:
    """A grid of voxels with control points on every few of them, axis-aligned in the support.

    Attributes:
        low: Position of the first voxel and control point, mm, shape (3,).
        spacing: Voxel size, mm, shape (3,).
        step: Voxels from one control point to the next, shape (3,).
        cells: Control points less one along each axis, shape (3,).
    """

    low: Vector
    spacing: Vector
    step: NDArray[np.int64]
    cells: NDArray[np.int64]

    @classmethod
    def around(cls, positions: Vector, spacing: Vector, settings: AlignmentSettings) -> ControlGrid:
        """The smallest box with its margin around mm positions (N, 3)."""
        step = np.maximum(np.rint(settings.control_mm / spacing), 1).astype(np.int64)
        low, high = positions.min(axis=0) - settings.margin_mm, positions.max(axis=0) + settings.margin_mm
        cells = np.maximum(np.ceil((high - low) / (spacing * step)), 2).astype(np.int64)
        return cls(low=(low + high) / 2 - cells * step * spacing / 2, spacing=spacing, step=step, cells=cells)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple((self.cells * self.step + 1).tolist())

    @property
    def size_mm(self) -> Vector:
        """From the first to the last control point."""
        return np.asarray(self.cells * self.step * self.spacing, dtype=np.float64)

    def positions(self, pad: Sequence[int] | NDArray = (0, 0, 0)) -> Vector:
        """Where the voxels lie, and so many more beyond each face; shape (D, H, W, 3), mm."""
        axes = [np.arange(-p, n + p) for p, n in zip(pad, self.shape, strict=True)]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self.low + index * self.spacing


@dataclass(frozen=True, eq=False)
class AlignmentReference:
    """The support's side, computed once a study.

    Attributes:
        box: Where the images are compared.
        descriptors: Shape (12, D, H, W).
        seen: 1 where the support's own field of view covers a voxel and its neighbourhood, else 0; shape (D, H, W).
    """

    box: ControlGrid
    descriptors: Tensor
    seen: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Displacement:
    """What to add to the affine map, 0 outside the box.

    Attributes:
        box: Where it differs from 0.
        linear: The affine map's linear part, shape (3, 3), applied to row vectors.
        fields: Displacements at the control points in the support, mm, each (3, *cells + 1); the last acts first.
        distance: Descriptor distance with it and, before that, without it.
    """

    box: ControlGrid
    linear: Vector
    fields: tuple[Tensor, ...] = ()
    distance: tuple[float, float] = (0.0, 0.0)

    def __call__(self, positions: Vector) -> Vector:
        """What to add to the affine map's image of support positions (..., 3); same shape, mm."""
        return (self.within_support(positions) - positions) @ self.linear

    def within_support(self, positions: Vector) -> Vector:
        """Support positions (..., 3) moved so that the affine map then carries them to the right place."""
        moved = np.asarray(positions, dtype=np.float64)
        for field in reversed(self.fields):
            moved = moved + self._read(field, moved)
        return moved

    def _read(self, field: Tensor, positions: Vector) -> Vector:
        normalised = 2 * (positions.reshape(-1, 3) - self.box.low) / self.box.size_mm - 1
        grid = torch.as_tensor(normalised, dtype=torch.float32, device=field.device).flip(-1)
        values = F.grid_sample(field[None], grid[None, None, None], padding_mode="zeros", align_corners=True)
        return values[0, :, 0, 0].T.cpu().numpy().astype(np.float64).reshape(positions.shape)


@dataclass(frozen=True, eq=False)
class _View:
    """A CT on the box's grid, with some voxels more beyond each face: descriptors (12, d, h, w) and ``seen``."""

    descriptors: Tensor
    seen: Tensor

    @classmethod
    def of(cls, ct: PreparedCT, positions: Vector) -> _View:
        """Look at a CT at mm positions (d, h, w, 3) of its own patient."""
        device = ct.fine.image.device
        image = ct.fine.read(torch.as_tensor(positions, dtype=torch.float32, device=device)[None])[0, 0]
        inside = torch.as_tensor(ct.ct.contains(positions), dtype=torch.float32, device=device)
        # A descriptor that looks beyond the field of view has no say either.
        width = 2 * DESCRIPTOR_REACH + 1
        seen = 1 - F.max_pool3d(1 - inside[None], width, stride=1, padding=DESCRIPTOR_REACH)[0]
        return cls(mind_ssc(image), seen)

    def part(self, start: NDArray, shape: Sequence[int]) -> _View:
        """A window of the grid."""
        window = box_between(start, start + np.asarray(shape))
        return _View(self.descriptors[(slice(None), *window)], self.seen[window])


def mind_ssc(image: Tensor) -> Tensor:
    """The self-similarity context of each voxel: how alike its six neighbours' patches (3x3x3) are, pair by pair.

    Args:
        image: Intensities, shape (D, H, W).

    Returns:
        Similarities of the 12 pairs of neighbours that are not opposite, 0-1, shape (12, D, H, W).
    """
    neighbours = [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6) if a // 2 != b // 2]
    padded = _replicate(image[None], 1)[0]
    depth, height, width = image.shape
    shifted = [padded[z : z + depth, y : y + height, x : x + width] for z, y, x in neighbours]
    squared = torch.stack([(shifted[a] - shifted[b]) ** 2 for a, b in pairs])
    distance = F.avg_pool3d(_replicate(squared, 1), 3, stride=1)
    distance = distance - distance.amin(dim=0)
    noise = distance.mean(dim=0)
    typical = float(noise.mean()) + 1e-12
    return torch.exp(-distance / noise.clamp(typical * 1e-3, typical * 1e3))


def prepare_alignment(support: PreparedCT, strokes: Vector, settings: AlignmentSettings) -> AlignmentReference:
    """Describe the support around its strokes.

    Args:
        support: The support.
        strokes: Positions of the structures' scribbles, background left out, shape (N, 3), mm.
        settings: How.
    """
    box = ControlGrid.around(strokes, support.fine_volume.spacing, settings)
    view = _View.of(support, box.positions())
    return AlignmentReference(box, view.descriptors, view.seen)


def align(
    reference: AlignmentReference, query: PreparedCT, affine: AffineMap, settings: AlignmentSettings
) -> Displacement:
    """Find the displacement that makes the query look like the support around the strokes.

    A search whose result does not bring the descriptors closer is thrown away.

    Args:
        reference: The support's side.
        query: The query.
        affine: The fit, support to query.
        settings: How.
    """
    box = reference.box
    found = Displacement(box=box, linear=affine.linear)
    pad = np.ceil(max(settings.radii_mm, default=0.0) / box.spacing).astype(np.int64)
    positions = box.positions(pad)
    with torch.inference_mode():
        view = _View.of(query, affine(positions))
        before = best = _distance(reference, view.part(pad, box.shape))
        for radius in settings.radii_mm:
            field = _search(reference, view, pad, radius, settings)
            candidate = replace(found, fields=(*found.fields, field))
            view_there = _View.of(query, affine(candidate.within_support(positions)))
            distance = _distance(reference, view_there.part(pad, box.shape))
            if distance < best:
                found, view, best = candidate, view_there, distance
    return replace(found, distance=(before, best))


def _distance(reference: AlignmentReference, view: _View) -> float:
    """Mean squared difference of the descriptors where both CTs are seen."""
    say = reference.seen * view.seen
    squared = ((reference.descriptors - view.descriptors) ** 2).mean(dim=0)
    return float((squared * say).sum() / say.sum().clamp_min(1.0))


def _search(
    reference: AlignmentReference, view: _View, pad: NDArray, radius: float, settings: AlignmentSettings
) -> Tensor:
    """The best displacement of each control point, made smooth; shape (3, *cells + 1), mm."""
    box, device = reference.box, reference.seen.device
    stride = max(1, round(radius / DENSE_RADIUS_MM))
    steps = np.floor(radius / box.spacing / stride).astype(int)
    offsets = stride * np.array(list(product(*(range(-n, n + 1) for n in steps))))
    near = np.linalg.norm(offsets * box.spacing, axis=1) <= radius
    costs = torch.stack([_block_costs(reference, view.part(pad + offset, box.shape)) for offset in offsets[near]])
    # Where an offset leads out of view, its cost is the mean of those that do not.
    known = costs.isfinite()
    mean = torch.where(known, costs, 0.0).sum(dim=0) / known.sum(dim=0).clamp_min(1)
    # The corners of the cuboid of offsets are never chosen: only the ball is searched.
    everywhere = torch.full((len(offsets), *costs.shape[1:]), torch.inf, device=device)
    everywhere[torch.as_tensor(near, device=device)] = torch.where(known, costs, mean)
    choices = torch.as_tensor(offsets * box.spacing, dtype=torch.float32, device=device)
    fade = _fade(box, settings.margin_mm).to(device)
    field = torch.zeros(3, *costs.shape[1:], device=device)
    step_mm = (stride * box.spacing).tolist()
    for coupling in (COUPLING[0], *COUPLING):
        away = ((choices[:, :, None, None, None] - field) ** 2).sum(dim=1)
        coupled = everywhere + settings.stiffness * coupling * away
        best = coupled.argmin(dim=0)
        field = choices[best].permute(3, 0, 1, 2)
        if settings.between_voxels:
            field = field + _beside(coupled, best, tuple(2 * steps + 1), step_mm)
        field = _smooth(field)
    return _without_folds(field * fade, fade, box)


def _beside(costs: Tensor, best: Tensor, counts: Sequence[int], step_mm: Sequence[float]) -> Tensor:
    """How far beside the best offset that was tried each control point's cost is least, mm, shape (3, d, h, w).

    A parabola through the best offset and its two neighbours along each axis says where: whole voxels alone would leave
    an error of a quarter of a voxel on average, another one in every scan.

    Args:
        costs: Shape (offsets, d, h, w), infinite where an offset may not be chosen. The offsets are all of a cuboid,
            the last axis fastest.
        best: Index of the best offset, shape (d, h, w).
        counts: Offsets of the cuboid along each axis.
        step_mm: Distance of neighbouring offsets along each axis.
    """
    lowest = costs.gather(0, best[None])[0]
    beside = []
    for axis, (count, step) in enumerate(zip(counts, step_mm, strict=True)):
        jump = int(np.prod(counts[axis + 1 :]))
        before, after = (
            costs.gather(0, (best + way * jump).clamp(0, len(costs) - 1)[None])[0] - lowest for way in (-1, 1)
        )
        place = best // jump % count
        inner = (place > 0) & (place < count - 1) & before.isfinite() & after.isfinite() & (before + after > 0)
        beside.append(torch.where(inner, (before - after) / (2 * (before + after)) * step, 0.0))
    return torch.stack(beside)


def _block_costs(reference: AlignmentReference, view: _View) -> Tensor:
    """Descriptor distance in the block around each control point, infinite where too little is seen."""
    box = reference.box
    step = box.step.tolist()
    say = reference.seen * view.seen
    squared = _squared_distance(reference.descriptors, view.descriptors)
    z, y, x = (_block_means(cells, n, say.device) for cells, n in zip(box.cells.tolist(), step, strict=True))
    along_rows = torch.matmul(y, torch.stack([squared * say, say]) @ x.T)
    blocks = torch.einsum("kz,czyx->ckyx", z, along_rows)
    return torch.where(blocks[1] >= LEAST_SEEN, blocks[0] / blocks[1].clamp_min(1e-6), torch.inf)


@cache
def _block_means(cells: int, step: int, device: torch.device) -> Tensor:
    """The matrix that takes the means of the blocks around the control points of an axis, (cells + 1, voxels).

    The mean over a block is that of means along one axis after the other; as products of matrices they take a fraction
    of the time of a pooling layer.
    """
    voxels = torch.arange(cells * step + 1, device=device)
    points = torch.arange(cells + 1, device=device)[:, None] * step
    within = ((voxels - points).abs() < step).float()
    return within / within.sum(dim=1, keepdim=True)


def _squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """Sum over the channels of the squared difference, shape (D, H, W).

    A CPU takes some slices at a time: their difference stays in its cache, and is not written to memory and read again.
    """
    depth = first.shape[1]
    slab = CPU_SLAB if first.device.type == "cpu" else depth
    distance = torch.empty(first.shape[1:], device=first.device)
    for start in range(0, depth, slab):
        part = slice(start, start + slab)
        difference = first[:, part] - second[:, part]
        torch.sum(difference.mul_(difference), dim=0, out=distance[part])
    return distance


def _fade(box: ControlGrid, margin_mm: float) -> Tensor:
    """1 at the control points well inside the box, falling to 0 on its faces over half the margin; (*cells + 1)."""
    fade = torch.ones(())
    for cells, control_mm in zip(box.cells.tolist(), (box.step * box.spacing).tolist(), strict=True):
        points = torch.arange(cells + 1)
        from_face = torch.minimum(points, cells - points) * control_mm
        fade = fade[..., None] * (from_face / max(margin_mm / 2, control_mm)).clamp(max=1.0)
    return fade


def _without_folds(field: Tensor, fade: Tensor, box: ControlGrid) -> Tensor:
    """Smooth until nothing folds; a field that still does is 0."""
    for _ in range(MOST_SMOOTHING):
        if _least_jacobian(field, box) >= LEAST_JACOBIAN:
            return field
        field = _smooth(field) * fade
    return torch.zeros_like(field)


def _least_jacobian(field: Tensor, box: ControlGrid) -> float:
    """The smallest local change of volume of x -> x + field(x) over the box's voxels."""
    dense = F.interpolate(field[None], size=box.shape, mode="trilinear", align_corners=True)[0]
    depth, height, width = (n - 1 for n in box.shape)
    slopes = [dense.diff(dim=axis + 1)[:, :depth, :height, :width] / float(box.spacing[axis]) for axis in range(3)]
    matrices = torch.stack(slopes, dim=-1).permute(1, 2, 3, 0, 4) + torch.eye(3, device=field.device)
    return float(torch.linalg.det(matrices).min())


def _smooth(field: Tensor) -> Tensor:
    """Mean over each point's 3x3x3 neighbourhood."""
    return F.avg_pool3d(_replicate(field, 1), 3, stride=1)


def _replicate(channels: Tensor, pad: int) -> Tensor:
    """Repeat the outer voxels of (C, D, H, W) on every side."""
    return F.pad(channels[None], (pad,) * 6, mode="replicate")[0]
