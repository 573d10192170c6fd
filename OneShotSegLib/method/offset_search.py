"""The search of the alignment: which offset makes the block around each control point most alike, held together.

Costs of all offsets first, then the best ones by turns with their smoothing, in rising strength (the coupled convex
optimisation of Heinrich et al., MICCAI 2014). On a CPU by compiled loops, elsewhere by PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method import descriptor_kernels as kernels
from OneShotSegLib.method.descriptors import BITS, CHANNELS, unlike
from OneShotSegLib.method.displacement import ControlGrid
from OneShotSegLib.method.filters import box_mean

COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
DENSE_RADIUS_MM = 11.0  # A wider search tries every second or third voxel only: the next, narrower one tries the rest.
MIN_IN_VIEW = 0.3


@dataclass(frozen=True, eq=False)
class Offsets:
    """The offsets of a ball that a search tries.

    Attributes:
        voxels: Shape (n, 3).
        mm: The same in mm.
        neighbours: Indices of the next offsets along each axis, down and up, -1 for none; shape (n, 3, 2).
        step_mm: Distance of neighbouring offsets along each axis, shape (3,).
    """

    voxels: NDArray[np.int64]
    mm: Vector
    neighbours: NDArray[np.int64]
    step_mm: Vector

    @classmethod
    def within(cls, radius: float, spacing: Vector) -> Offsets:
        """Those within a radius, mm, on a grid of this spacing, or every second or third of them."""
        stride = max(1, round(radius / DENSE_RADIUS_MM))
        counts = np.floor(radius / spacing / stride).astype(int)
        steps = np.array(list(product(*(range(-n, n + 1) for n in counts))), dtype=np.int64)
        steps = steps[np.linalg.norm(steps * stride * spacing, axis=1) <= radius]
        index = np.full(2 * counts + 3, -1)
        index[tuple((steps + counts + 1).T)] = np.arange(len(steps))
        ways = np.array([[-one, one] for one in np.eye(3, dtype=np.int64)])
        neighbours = index[tuple(np.moveaxis(steps[:, None, None] + ways + counts + 1, -1, 0))]
        return cls(steps * stride, steps * stride * spacing, neighbours, stride * spacing)


def block_costs(
    reference: Tensor, moved: Tensor, pad: NDArray[np.int64], grid: ControlGrid, offsets: Offsets
) -> Tensor:
    """The share of differing bits in the block around each control point, for each offset.

    Where an offset leads out of view, its cost is the mean over the offsets that do not.

    Args:
        reference: The support's words on the grid, shape (D, H, W).
        moved: The query's, with ``pad`` more voxels beyond each face.
        pad: Shape (3,); at least the largest offset.
        grid: The control points' grid.
        offsets: Of the search.

    Returns:
        Shape (d, h, w, n).
    """
    if reference.device.type == "cpu":
        return _block_costs_compiled(reference, moved, pad, grid, offsets)
    return block_costs_by_torch(reference, moved, pad, grid, offsets)


def _block_costs_compiled(
    reference: Tensor, moved: Tensor, pad: NDArray[np.int64], grid: ControlGrid, offsets: Offsets
) -> Tensor:
    points, starts = grid.cells + 1, pad + offsets.voxels
    own, other = (np.ascontiguousarray(words.numpy()).view(np.uint64) for words in (reference, moved))
    costs = np.empty((*points, len(starts)), np.float32)
    per_axis = [_block_voxels(n, s) for n, s in zip(grid.cells.tolist(), grid.step.tolist(), strict=True)]
    voxels = np.einsum("z,y,x->zyx", *per_axis)

    def compute(planes: NDArray[np.int64]) -> None:
        first, last = int(planes[0]), int(planes[-1]) + 1
        sums = np.empty((len(planes), len(starts), points[1], points[2]), np.uint64)
        kernels.block_sums(own, other, starts, grid.step, first, sums)
        kernels.block_costs(sums, voxels[first:last], MIN_IN_VIEW, costs[first:last])

    parts = np.array_split(np.arange(points[0]), min(torch.get_num_threads(), int(points[0])))
    if len(parts) == 1:
        compute(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(compute, parts))
    return torch.from_numpy(costs)


def block_costs_by_torch(
    reference: Tensor, moved: Tensor, pad: NDArray[np.int64], grid: ControlGrid, offsets: Offsets
) -> Tensor:
    """The same by PyTorch, on any device."""
    device, costs = reference.device, []
    z, y, x = (_block_means(n, s, device) for n, s in zip(grid.cells.tolist(), grid.step.tolist(), strict=True))
    for start in (pad + offsets.voxels).tolist():
        window = tuple(slice(first, first + size) for first, size in zip(start, grid.shape, strict=True))
        along_rows = torch.matmul(y, torch.stack(unlike(reference, moved[window])) @ x.T)
        bits, seen = torch.einsum("kz,czyx->ckyx", z, along_rows)
        costs.append(torch.where(seen >= MIN_IN_VIEW, bits / (seen.clamp_min(1e-6) * (CHANNELS * BITS)), torch.nan))
    stacked = torch.stack(costs, dim=-1)
    mean = stacked.nanmean(dim=-1, keepdim=True).nan_to_num(0.0)
    return torch.where(stacked.isnan(), mean, stacked)


def _block_voxels(cells: int, step: int) -> NDArray[np.float64]:
    """How many voxels the block around each control point has along one axis, shape (cells + 1,)."""
    counts = np.full(cells + 1, 2.0 * step - 1)
    counts[[0, -1]] = step
    return counts


@cache
def _block_means(cells: int, step: int, device: torch.device) -> Tensor:
    """The matrix that takes means over blocks around the control points along one axis, shape (cells + 1, voxels)."""
    voxels = torch.arange(cells * step + 1, device=device)
    points = torch.arange(cells + 1, device=device)[:, None] * step
    within = ((voxels - points).abs() < step).float()
    return within / within.sum(dim=1, keepdim=True)


def smooth_offsets(costs: Tensor, offsets: Offsets, stiffness: float, between_voxels: bool) -> Tensor:
    """The offsets of low cost that vary smoothly.

    Args:
        costs: Shape (d, h, w, n).
        offsets: The offsets.
        stiffness: Cost of a squared mm between a control point's offset and its neighbourhood's mean, in the end.
        between_voxels: Whether places between the offsets may be chosen.

    Returns:
        Shape (3, d, h, w), mm.
    """
    field = torch.zeros(3, *costs.shape[:3], device=costs.device)
    pick = _choose_compiled if costs.device.type == "cpu" else choose_by_torch
    for coupling in (COUPLING[0], *COUPLING):
        field = box_mean(pick(costs, offsets, field, stiffness * coupling, between_voxels))
    return field


def _choose_compiled(costs: Tensor, offsets: Offsets, field: Tensor, weight: float, between: bool) -> Tensor:
    """The best offset of each control point, given what it costs to differ from a field; shape (3, d, h, w), mm."""
    count = len(offsets.voxels)
    flat, found = field.reshape(3, -1).numpy(), np.empty((3, field[0].numel()), np.float32)
    choices, steps = offsets.mm.astype(np.float32), offsets.step_mm.astype(np.float32)
    kernels.choose(costs.numpy().reshape(-1, count), choices, offsets.neighbours, steps, flat, weight, between, found)
    return torch.from_numpy(found).reshape(field.shape)


def choose_by_torch(costs: Tensor, offsets: Offsets, field: Tensor, weight: float, between: bool) -> Tensor:
    """The same by PyTorch, on any device."""
    device = costs.device
    choices = torch.as_tensor(offsets.mm, dtype=torch.float32, device=device)
    away = sum((choices[:, axis] - field[axis, ..., None]) ** 2 for axis in range(3))
    coupled = costs + weight * away
    lowest, best = coupled.min(dim=-1, keepdim=True)
    found = choices[best[..., 0]].movedim(-1, 0)
    if not between:
        return found
    neighbours = torch.as_tensor(offsets.neighbours, device=device)[best[..., 0]]
    return found + torch.stack(_minima(coupled, lowest, neighbours, offsets.step_mm.tolist()))


def _minima(coupled: Tensor, lowest: Tensor, neighbours: Tensor, step_mm: Sequence[float]) -> list[Tensor]:
    """Where the minimum of each control point's cost lies relative to the best offset tried, mm, along each axis.

    It is that of a parabola through the best offset and its two neighbours: whole voxels alone leave an error of a
    quarter of a voxel on average, a different one in every scan.
    """
    minima = []
    for axis, step in enumerate(step_mm):
        near = neighbours[..., axis, :]
        down, up = (coupled.gather(-1, near.clamp_min(0)) - lowest).unbind(-1)
        inner = (near >= 0).all(dim=-1) & (down + up > 0)
        minima.append(torch.where(inner, (down - up) / (2 * (down + up)) * step, 0.0))
    return minima


def difference(reference: Tensor, moved: Tensor) -> float:
    """Mean share of bits in which words differ where both are in view; 0 where that is nowhere."""
    bits, both = unlike(reference, moved)
    return float(bits.sum() / (both.sum().clamp_min(1.0) * (CHANNELS * BITS)))
