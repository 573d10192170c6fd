"""Affine registration of the images: places the support's surroundings in the query by their intensities.

The network's fit can be tens of mm off in a region that it hardly knows. The support's box around the strokes is
therefore also searched for in the whole query, at all places and some sizes, by normalised correlation on coarse voxels
(masked, as in Padfield, IEEE TIP 2012). The network's fit and the best places found are refined to the best affine map,
held back from changes of shape, and the one under which the images correlate best is taken. Nothing is learned. Not in
the paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.fft import irfftn, next_fast_len, rfftn
from torch import Tensor

from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.propagation import PreparedCT

SIZE_MM = 120.0
"""A shift by so much and a change of shape by 1 are steps of the same size for the descent."""
LAST_RATE = 0.1
EDGE_MM = 12.0
LEAST_VARIANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class RegistrationSettings:
    """How the images are registered.

    Attributes:
        enabled: Whether they are at all; else the network's fit is used as it is.
        enough: Correlation of the images under the network's fit from which on that is kept: what moves against the
            rest, such as a jaw, the network places better than one map for all.
        margin_mm: How far what is compared extends beyond the structures' strokes.
        hu: What lies beyond these HU counts as equal: the contrast is that of soft tissue.
        search_mm: Voxels of the wide search.
        sizes_along: Sizes of the query along z over the support's, which the wide search tries.
        sizes_across: The same for y and x.
        found: Places of the wide search that are refined, the best ones of different size.
        least_overlap: Least share of the support's box that lies within the query.
        out_of_view: What leaving the query with all of the box would cost, in units of correlation.
        sample_mm: Distance of the samples that are compared while a place is refined.
        iterations: Steps of the descent.
        rate: Its first step, as a share of a change of shape by 1.
        stiffness: Cost of a change of shape or size: what is squared is a stretch along an axis against the mean.
    """

    enabled: bool = True
    enough: float = 0.65
    margin_mm: float = 60.0
    hu: tuple[float, float] = (-200.0, 500.0)
    search_mm: float = 12.0
    sizes_along: tuple[float, ...] = (0.75, 0.87, 1.0, 1.15, 1.3)
    sizes_across: tuple[float, ...] = (0.8, 0.9, 1.0, 1.12, 1.25)
    found: int = 2
    least_overlap: float = 0.4
    out_of_view: float = 0.3
    sample_mm: float = 10.0
    iterations: int = 30
    rate: float = 0.04
    stiffness: float = 0.2


@dataclass(frozen=True, eq=False)
class Place:
    """Where the support's surroundings may lie in the query.

    Attributes:
        affine: Support to query.
        cost: The lower the better; 1 less the correlation, and what is held against the map.
    """

    affine: AffineMap
    cost: float


def register(
    support: PreparedCT,
    strokes: Vector,
    query: PreparedCT,
    starts: Sequence[AffineMap],
    window: HUWindow,
    settings: RegistrationSettings,
) -> AffineMap:
    """The affine map under which the images around the strokes correlate best.

    Args:
        support: The support.
        strokes: Positions of the structures' scribbles in it, background left out, shape (N, 3), mm.
        query: The query.
        starts: The network's fits, from which the descent starts, next to what the wide search finds.
        window: HU to 0-1 of the coarse working grid.
        settings: Of search and descent.
    """
    low, high = (float(level) for level in window.apply(np.array(settings.hu)))
    contrast = _Contrast(low, max(high, low + 1e-3))
    box = _Box(strokes.min(axis=0) - settings.margin_mm, strokes.max(axis=0) + settings.margin_mm)
    samples = _Samples.of(support, box, contrast, settings.sample_mm)
    # By the correlation alone: where the query is cut, leaving it is right, and no reason to search for another place.
    alone = replace(settings, out_of_view=0.0)
    fits = [Place(start, _mismatch_under(start, samples, query, contrast, alone)) for start in starts]
    best = min(fits, key=lambda place: place.cost, default=None)
    if best is not None and best.cost <= 1 - settings.enough:
        return best.affine
    found = sorted(_search(support, query, box, settings), key=lambda place: place.cost)[: settings.found]
    refined = [_refine(samples, query, start, contrast, settings) for start in (*starts, *(p.affine for p in found))]
    return min(refined, key=lambda place: place.cost).affine


class _Box(NamedTuple):
    """A box in the support, mm."""

    low: Vector
    high: Vector

    @property
    def middle(self) -> Vector:
        middle: Vector = (self.low + self.high) / 2
        return middle


class _Contrast(NamedTuple):
    """The part of the working range that is spread to 0-1."""

    low: float
    high: float

    def __call__(self, values: Tensor) -> Tensor:
        return ((values - self.low) / (self.high - self.low)).clamp(0, 1)


def _search(support: PreparedCT, query: PreparedCT, box: _Box, settings: RegistrationSettings) -> Iterator[Place]:
    """The best place of the box in the whole query for each of the sizes."""
    image, origin, spacing = _coarsened(query, settings.search_mm)
    for along, across in product(settings.sizes_along, settings.sizes_across):
        size = np.array([along, across, across])
        shape = np.maximum(np.ceil((box.high - box.low) * size / spacing).astype(int), 1)
        index = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij"), axis=-1)
        positions = index * spacing / size + box.middle
        weight = support.ct.contains(positions).astype(np.float32)
        score = _correlation_everywhere(support.read_coarse(positions).cpu().numpy(), weight, image, settings)
        best = np.unravel_index(int(score.argmax()), score.shape)
        # Of the box's middle: its first voxel runs from beyond the query's first one to its last.
        middle = origin + (np.array(best) - (shape - 1) / 2) * spacing
        yield Place(AffineMap(box.middle, np.diag(size), middle), 1 - float(score[best]))


def _coarsened(ct: PreparedCT, voxel_mm: float) -> tuple[NDArray[np.float32], Vector, Vector]:
    """A CT's coarse working grid averaged to about this voxel size: voxels, first position and spacing, mm."""
    source = ct.coarse
    fine, first = (v.cpu().numpy().astype(np.float64) for v in (source.spacing, source.origin))
    counts = np.asarray(source.image.shape)
    coarse = np.maximum(np.rint(counts * fine / voxel_mm).astype(int), 1)
    image = F.interpolate(source.image[None, None], size=coarse.tolist(), mode="area")[0, 0]
    spacing = fine * counts / coarse
    return image.cpu().numpy(), first + (spacing - fine) / 2, spacing


def _correlation_everywhere(
    block: NDArray[np.float32], weight: NDArray[np.float32], image: NDArray[np.float32], settings: RegistrationSettings
) -> NDArray[np.float32]:
    """Weighted correlation of a block with an image wherever they overlap; -1 where they do so too little.

    Args:
        block: Shape (d, h, w).
        weight: Of its voxels, shape (d, h, w).
        image: Shape (D, H, W).
        settings: Of the search.

    Returns:
        For each place of the block's last voxel from the image's first one on, shape (D + d - 1, H + h - 1, W + w - 1).
    """
    shape = [n + k - 1 for n, k in zip(image.shape, block.shape, strict=True)]
    fast = [next_fast_len(n, real=True) for n in shape]
    own = [rfftn(part[::-1, ::-1, ::-1], fast) for part in (weight, weight * block, weight * block**2)]
    other = [rfftn(part, fast) for part in (np.ones_like(image), image, image**2)]
    pairs = ((0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (1, 1))
    count, a, aa, b, bb, ab = (
        irfftn(own[i] * other[k], fast)[tuple(slice(n) for n in shape)] for i, k in pairs
    )  # sums over the overlap
    count = np.maximum(count, 1e-3)
    variances = np.maximum(aa - a**2 / count, LEAST_VARIANCE) * np.maximum(bb - b**2 / count, LEAST_VARIANCE)
    share = count / max(float(weight.sum()), 1.0)
    score = (ab - a * b / count) / np.sqrt(variances) - settings.out_of_view * (1 - share)
    found: NDArray[np.float32] = np.where(share > settings.least_overlap, score, -1.0).astype(np.float32)
    return found


@dataclass(frozen=True, eq=False)
class _Samples:
    """The support's side of the descent.

    Attributes:
        offsets: Positions of the samples relative to their mean, mm, shape (N, 3).
        middle: Their mean, mm, shape (3,).
        values: Their intensities, shape (N,).
    """

    offsets: Tensor
    middle: Vector
    values: Tensor

    @classmethod
    def of(cls, support: PreparedCT, box: _Box, contrast: _Contrast, sample_mm: float) -> _Samples:
        axes = [np.arange(a, b + sample_mm, sample_mm) for a, b in zip(box.low, box.high, strict=True)]
        positions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        positions = positions[support.ct.contains(positions)]
        middle = positions.mean(axis=0)
        device = support.coarse.image.device
        offsets = torch.as_tensor(positions - middle, dtype=torch.float32, device=device)
        return cls(offsets, middle, contrast(support.read_coarse(positions)))


def _refine(
    samples: _Samples, query: PreparedCT, start: AffineMap, contrast: _Contrast, settings: RegistrationSettings
) -> Place:
    """The best map near a start, by gradient descent on its matrix and target."""
    device = samples.values.device
    linear = torch.as_tensor(start.linear, dtype=torch.float32, device=device)
    target = torch.as_tensor(start(samples.middle), dtype=torch.float32, device=device)
    identity = torch.eye(3, device=device)
    best = Place(start, float("inf"))
    with torch.inference_mode(False), torch.enable_grad():
        change = torch.zeros(3, 3, device=device, requires_grad=True)
        shift = torch.zeros(3, device=device, requires_grad=True)
        optimiser = torch.optim.Adam([change, shift], lr=settings.rate)
        for number in range(settings.iterations):
            optimiser.param_groups[0]["lr"] = settings.rate * LAST_RATE ** (number / settings.iterations)
            matrix, goal = linear @ (identity + change), target + SIZE_MM * shift
            cost = _mismatch_at(samples.offsets @ matrix + goal, samples, query, contrast, settings)
            cost = cost + _strain(matrix, settings)
            if cost.item() < best.cost:
                arrays = (part.detach().cpu().numpy().astype(np.float64) for part in (matrix, goal))
                best = Place(AffineMap(samples.middle, *arrays), cost.item())
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
    return best


def _mismatch_under(
    affine: AffineMap, samples: _Samples, query: PreparedCT, contrast: _Contrast, settings: RegistrationSettings
) -> float:
    """1 less the correlation of the images under a map, and what leaving the query costs."""
    offsets = samples.offsets.cpu().numpy().astype(np.float64)
    positions = torch.as_tensor(affine(samples.middle + offsets), dtype=torch.float32, device=samples.values.device)
    return float(_mismatch_at(positions, samples, query, contrast, settings))


def _mismatch_at(
    positions: Tensor, samples: _Samples, query: PreparedCT, contrast: _Contrast, settings: RegistrationSettings
) -> Tensor:
    """The same where the samples lie at these positions (N, 3) of the query, mm."""
    source = query.coarse
    first = source.origin - source.spacing / 2
    last = first + source.spacing * torch.tensor(source.image.shape, dtype=torch.float32, device=first.device)
    values = contrast(source.read(positions[None, None, None])[0, 0, 0, 0])
    # The weight falls to 0 at the query's faces, so that the mismatch does not jump where a sample leaves it.
    inside = ((positions - first) / EDGE_MM).clamp(0, 1) * ((last - positions) / EDGE_MM).clamp(0, 1)
    return _mismatch(samples.values, values, inside.prod(dim=-1), settings)


def _mismatch(own: Tensor, other: Tensor, weight: Tensor, settings: RegistrationSettings) -> Tensor:
    """1 less the weighted correlation, and what leaving the query costs."""
    total = weight.sum().clamp_min(1e-3)
    first, second = own - (weight * own).sum() / total, other - (weight * other).sum() / total
    variances = (weight * first**2).sum() * (weight * second**2).sum()
    correlation = (weight * first * second).sum() / (variances.clamp_min(LEAST_VARIANCE)).sqrt()
    return 1 - correlation + settings.out_of_view * (1 - total / len(own))


def _strain(matrix: Tensor, settings: RegistrationSettings) -> Tensor:
    """What a change of shape and size costs: a turn costs nothing."""
    squared = matrix @ matrix.T
    mean = squared.diagonal().mean()
    shape = ((squared / mean - torch.eye(3, device=matrix.device)) ** 2).sum()
    return settings.stiffness * (shape + mean.log() ** 2)
