"""Support selection: the supports most similar to a query in the surroundings of their strokes or masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.fitting import fit_affine
from OneShotSegLib.method.placement import read_at
from OneShotSegLib.method.propagation import (
    EncodedScribbles,
    PreparedCT,
    PropagationSettings,
    propagate_from_starts,
)
from OneShotSegLib.networks.weights import Weights

MARGIN_MM = 30.0
STEP_MM = 6.0
SAMPLES = 20


def similarity_to_query(
    support: PreparedCT,
    encoded: EncodedScribbles,
    query: PreparedCT,
    weights: Weights,
    settings: PropagationSettings,
    seed: int = 0,
) -> float:
    """Correlation of the intensities around the support's strokes, after the first pass and its affine fit.

    Args:
        support: The support CT.
        encoded: Its scribbles.
        query: The query CT.
        weights: Both stages.
        settings: How the first pass starts.
        seed: Seed of the random starts near the centre.

    Returns:
        -1 to 1; 0 where one of the two is uniform.
    """
    starts = query.starts(weights.coarse, settings.starts, settings.starts_over_body, seed)
    arrived = propagate_from_starts(encoded.coarse, weights.coarse, starts, settings.reduce)
    fitted, _ = fit_affine(encoded.points.positions[encoded.chosen], arrived)
    surroundings = _grid_around(encoded.points.positions)
    first, second = _intensities(support, surroundings), _intensities(query, fitted(surroundings))
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum() / norm) if norm > 0 else 0.0


def most_similar(similarities: Sequence[float], count: int) -> list[int]:
    """Indices of the supports most similar to a query, at most ``count``, in the order in which they were given."""
    return sorted(np.argsort(-np.asarray(similarities), kind="stable")[:count].tolist())


@dataclass(frozen=True, eq=False)
class Signature:
    """A CT around its structures in a few thousand numbers: an index by which thousands of cases are compared.

    Attributes:
        values: Intensities on a lattice that is stretched to the structures' bounding box, of mean 0 and length 1.
    """

    values: NDArray[np.float32]

    @classmethod
    def of(cls, labels: Volume, image: Volume, window: HUWindow | None = None) -> Signature:
        """The signature of a CT.

        Args:
            labels: Its masks, on any grid; values below 1 are unlabelled.
            image: The CT in 0-1, or in HU with the window to apply.
            window: HU to 0-1.
        """
        index = np.argwhere(labels.array > 0)
        where = labels.to_world(index) if len(index) else labels.to_world(np.argwhere(labels.array == 0))
        low, high = where.min(axis=0) - MARGIN_MM / 2, where.max(axis=0) + MARGIN_MM / 2
        axes = [np.linspace(a, b, SAMPLES) for a, b in zip(low, high, strict=True)]
        positions = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
        read = read_at(image, positions)
        values = (read if window is None else window.apply(read)).ravel()
        values = values - values.mean()
        return cls(values / max(float(np.linalg.norm(values)), 1e-6))

    def similarity_to(self, other: Signature) -> float:
        """Correlation with another signature, -1 to 1."""
        return float(self.values @ other.values)


def _grid_around(positions: Vector) -> Vector:
    """Positions (D, H, W, 3) every 6 mm in the box with a margin around positions (N, 3), mm."""
    low, high = positions.min(axis=0) - MARGIN_MM, positions.max(axis=0) + MARGIN_MM
    axes = [np.arange(a, b, STEP_MM) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _intensities(ct: PreparedCT, positions: Vector) -> Vector:
    return ct.read_coarse(positions).cpu().numpy().astype(np.float64)
