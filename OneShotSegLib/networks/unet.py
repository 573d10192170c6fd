"""The paper's segmentation network: a 3D U-Net in the official layout, so that official weights load."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from OneShotSegLib.networks.prnet import ConvBlock

STRIDE = 8


class UNet(nn.Module):
    """A U-Net of four levels (Lei et al., section III-D); gives logits, not probabilities.

    Args:
        base_channels: Width C; the levels have 2 C, 4 C, 8 C and 16 C channels.
        classes: Output channels, the background included.
        dropout: Share of the bottleneck's values that training drops; 0 for none.
    """

    def __init__(self, base_channels: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        c = base_channels
        self.downsample = nn.MaxPool3d(2, 2)
        self.upsample = nn.Upsample(scale_factor=2, mode="trilinear")
        self.drop = nn.Dropout(dropout)
        widths = {
            1: (1, c, 2 * c),
            2: (2 * c, 2 * c, 4 * c),
            3: (4 * c, 4 * c, 8 * c),
            4: (8 * c, 8 * c, 16 * c),
            5: (24 * c, 8 * c, 8 * c),
            6: (12 * c, 4 * c, 4 * c),
            7: (6 * c, 2 * c, 2 * c),
        }
        for level, (first, middle, last) in widths.items():
            self.add_module(f"conv{level}_1", ConvBlock(first, middle))
            self.add_module(f"conv{level}_2", ConvBlock(middle, last))
        self.classification = nn.Sequential(nn.Conv3d(2 * c, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Intensities (N, 1, D, H, W), each extent a multiple of 8, to logits (N, classes, D, H, W)."""
        first = self._level(1, x)
        second = self._level(2, self.downsample(first))
        third = self._level(3, self.downsample(second))
        deep = self.drop(self._level(4, self.downsample(third)))
        for level, skip in ((5, third), (6, second), (7, first)):
            deep = self._level(level, torch.cat((self.upsample(deep), skip), dim=1))
        found: Tensor = self.classification(deep)
        return found

    def _level(self, level: int, x: Tensor) -> Tensor:
        found: Tensor = self.get_submodule(f"conv{level}_2")(self.get_submodule(f"conv{level}_1")(x))
        return found
