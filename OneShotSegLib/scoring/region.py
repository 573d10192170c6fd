"""Whether a query shows the part of the body that the support does.

A network that has learnt where in the body a patch lies answers for any patch, and growth along the image finds
something everywhere: without this check an abdomen gets a brainstem. Not in the paper.
"""

from __future__ import annotations

import numpy as np
import torch

from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method.pipeline import Candidate
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.study.quality import CaseQuality

# Measured between both cohorts (docs/decisions/016-region.md): another region is under both limits, a whole scan of the
# same region is over both; of thirds of scans the upper ones are under both, since they are not located.
LEAST_SCORE = 0.37
LEAST_CORRELATION = 0.60
MARGIN_MM = 20.0
STEP_MM = 4.0
TISSUE_LEVEL = 0.05
LEAST_PLACES = 100


def shows_region_of_support(candidate: Candidate, quality: CaseQuality) -> bool:
    """Whether the query shows the support's part of the body, as far as it shows it at all.

    Args:
        candidate: What the support makes of the query.
        quality: Its measures.
    """
    return quality.score >= LEAST_SCORE or correlation_with_support(candidate) >= LEAST_CORRELATION


def correlation_with_support(candidate: Candidate) -> float:
    """Correlation of both CTs around the support's scribbles, where both show tissue, after fit and alignment.

    Returns:
        -1 to 1; -1 where they have hardly any tissue in common.
    """
    support, query = candidate.support.prepared, candidate.prepared
    places = _places_around(candidate.support.scribbles.points.positions)
    arrived = candidate.placement.to_query(places)
    seen = support.ct.contains(places) & query.ct.contains(arrived)
    own, found = _read(support, places[seen]), _read(query, arrived[seen])
    tissue = (own > TISSUE_LEVEL) | (found > TISSUE_LEVEL)
    if tissue.sum() < LEAST_PLACES:
        return -1.0
    own, found = own[tissue] - own[tissue].mean(), found[tissue] - found[tissue].mean()
    size = float(np.linalg.norm(own) * np.linalg.norm(found))
    return float(own @ found) / size if size > 0 else -1.0


def _places_around(positions: Vector) -> Vector:
    """A grid of places in the box of these positions (N, 3) with a margin; shape (M, 3), mm."""
    low, high = positions.min(axis=0) - MARGIN_MM, positions.max(axis=0) + MARGIN_MM
    axes = [np.arange(a, b, STEP_MM) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _read(ct: PreparedCT, positions: Vector) -> Vector:
    """Intensities in 0-1 of a prepared CT at mm positions (N, 3); shape (N,)."""
    places = torch.as_tensor(positions, dtype=torch.float32, device=ct.fine.image.device)
    return ct.fine.read(places[None, None, None])[0, 0, 0, 0].cpu().numpy().astype(np.float64)
