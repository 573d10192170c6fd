"""A robust affine map from support to query, fitted to the propagated points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from OneShotSegLib.imaging.volume import Vector

ITERATIONS = 10
RIDGE_MM = 10.0
MOST_PAIRS = 1_000_000  # of points whose distances are held at a time


@dataclass(frozen=True, eq=False)
class AffineMap:
    """x -> (x - centre) @ linear + target; all in mm.

    Attributes:
        centre: Shape (3,).
        linear: Shape (3, 3), applied to row vectors.
        target: Where the centre goes, shape (3,).
    """

    centre: Vector
    linear: Vector
    target: Vector

    def __call__(self, positions: Vector) -> Vector:
        """Positions (..., 3) in the support to positions (..., 3) in the query."""
        return (positions - self.centre) @ self.linear + self.target

    def inverse(self) -> AffineMap:
        """The map from query to support."""
        return AffineMap(self.target, np.linalg.inv(self.linear).astype(np.float64), self.centre)

    def then(self, after: AffineMap) -> AffineMap:
        """One map that does what this one does, then what ``after`` does."""
        return AffineMap(self.centre, self.linear @ after.linear, after(self.target))

    @property
    def volume_change(self) -> float:
        """Volume in the query over volume in the support."""
        return float(abs(np.linalg.det(self.linear)))


def fit_affine(
    source: Vector, target: Vector, scale_mm: float = 8.0, weights: NDArray[Any] | None = None
) -> tuple[AffineMap, NDArray[np.float64]]:
    """Robust affine fit by reweighted least squares, with a ridge towards no change of shape.

    Points whose residual is beyond a few ``scale_mm`` get hardly any weight (Geman-McClure). The ridge keeps the map
    well-posed when the strokes lie in one plane or are few.

    Args:
        source: Points in the support, shape (N, 3), mm.
        target: Where they went, shape (N, 3), mm.
        scale_mm: Residual at which a point's weight has fallen to a quarter.
        weights: Prior weights of the points, shape (N,); 1 by default.

    Returns:
        The map, and each point's final weight in 0-1, shape (N,).
    """
    prior = np.ones(len(source)) if weights is None else np.asarray(weights, dtype=np.float64)
    robust = np.ones(len(source))
    # The scale is lowered to its value step by step, so that a bad first fit cannot exclude good points for good.
    for scale in np.geomspace(max(scale_mm * 6, 50.0), scale_mm, ITERATIONS):
        fitted = _weighted_affine(source, target, prior * robust)
        residual = np.linalg.norm(fitted(source) - target, axis=1)
        robust = 1 / (1 + (residual / scale) ** 2) ** 2
    return _weighted_affine(source, target, prior * robust), robust


def _weighted_affine(source: Vector, target: Vector, weights: NDArray[Any]) -> AffineMap:
    share: Vector = weights / max(float(weights.sum()), 1e-12)
    centre: Vector = share @ source
    goal: Vector = share @ target
    x, y = source - centre, target - goal
    ridge = RIDGE_MM**2 * np.eye(3)
    moment = x.T @ (x * share[:, None]) + ridge
    cross = x.T @ (y * share[:, None]) + ridge
    linear: Vector = np.linalg.solve(moment, cross).astype(np.float64)
    return AffineMap(centre, linear, np.asarray(goal, dtype=np.float64))


def propagate_residuals(
    affine: AffineMap,
    source: Vector,
    target: Vector,
    weights: NDArray[Any],
    positions: Vector,
    width_mm: float,
    strength: float,
) -> Vector:
    """Propagate positions by the affine map and, on top of it, the smoothed residuals of the points around them.

    Args:
        affine: The fit.
        source: Fitted points in the support, shape (N, 3), mm.
        target: Where they went, shape (N, 3), mm.
        weights: Their weights, shape (N,).
        positions: What to propagate, shape (M, 3), mm.
        width_mm: Standard deviation of the Gaussian that smooths the residuals; 0 for the affine map alone.
        strength: Weight of the prior that the residual is 0, in numbers of points.

    Returns:
        Positions in the query, shape (M, 3), mm.
    """
    propagated = affine(positions)
    if width_mm <= 0:
        return propagated
    residuals = target - affine(source)
    at_a_time = max(1, MOST_PAIRS // max(1, len(source)))
    for first in range(0, len(positions), at_a_time):
        part = slice(first, first + at_a_time)
        squared = cdist(positions[part], source, "sqeuclidean")
        kernel = np.exp(-squared / (2 * width_mm**2)) * weights
        propagated[part] += kernel @ residuals / (kernel.sum(axis=1, keepdims=True) + strength)
    return propagated
