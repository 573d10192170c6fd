"""MIND-SSC descriptors (Heinrich et al., MICCAI 2013), which linear changes of intensity leave as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from OneShotSegLib.method.filters import box_mean, replicated

DESCRIPTOR_RADIUS = 2
"""Voxels along each axis beyond its own that a descriptor depends on."""


def mind_ssc(image: Tensor) -> Tensor:
    """MIND-SSC, the self-similarity context: how similar the patches (3x3x3) of a voxel's six neighbours are, by pairs.

    Args:
        image: Intensities, shape (D, H, W).

    Returns:
        Similarities of the 12 pairs of neighbours that are not opposite, 0-1, shape (12, D, H, W).
    """
    neighbours = [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6) if a // 2 != b // 2]
    padded = replicated(image[None], 1)[0]
    depth, height, width = image.shape
    shifted = [padded[z : z + depth, y : y + height, x : x + width] for z, y, x in neighbours]
    squared = torch.stack([(shifted[a] - shifted[b]) ** 2 for a, b in pairs])
    distance = box_mean(squared)
    distance = distance - distance.amin(dim=0)
    noise = distance.mean(dim=0)
    typical = float(noise.mean()) + 1e-12
    return torch.exp(-distance / noise.clamp(typical * 1e-3, typical * 1e3))
