"""Random changes of a training volume that keep the relations between its patches exact."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MASK_ROUNDS = 16


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training volumes are changed; one draw is shared by all patches of a volume.

    Attributes:
        rotation_degrees: Greatest rotation about each axis.
        scale: Greatest relative change of size, in common and again per axis at half of it.
        gamma: Greatest relative change of the intensity's exponent.
        shift: Greatest intensity offset, in units of the 0-1 range.
        noise: Greatest standard deviation of the noise, in the same units.
        cut_probability: How often a part of the field of view is taken away, as if the scan ended there.
    """

    rotation_degrees: float = 12.0
    scale: float = 0.15
    gamma: float = 0.25
    shift: float = 0.06
    noise: float = 0.04
    cut_probability: float = 0.3

    def draw_linear(self, generator: torch.Generator) -> Tensor:
        """A random 3x3 map from the changed frame to the patient's: rotation times scales."""
        angles = torch.deg2rad(_symmetric(3, generator) * self.rotation_degrees)
        common = _symmetric(1, generator) * self.scale
        scales = torch.exp(common + _symmetric(3, generator) * self.scale / 2)
        return rotation_matrix(angles) @ torch.diag(scales)

    def change_intensity(self, patches: Tensor, generator: torch.Generator) -> Tensor:
        """Gamma and offset shared by the patches (K, 1, d, h, w) of one volume, noise on each voxel; air stays air."""
        gamma = torch.exp(_symmetric(1, generator) * self.gamma).to(patches.device)
        shift = (_symmetric(1, generator) * self.shift).to(patches.device)
        sigma = (torch.rand(1, generator=generator) * self.noise).to(patches.device)
        # Noise is drawn on the device, from a seed of its own, so that a resumed run sees the same noise.
        seed = int(torch.randint(2**31, (1,), generator=generator))
        noise_source = torch.Generator(patches.device).manual_seed(seed)
        noise = torch.randn(patches.shape, generator=noise_source, device=patches.device)
        tissue = patches > 0
        changed = patches.clamp(min=0) ** gamma + shift + sigma * noise
        return torch.where(tissue, changed, patches).clamp(0, 1)

    def cut_field_of_view(self, patches: Tensor, points: Tensor, generator: torch.Generator) -> Tensor:
        """Set to air what lies beyond a random plane across one axis, mostly z, as where a scan ends.

        Args:
            patches: Intensities, shape (K, 1, d, h, w).
            points: The voxels' mm positions, shape (K, d, h, w, 3).
            generator: Source of randomness.
        """
        if torch.rand(1, generator=generator).item() >= self.cut_probability:
            return patches
        axis = 0
        if torch.rand(1, generator=generator).item() > 0.8:
            axis = int(torch.randint(1, 3, (1,), generator=generator))
        along = points[..., axis]
        low, high = along.min(), along.max()
        at = low + (high - low) * torch.rand(1, generator=generator).to(points.device)
        keep_upper = torch.rand(1, generator=generator).item() < 0.5
        keep = along > at if keep_upper else along < at
        return patches * keep[:, None]


def rotation_matrix(angles: Tensor) -> Tensor:
    """The rotation about z, then y, then x by angles in radians, as a 3x3 matrix on [z, y, x] vectors."""
    result = torch.eye(3)
    for axis, angle in enumerate(angles):
        first, second = [k for k in range(3) if k != axis]
        turn = torch.eye(3)
        turn[first, first] = turn[second, second] = torch.cos(angle)
        turn[first, second] = -torch.sin(angle)
        turn[second, first] = torch.sin(angle)
        result = turn @ result
    return result


def mask_boxes(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Blank 1 to 16 random boxes of a quarter of the edge in each patch: 12 % of it on average (section III-A).

    Args:
        patches: Shape (N, 1, d, h, w).
        generator: Source of randomness.
    """
    count, size = len(patches), patches.shape[2:]
    rounds = torch.randint(1, MASK_ROUNDS + 1, (count, 1), generator=generator)
    used = torch.arange(MASK_ROUNDS)[None] < rounds
    z, y, x = (_intervals(count, n, generator).to(patches.device) for n in size)
    # How many boxes hold a voxel is a product of matrices: slices by boxes, boxes by places in a slice.
    across = (y[..., :, None] & x[..., None, :]).flatten(2).float()
    holding = (z & used[..., None].to(patches.device)).float().transpose(1, 2) @ across
    return patches.masked_fill(holding.reshape(patches.shape) > 0, 0.0)


def _intervals(count: int, length: int, generator: torch.Generator) -> Tensor:
    """Random intervals of a quarter of an axis as booleans (count, rounds, length)."""
    width = length // 4
    start = torch.randint(0, length - width + 1, (count, MASK_ROUNDS, 1), generator=generator)
    at = torch.arange(length)
    return (at >= start) & (at < start + width)


def _symmetric(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * 2 - 1
