"""Cutting many patches out of one volume in a single batched gather, on the device where the volume lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from OneShotSegLib.imaging.volume import Volume


@dataclass(frozen=True)
class PatchSource:
    """An axis-aligned volume on a device, from which patches are cut at any position.

    Attributes:
        image: Intensities in 0-1, shape (D, H, W).
        origin: Position of voxel (0, 0, 0), mm [z, y, x], shape (3,).
        spacing: Voxel size of the volume, which is the patches' voxel size too, mm [z, y, x], shape (3,).
    """

    image: Tensor
    origin: Tensor
    spacing: Tensor

    @classmethod
    def from_volume(cls, volume: Volume, device: torch.device | str = "cpu") -> PatchSource:
        """Move an axis-aligned volume with intensities in 0-1 on a device."""
        return cls(
            torch.as_tensor(volume.array, dtype=torch.float32, device=device),
            torch.as_tensor(volume.origin, dtype=torch.float32, device=device),
            torch.as_tensor(volume.spacing, dtype=torch.float32, device=device),
        )

    def to_index(self, positions: Tensor) -> Tensor:
        """Positions (..., 3) in mm to continuous voxel indices (..., 3)."""
        return (positions - self.origin) / self.spacing

    def grid(self, positions: Tensor, size: Sequence[int], linear: Tensor | None = None) -> Tensor:
        """The mm positions of every voxel of patches around the given positions, shape (N, d, h, w, 3).

        Args:
            positions: Where each patch's centre voxel (d//2, h//2, w//2) lies, mm, shape (N, 3).
            size: Voxels of a patch [z, y, x].
            linear: A 3x3 map from patch offsets to patient offsets (rotation and scale); identity if left out.
        """
        axes = [
            (torch.arange(n, device=self.image.device) - n // 2) * step
            for n, step in zip(size, self.spacing, strict=True)
        ]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        if linear is not None:
            offsets = offsets @ linear.T
        return positions[:, None, None, None, :] + offsets

    def read(self, points: Tensor) -> Tensor:
        """Intensities (linear, 0 outside) at mm points (N, d, h, w, 3), shape (N, 1, d, h, w)."""
        extent = torch.tensor(self.image.shape, device=self.image.device, dtype=torch.float32)
        normalised = (2 * self.to_index(points) + 1) / extent - 1
        count = len(points)
        # All patches as one tall patch: the volume is not copied per patch.
        tall = normalised.flip(-1).reshape(1, count * points.shape[1], *points.shape[2:])
        values = F.grid_sample(self.image[None, None], tall, mode="bilinear", padding_mode="zeros", align_corners=False)
        return values.reshape(count, 1, *points.shape[1:4])

    def cut(self, positions: Tensor, size: Sequence[int]) -> Tensor:
        """Patches (N, 1, d, h, w) around mm positions (N, 3); outside the volume they are 0 (air)."""
        if self.image.device.type != "cpu":
            return self.read(self.grid(positions, size))
        # A patch has the volume's voxels: it is a shifted window, a tenth of what reading it voxel by voxel takes.
        patches = torch.empty((len(positions), 1, *size), dtype=self.image.dtype)
        for patch, index in zip(patches, self.to_index(positions).tolist(), strict=True):
            patch[0] = self._window([at - n // 2 for at, n in zip(index, size, strict=True)], size)
        return patches

    def _window(self, first: Sequence[float], size: Sequence[int]) -> Tensor:
        """The intensities (d, h, w) of a window whose first voxel lies at a continuous index; linear, 0 outside."""
        floor = [math.floor(at) for at in first]
        window = torch.zeros([n + 1 for n in size], dtype=self.image.dtype)
        inside = [
            slice(min(max(at, 0), n), min(max(at + k + 1, 0), n))
            for at, n, k in zip(floor, self.image.shape, size, strict=True)
        ]
        there = tuple(slice(max(s.start - at, 0), max(s.stop - at, 0)) for s, at in zip(inside, floor, strict=True))
        window[there] = self.image[tuple(inside)]
        for axis, (at, whole) in enumerate(zip(first, floor, strict=True)):
            near, far = (window.narrow(axis, step, size[axis]) for step in (0, 1))
            window = torch.lerp(near, far, at - whole)
        return window
