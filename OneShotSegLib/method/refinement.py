"""Self-support prototype refinement of a mask's border (Lei et al., section III-D)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from OneShotSegLib.imaging.boxes import Box, bounding_box, cropped, grown
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.batches import in_batches
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.weights import Stage

MARGIN_MM = 24.0


@dataclass(frozen=True, kw_only=True)
class RefinementSettings:
    """How borders are refined.

    Attributes:
        enabled: Whether they are refined at all.
        inner_mm: Half width of the band around a border that is relabelled.
        outer_mm: Distance from the border at which the rings end from which the prototypes are taken.
        background_prototypes: Number of k-means centres of the background ring.
        batch: Patches that go through the network at once.
    """

    enabled: bool = True
    inner_mm: float = 4.0
    outer_mm: float = 8.0
    background_prototypes: int = 5
    batch: int = 8


def refine(labels: Volume, source: PatchSource, stage: Stage, settings: RefinementSettings, seed: int = 0) -> Volume:
    """Relabel the band around each structure's border by cosine similarity to prototypes.

    Background prototypes are the k-means centres of the ring outside the band, the foreground prototype is the mean of
    the ring inside it. A voxel in the bands of several structures goes to the most similar one.

    Args:
        labels: Axis-aligned label volume, shape (D, H, W).
        source: The CT on the network's working grid.
        stage: The fine network.
        settings: Widths and counts.
        seed: Seed of k-means.
    """
    values = present_labels(labels.array)
    if not settings.enabled or not values:
        return labels
    box = _box_with_margin(labels)
    features = features_on_grid(stage, source, cropped(labels, box), settings.batch)
    part = labels.array[box]
    refined, best = part.copy(), np.full(part.shape, -np.inf, dtype=np.float32)
    for value in values:
        border = _classify_border(part, value, features, labels.spacing, settings, seed)
        if border is None:
            continue
        band, foreground, gain = border
        refined[band & ~foreground & (refined == value)] = 0
        wins = band & foreground & (gain > best) & ((part == 0) | (part == value))
        refined[wins] = value
        best[wins] = gain[wins]
    whole = labels.array.copy()
    whole[box] = refined
    return labels.with_array(whole)


def _classify_border(
    part: NDArray[Any], value: int, features: Tensor, spacing: NDArray[Any], settings: RefinementSettings, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]] | None:
    """Compare a structure's band with its prototypes.

    Returns:
        The band; its voxels that are more similar to the structure than to the background; by how much. All of the
        part's shape (D, H, W). None if too few voxels lie around the structure.
    """
    mask = part == value
    outside = distance_transform_edt(~mask, sampling=spacing)
    inside = distance_transform_edt(mask, sampling=spacing)
    inner, outer = settings.inner_mm, settings.outer_mm
    band = np.where(mask, inside <= inner, outside <= inner)
    far_ring = ~mask & (outside > inner) & (outside <= outer)
    near_ring = mask & (inside > inner) & (inside <= outer)
    if not near_ring.any():
        near_ring = mask & (inside >= inside.max())
    if far_ring.sum() < settings.background_prototypes:
        return None
    background = _prototypes(features[:, torch.from_numpy(far_ring)], settings.background_prototypes, seed)
    foreground = F.normalize(features[:, torch.from_numpy(near_ring)].mean(dim=1), dim=0)
    to_background = torch.einsum("kc,cn->kn", background, features[:, torch.from_numpy(band)]).amax(dim=0)
    to_foreground = foreground @ features[:, torch.from_numpy(band)]
    gain = np.full(part.shape, -np.inf, dtype=np.float32)
    gain[band] = (to_foreground - to_background).numpy()
    return band, gain > 0, gain


def _prototypes(features: Tensor, count: int, seed: int) -> Tensor:
    """Unit-length k-means centres (count, C) of features (C, N)."""
    centres, _ = kmeans2(features.T.double().numpy(), count, minit="++", seed=seed)
    return F.normalize(torch.from_numpy(centres).float(), dim=1)


def features_on_grid(stage: Stage, source: PatchSource, grid: Volume, batch: int) -> Tensor:
    """Unit-length finest decoder features at every voxel of a grid, shape (C, D, H, W), on the CPU.

    Patches half overlap and only the middle half of each is used, where the network has context on all sides.
    """
    size = np.asarray(stage.info.patch_size)
    spacing = source.spacing.cpu().numpy().astype(np.float64)
    step = size // 2
    counts = np.ceil(grid.size_mm / spacing / step).astype(int)
    first = grid.origin - grid.spacing / 2 + spacing / 2
    starts = np.array(np.meshgrid(*[np.arange(n) * s for n, s in zip(counts, step, strict=True)], indexing="ij"))
    starts = starts.reshape(3, -1).T
    centres = torch.as_tensor(first + (starts + size // 2 - step // 2) * spacing, dtype=torch.float32)
    tiled = torch.zeros(stage.network.base_channels, *(counts * step))
    middles = chain.from_iterable(in_batches(lambda part: _middles(stage, source, part), centres, batch))
    for middle, (z, y, x) in zip(middles, starts.tolist(), strict=True):
        tiled[:, z : z + step[0], y : y + step[1], x : x + step[2]] = middle
    tiles = PatchSource(tiled[0], torch.as_tensor(first), torch.as_tensor(spacing))
    return F.normalize(_read_channels(tiled, tiles, grid), dim=0)


def _middles(stage: Stage, source: PatchSource, centres: Tensor) -> Tensor:
    patches = source.cut(centres.to(source.image.device), stage.info.patch_size)
    features = stage.network.feature_map(patches)
    d, h, w = (n // 4 for n in features.shape[2:])
    return features[:, :, d : 3 * d, h : 3 * h, w : 3 * w].float().cpu()


def _read_channels(channels: Tensor, place: PatchSource, grid: Volume) -> Tensor:
    """Channels (C, d, h, w) read linearly at a grid's voxels, shape (C, D, H, W)."""
    axes = []
    for axis, count in enumerate(grid.shape):
        at = torch.as_tensor(grid.origin[axis] + np.arange(count) * grid.spacing[axis])
        index = (at - place.origin[axis]) / place.spacing[axis]
        axes.append(2 * index / max(channels.shape[axis + 1] - 1, 1) - 1)
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flip(-1)[None].float()
    return F.grid_sample(channels[None], points, mode="bilinear", padding_mode="border", align_corners=True)[0]


def _box_with_margin(labels: Volume) -> Box:
    box = bounding_box(labels.array > 0)
    assert box is not None  # there is a label
    return grown(box, np.ceil(MARGIN_MM / labels.spacing), labels.shape)
