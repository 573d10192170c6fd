"""Support selection: the supports whose surroundings of the strokes look most like the query there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method.fitting import fit_affine
from OneShotSegLib.method.propagation import (
    EncodedScribbles,
    PreparedCT,
    PropagationSettings,
    propagate_from_starts,
    start_positions,
)
from OneShotSegLib.networks.weights import Weights

MARGIN_MM = 30.0
STEP_MM = 6.0


def similarity_to_query(
    support: PreparedCT,
    encoded: EncodedScribbles,
    query: PreparedCT,
    weights: Weights,
    settings: PropagationSettings,
    seed: int = 0,
) -> float:
    """Correlation of support and query around the support's strokes, after the first pass and its affine fit.

    Args:
        support: The support CT.
        encoded: Its scribbles.
        query: The query CT.
        weights: Both stages.
        settings: How the first pass starts.
        seed: Seed of the random starts near the centre.

    Returns:
        -1 to 1; 0 where one of the two shows nothing.
    """
    starts = start_positions(query, settings.starts, settings.starts_over_body, seed)
    arrived = propagate_from_starts(encoded.coarse, query.coarse, weights.coarse, starts, settings.reduce)
    fitted, _ = fit_affine(encoded.points.positions[encoded.chosen], arrived)
    surroundings = _grid_around(encoded.points.positions)
    own, there = (_read(ct, positions) for ct, positions in ((support, surroundings), (query, fitted(surroundings))))
    own, there = own - own.mean(), there - there.mean()
    size = float(np.linalg.norm(own) * np.linalg.norm(there))
    return float((own * there).sum() / size) if size > 0 else 0.0


def most_similar(similarities: Sequence[float], count: int) -> list[int]:
    """Indices of the supports most similar to a query, at most ``count``, in the order in which they were given."""
    return sorted(np.argsort(-np.asarray(similarities), kind="stable")[:count].tolist())


def _grid_around(positions: Vector) -> Vector:
    low, high = positions.min(axis=0) - MARGIN_MM, positions.max(axis=0) + MARGIN_MM
    axes = [np.arange(a, b, STEP_MM) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _read(ct: PreparedCT, positions: Vector) -> np.ndarray:
    points = torch.as_tensor(positions, dtype=torch.float32, device=ct.coarse.image.device)
    return ct.coarse.read(points[None])[0, 0].cpu().numpy().astype(np.float64)
