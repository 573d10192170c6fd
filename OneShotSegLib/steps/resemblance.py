"""Which of several supports resemble a query most: those that one affine map carries there with the least strain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.steps.fitting import fit_affine
from OneShotSegLib.steps.propagation import Landmarks, PreparedCT, PropagationSettings, first_jump, start_positions


def strain_mm(
    landmarks: Landmarks, query: PreparedCT, weights: Weights, settings: PropagationSettings, seed: int = 0
) -> float:
    """Median distance between where the first jump takes each scribble and where the affine fit puts it.

    Args:
        landmarks: The support's side.
        query: The query CT.
        weights: Both stages.
        settings: How the first jump starts.
        seed: Seed of the random starts near the centre.
    """
    starts = start_positions(query, settings.starts, settings.starts_over_body, seed)
    arrived = first_jump(landmarks.coarse, query.coarse, weights.coarse, starts, settings.reduce)
    source = landmarks.points.positions[landmarks.chosen]
    fitted, _ = fit_affine(source, arrived)
    return float(np.median(np.linalg.norm(fitted(source) - arrived, axis=1)))


def most_alike(strains: Sequence[float], count: int) -> list[int]:
    """Indices of the supports with the least strain, at most so many, in the order in which they were given."""
    return sorted(np.argsort(np.asarray(strains), kind="stable")[:count].tolist())
