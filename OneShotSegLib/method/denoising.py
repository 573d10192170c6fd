"""Multi-level similarity denoising: drops scribbles that arrived on other tissue (Lei et al., section III-C)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.scribbles import ScribblePoints
from OneShotSegLib.networks.batches import in_batches
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.weights import Stage


@dataclass(frozen=True)
class DenoisingSettings:
    """When a propagated scribble is kept.

    Attributes:
        threshold: Least product of the four levels' cosines; -1 keeps all that are in view.
        keep_at_least: Share of a structure's scribbles, the most similar ones, that are kept in any case; the paper: 0.
        points_per_label: Points of each label whose features are computed, None for all; the others take the similarity
            of the nearest of these.
    """

    threshold: float = -1.0
    keep_at_least: float = 0.0
    points_per_label: int | None = 6

    @property
    def decides(self) -> bool:
        """Whether a similarity can drop a scribble; else none is computed."""
        return self.threshold > -1


@dataclass(frozen=True, eq=False)
class Denoised:
    """Which propagated scribbles are kept.

    Attributes:
        similarity: Product of the levels' cosines, in [-1, 1], shape (N,); None where it decides nothing.
        in_view: Whether the point lies within the query's own field of view, shape (N,).
        keep: Whether it is kept, shape (N,).
    """

    similarity: NDArray[np.float32] | None
    in_view: NDArray[np.bool_]
    keep: NDArray[np.bool_]

    def kept_share(self, labels: NDArray[Any], value: int) -> float:
        """Share of a label's points in view that are kept, 0 if none is in view."""
        mine = (labels == value) & self.in_view
        return float(self.keep[mine].mean()) if mine.any() else 0.0


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """What the fine network computes for N patches.

    Attributes:
        latent: Latent positions, shape (N, 3).
        levels: Unit-length decoder features at the centre voxel, for each of the levels 5 to 8, shape (N, channels).
    """

    latent: Tensor
    levels: list[Tensor]


def features_at(stage: Stage, source: PatchSource, positions: Vector) -> PatchFeatures:
    """Latent positions and level features of the patches around mm positions (N, 3)."""
    centres = torch.as_tensor(positions, dtype=torch.float32, device=source.image.device)
    parts = list(in_batches(lambda part: stage.network.describe(source.cut(part, stage.info.patch_size)), centres))
    levels = [F.normalize(torch.cat(level), dim=1) for level in zip(*(part[1] for part in parts), strict=True)]
    return PatchFeatures(torch.cat([part[0] for part in parts]), levels)


def similarity_of(support: PatchFeatures, query: PatchFeatures) -> NDArray[np.float32]:
    """Product over the levels of the cosines between support and query features, shape (N,)."""
    cosines = [(a * b).sum(dim=1) for a, b in zip(support.levels, query.levels, strict=True)]
    return torch.stack(cosines).prod(dim=0).cpu().numpy()


def denoise(
    points: ScribblePoints,
    similarity: NDArray[np.float32] | None,
    query: Volume,
    background: int,
    settings: DenoisingSettings,
) -> Denoised:
    """Decide which propagated scribbles to keep.

    A point outside the query's field of view is never kept. If the background would lose all its points, it keeps those
    in view: without background the structures would fill the volume.

    Args:
        points: Propagated scribbles, N of them.
        similarity: Their similarity to the support, shape (N,); None to keep all that are in view.
        query: The query on its own grid.
        background: Label value of the background stroke.
        settings: When to keep.
    """
    in_view = query.contains(points.positions)
    if similarity is None:
        return Denoised(None, in_view, in_view)
    keep = in_view & (similarity > settings.threshold)
    for value in np.unique(points.labels):
        mine = np.flatnonzero((points.labels == value) & in_view)
        needed = int(np.ceil(settings.keep_at_least * len(mine)))
        if keep[mine].sum() < needed:
            keep[mine[np.argsort(-similarity[mine], kind="stable")[:needed]]] = True
    on_background = points.labels == background
    if not keep[on_background].any():
        keep |= on_background & in_view
    return Denoised(similarity, in_view, keep)


def spread_to_neighbours(values: NDArray[Any], points: ScribblePoints, chosen: NDArray[np.intp]) -> NDArray[Any]:
    """Give every point the value of the nearest chosen point of its label.

    Args:
        values: One value for each chosen point, shape (n,).
        points: All N points, in the support.
        chosen: Indices of the chosen points, shape (n,).

    Returns:
        One value for each point, shape (N,).
    """
    spread = np.empty(len(points), dtype=values.dtype)
    if len(chosen) == len(points):
        spread[chosen] = values
        return spread
    for label in np.unique(points.labels):
        mine = np.flatnonzero(points.labels == label)
        here = np.flatnonzero(points.labels[chosen] == label)
        spread[mine] = values[here[_nearest(points.positions[mine], points.positions[chosen[here]])]]
    return spread


def _nearest(positions: Vector, few: Vector) -> NDArray[np.intp]:
    """Index of the nearest of a few points (n, 3) to each position (N, 3), of equally near ones the first; (N,)."""
    index, least = np.zeros(len(positions), dtype=np.intp), np.full(len(positions), np.inf)
    for number, place in enumerate(few):
        squared = ((positions - place) ** 2).sum(axis=1)
        nearer = squared < least
        index[nearer], least[nearer] = number, squared[nearer]
    return index
