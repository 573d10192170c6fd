"""PRNet, which predicts a patch's position in the body and reconstructs it (Lei et al., section III-A)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEVELS = (5, 6, 7, 8)
STRIDE = 16
CPU_BATCH = 4  # the maps of more patches at once leave a processor's cache: half the speed


class InstanceNorm(nn.GroupNorm):
    """InstanceNorm3d without affine, as a group for each channel: on a CPU a sixth of the time for the same result."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, affine=False)


class ConvBlock(nn.Module):
    """Conv3d 3x3x3, InstanceNorm3d without affine, ReLU; named as the official code names them."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        convolution = nn.Sequential()
        convolution.add_module("Conv", nn.Conv3d(channels_in, channels_out, 3, padding=1))
        self.model = nn.Sequential(
            OrderedDict(conv1_1=convolution, norm1_1=InstanceNorm(channels_out), relu1_1=nn.ReLU(inplace=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, D, H, W) to (N, channels_out, D, H, W)."""
        found: Tensor = self.model(x)
        return found


class PRNet(nn.Module):
    """Propagation-reconstruction network in the official layout, so that official weights load.

    Args:
        base_channels: Width C of the first level; the bottleneck has 16 C channels.
        patch_size: Voxels of a patch [z, y, x], each a multiple of 16 and one of them over 16 (the bottleneck's
            normalisation needs two voxels).
        official_wiring: Feed level 7 from the first convolution of level 6, and the reconstruction from the first of
            level 8, as the published code does; its weights give its outputs only so. Nothing then trains the second
            convolutions of these levels, which makes their features random projections: not for networks of our own.
    """

    def __init__(self, base_channels: int, patch_size: Sequence[int], official_wiring: bool = False) -> None:
        super().__init__()
        if any(n % STRIDE or n < STRIDE for n in patch_size) or max(patch_size) == STRIDE:
            raise ValueError(f"Expected a patch size in multiples of {STRIDE}, over one; got {tuple(patch_size)}.")
        c = base_channels
        self.base_channels = base_channels
        self.patch_size = tuple(int(n) for n in patch_size)
        self.official_wiring = official_wiring
        self.downsample = nn.MaxPool3d(2, 2)
        self.upsample = nn.Upsample(scale_factor=2, mode="trilinear")
        widths = {
            0: (1, c, c),
            1: (c, c, 2 * c),
            2: (2 * c, 2 * c, 4 * c),
            3: (4 * c, 4 * c, 8 * c),
            4: (8 * c, 8 * c, 16 * c),
            5: (24 * c, 8 * c, 8 * c),
            6: (12 * c, 4 * c, 4 * c),
            7: (6 * c, 2 * c, c),
            8: (2 * c, c, c),
        }
        for level, (first, middle, last) in widths.items():
            self.add_module(f"conv{level}_1", ConvBlock(first, middle))
            self.add_module(f"conv{level}_2", ConvBlock(middle, last))
        self.classification = nn.Sequential(nn.Conv3d(c, 1, 1))
        bottleneck_voxels = math.prod(n // STRIDE for n in self.patch_size)
        self.fc1 = nn.Linear(bottleneck_voxels * 16 * c, 8 * c)
        self.fc2 = nn.Linear(8 * c, 4 * c)
        self.fc3 = nn.Linear(4 * c, 3)

    def encode(self, patches: Tensor) -> list[Tensor]:
        """The five encoder maps, full resolution first, of patches (N, 1, D, H, W)."""
        maps = [self._block(0, patches)]
        for level in (1, 2, 3, 4):
            maps.append(self._block(level, self._halved(maps[-1])))
        return maps

    def _halved(self, x: Tensor) -> Tensor:
        """Max pooling by 2; without gradients by maxima along one axis after the other, in a sixth of the time."""
        if torch.is_grad_enabled():
            found: Tensor = self.downsample(x)
            return found
        x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        x = torch.maximum(x[:, :, :, ::2], x[:, :, :, 1::2])
        return torch.maximum(x[..., ::2], x[..., 1::2])

    def position(self, bottleneck: Tensor) -> Tensor:
        """Latent positions (N, 3) from the bottleneck; only differences between them have a meaning."""
        found: Tensor = self.fc3(self.fc2(self.fc1(bottleneck.flatten(1))))
        return found

    def decode(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The four decoder maps, coarsest (conv5) first, from the encoder's maps."""
        return [second for _, second in self._decoder_pairs(maps)]

    def reconstruct(self, finest: Tensor) -> Tensor:
        """The reconstructed patch in 0-1 (N, 1, D, H, W) from a full-resolution decoder map."""
        return torch.sigmoid(self.classification(finest))

    def rebuild(self, maps: Sequence[Tensor]) -> Tensor:
        """The reconstructed patch in 0-1 (N, 1, D, H, W) from the encoder's maps, in either wiring."""
        first, second = self._decoder_pairs(maps)[-1]
        return self.reconstruct(first if self.official_wiring else second)

    def _decoder_pairs(self, maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The outputs of the first and the second convolution of each decoder level."""
        below, pairs = maps[4], []
        for level, skip in zip(LEVELS, (maps[3], maps[2], maps[1], maps[0]), strict=True):
            first = self.get_submodule(f"conv{level}_1")(torch.cat((self.upsample(below), skip), dim=1))
            second = self.get_submodule(f"conv{level}_2")(first)
            pairs.append((first, second))
            below = first if self.official_wiring and level == 6 else second
        return pairs

    def locate(self, patches: Tensor) -> Tensor:
        """Latent positions (N, 3) of patches (N, 1, D, H, W) by encoder and head alone: a fifth of a full pass."""
        return torch.cat([self.position(self.encode(part)[-1]) for part in _in_parts(patches)])

    def describe(self, patches: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Latent positions (N, 3), and level features, in one pass of patches (N, 1, D, H, W)."""
        positions, levels = [], []
        for part in _in_parts(patches):
            maps = self.encode(part)
            positions.append(self.position(maps[-1]))
            levels.append([centre_voxel(level) for level in self.decode(maps)])
        return torch.cat(positions), [torch.cat(level) for level in zip(*levels, strict=True)]

    def level_features(self, patches: Tensor) -> list[Tensor]:
        """Decoder features at the patches' centre voxel, one (N, channels) tensor for each of the levels 5 to 8."""
        return self.describe(patches)[1]

    def feature_map(self, patches: Tensor) -> Tensor:
        """The finest decoder map (N, C, D, H, W), from which prototypes are taken (section III-D)."""
        return self.decode(self.encode(patches))[-1]

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Latent positions (N, 3) and reconstructions (N, 1, D, H, W)."""
        maps = self.encode(patches)
        return self.position(maps[-1]), self.rebuild(maps)

    def _block(self, level: int, x: Tensor) -> Tensor:
        found: Tensor = self.get_submodule(f"conv{level}_2")(self.get_submodule(f"conv{level}_1")(x))
        return found


def _in_parts(patches: Tensor) -> Sequence[Tensor]:
    """The patches a few at a time on a CPU, all at once elsewhere."""
    return patches.split(CPU_BATCH) if patches.device.type == "cpu" else [patches]


def centre_voxel(features: Tensor) -> Tensor:
    """(N, C, D, H, W) to the (N, C) vectors at voxel (D//2, H//2, W//2)."""
    d, h, w = (n // 2 for n in features.shape[2:])
    return features[:, :, d, h, w]


def relative_position(support: Tensor, query: Tensor, position_range: Tensor) -> Tensor:
    """Offset in mm [z, y, x] that leads from a query patch to a support patch: r * tanh(f(s) - f(q)).

    Args:
        support: Latent positions, (..., 3).
        query: Latent positions, (..., 3).
        position_range: The range r in mm, (3,).
    """
    return position_range * torch.tanh(support - query)
