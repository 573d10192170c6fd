"""The published way, rebuilt from its description and its code's order of work, to be timed against ours.

Lei et al., IEEE TMI 2024, and github.com/LWHYC/OneShot_WeaklySeg: patches of 48 x 128 x 128 voxels of 3 x 1 x 1 mm, 16
base channels, every pass a full one (encoder, head and decoder). Nothing here is used by the library.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.networks.checkpoint import PRNetInfo
from OneShotSegLib.networks.prnet import PRNet, relative_position

PATCH = (48, 128, 128)
SPACING = (3.0, 1.0, 1.0)
CHANNELS = 16
COARSE = PRNetInfo(
    stage="coarse",
    base_channels=CHANNELS,
    patch_size=PATCH,
    spacing=SPACING,
    position_range=(700.0, 500.0, 500.0),
    official_wiring=True,
)
STARTS = 5
PASSES_A_POINT = 2  # the fine pass and, where that led, the features for denoising
BACKGROUND_STEP = 2  # of the background's scribble voxels every second one is used
ITERATIONS = 2


def passes_of_a_query(structure_voxels: int, background_voxels: int) -> int:
    """Full passes that a query takes: the starts, and two for each scribble voxel in use."""
    points = structure_voxels + -(-background_voxels // BACKGROUND_STEP)
    return STARTS + PASSES_A_POINT * points


def full_pass(network: PRNet, patches: Tensor) -> list[Tensor]:
    """All that the published network computes in every pass: position, four levels of features, reconstruction."""
    with torch.inference_mode():
        maps = network.encode(patches)
        position = network.position(maps[-1])
        levels = network.decode(maps)
        return [position, *levels, network.classification(levels[-1])]


def read_sample(path: Path) -> tuple[NDArray[np.float16], NDArray[np.float64]]:
    """A prepared volume (0-1) from disk as half floats, and its spacing [z, y, x], as the published loader reads it."""
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image).astype(np.float16), np.array(image.GetSpacing()[::-1])


def draw_pair(path: Path, size: tuple[int, ...], near_mm: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """One sample: the volume read anew, two patches on foreground voxels, their relation in mm.

    Args:
        path: The prepared volume.
        size: Voxels of a patch.
        near_mm: The second patch lies within this distance per axis; None for anywhere.
    """
    image, spacing = read_sample(path)
    shape = image.shape

    def foreground(low: list[int], high: list[int]) -> NDArray[np.int64]:
        while True:
            at = np.array([random.randint(a, b) for a, b in zip(low, high, strict=True)])
            if image[tuple(at)] > 1e-4:
                return at

    first = foreground([0, 0, 0], [n - 1 for n in shape])
    low, high = [0, 0, 0], [n - 1 for n in shape]
    if near_mm is not None:
        distance = [int(near_mm / step) for step in spacing]
        low = [max(0, int(p) - r) for p, r in zip(first, distance, strict=True)]
        high = [min(n - 1, int(p) + r) for p, r, n in zip(first, distance, shape, strict=True)]
    second = foreground(low, high)
    tensor = torch.from_numpy(image)
    relation = torch.from_numpy((first - second) * spacing).float()
    return _crop(tensor, first, size), _crop(tensor, second, size), relation


def _crop(image: Tensor, centre: NDArray[np.int64], size: tuple[int, ...]) -> Tensor:
    """A patch (1, d, h, w) around a voxel, 0 outside the volume."""
    low = [int(c) - n // 2 for c, n in zip(centre, size, strict=True)]
    inside = [slice(max(a, 0), min(a + n, m)) for a, n, m in zip(low, size, image.shape, strict=True)]
    pad: list[int] = []
    for a, n, m in reversed(list(zip(low, size, image.shape, strict=True))):
        pad += [max(-a, 0), max(a + n - m, 0)]
    return F.pad(image[tuple(inside)].float(), pad)[None]


def blank(patch: Tensor) -> Tensor:
    """1 to 15 boxes of a quarter of the edge set to 0."""
    masked, size = patch.clone(), patch.shape[1:]
    for _ in range(random.randint(1, 15)):
        at = [random.randint(0, n - n // 4 - 1) for n in size]
        masked[(slice(None), *(slice(a, a + n // 4) for a, n in zip(at, size, strict=True)))] = 0
    return masked


class PublishedTrainer:
    """The published training step: a volume is read per sample, one relation comes from two full passes."""

    def __init__(self, info: PRNetInfo, files: list[Path], batch: int, near_mm: float | None = None) -> None:
        self.info, self.files, self.batch, self.near_mm = info, files, batch, near_mm
        self.network = info.build()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4, weight_decay=1e-4)
        self.range = torch.tensor(info.position_range)

    def train_step(self) -> Tensor:
        """One optimiser step on ``batch`` relations."""
        drawn = [draw_pair(random.choice(self.files), self.info.patch_size, self.near_mm) for _ in range(self.batch)]
        plain = [torch.stack([sample[side] for sample in drawn]) for side in (0, 1)]
        masked = [torch.stack([blank(sample[side]) for sample in drawn]) for side in (0, 1)]
        (first, one), (second, other) = (self.network(patches) for patches in masked)
        rebuilding = F.mse_loss(one, plain[0]) + F.mse_loss(other, plain[1])
        wanted = torch.stack([sample[2] for sample in drawn])
        loss = rebuilding + F.mse_loss(relative_position(first, second, self.range), wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()
