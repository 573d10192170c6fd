"""Which of several supports resemble a query most: those whose surroundings of the strokes look alike there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.steps.fitting import fit_affine
from OneShotSegLib.steps.propagation import Landmarks, PreparedCT, PropagationSettings, first_jump, start_positions

MARGIN_MM = 30.0
STEP_MM = 6.0


def resemblance(
    support: PreparedCT,
    landmarks: Landmarks,
    query: PreparedCT,
    weights: Weights,
    settings: PropagationSettings,
    seed: int = 0,
) -> float:
    """Correlation of support and query around the support's strokes, after the first jump and its affine fit.

    Args:
        support: The support CT.
        landmarks: Its scribbles.
        query: The query CT.
        weights: Both stages.
        settings: How the first jump starts.
        seed: Seed of the random starts near the centre.

    Returns:
        -1 to 1; 0 where one of the two shows nothing.
    """
    starts = start_positions(query, settings.starts, settings.starts_over_body, seed)
    arrived = first_jump(landmarks.coarse, query.coarse, weights.coarse, starts, settings.reduce)
    fitted, _ = fit_affine(landmarks.points.positions[landmarks.chosen], arrived)
    around = _grid_around(landmarks.points.positions)
    own, there = (_read(ct, positions) for ct, positions in ((support, around), (query, fitted(around))))
    own, there = own - own.mean(), there - there.mean()
    size = float(np.linalg.norm(own) * np.linalg.norm(there))
    return float((own * there).sum() / size) if size > 0 else 0.0


def most_alike(resemblances: Sequence[float], count: int) -> list[int]:
    """Indices of the supports that resemble a query most, at most so many, in the order in which they were given."""
    return sorted(np.argsort(-np.asarray(resemblances), kind="stable")[:count].tolist())


def _grid_around(positions: Vector) -> Vector:
    low, high = positions.min(axis=0) - MARGIN_MM, positions.max(axis=0) + MARGIN_MM
    axes = [np.arange(a, b, STEP_MM) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _read(ct: PreparedCT, positions: Vector) -> np.ndarray:
    points = torch.as_tensor(positions, dtype=torch.float32, device=ct.coarse.image.device)
    return ct.coarse.read(points[None])[0, 0].cpu().numpy().astype(np.float64)
