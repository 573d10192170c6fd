"""Filters on PyTorch volumes whose borders are replicated."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def replicated(channels: Tensor, pad: int) -> Tensor:
    """Channels (C, D, H, W) with their outer voxels repeated ``pad`` times on every side."""
    return F.pad(channels[None], (pad,) * 6, mode="replicate")[0]


def box_mean(channels: Tensor) -> Tensor:
    """The mean over each voxel's 3x3x3 neighbourhood, shape (C, D, H, W)."""
    return F.avg_pool3d(replicated(channels, 1), 3, stride=1)
