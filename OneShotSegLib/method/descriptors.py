"""Descriptors that linear changes of intensity leave as they are, each in one machine word.

The self-similarity context (SSC, Heinrich et al., MICCAI 2013) of a voxel is how similar the patches around its six
neighbours are, by pairs: 12 numbers from 0 to 1. Each is rounded to one of six levels and written as so many bits of
five, so that the number of bits in which two words differ is the sum of the levels' differences.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from OneShotSegLib.method import descriptor_kernels as kernels
from OneShotSegLib.method.filters import box_mean, replicated

DESCRIPTOR_RADIUS = 2
"""Voxels along each axis beyond its own that a descriptor depends on."""
CHANNELS, BITS = kernels.CHANNELS, kernels.BITS
NOISE_RANGE = 1e3
LEVELS = (np.arange(BITS) + 1.5) / (BITS + 1)
"""Similarities over which a bit is 1."""
THRESHOLDS = (-np.log(LEVELS)).astype(np.float32)
_TYPICAL_EPSILON = 1e-12


def describe(image: Tensor, inside: Tensor) -> Tensor:
    """The descriptors of an image.

    Args:
        image: Intensities, float32, shape (D, H, W).
        inside: Whether a voxel is in view, uint8 with values 0 and 1, same shape.

    Returns:
        Words, int64, shape (D, H, W): 60 bits of levels, and the highest bit where all that the descriptor depends on
        is in view, as far as the image has it.
    """
    if image.device.type == "cpu":
        return _describe_compiled(image, inside)
    return describe_by_torch(image, inside)


def _describe_compiled(image: Tensor, inside: Tensor) -> Tensor:
    array = np.ascontiguousarray(image.numpy())
    distance = np.empty((array.shape[0], CHANNELS, *array.shape[1:]), np.float32)
    noise = np.empty(array.shape, np.float32)
    kernels.self_similarity(array, distance, noise)
    typical = float(noise.mean()) + _TYPICAL_EPSILON
    in_view = inside.numpy().copy()
    if not in_view.all():
        kernels.shrink(in_view, DESCRIPTOR_RADIUS)
    words = np.empty(array.shape, np.uint64)
    limits = np.array([typical / NOISE_RANGE, typical * NOISE_RANGE], np.float32)
    kernels.write_words(distance, noise, limits, THRESHOLDS, in_view, words)
    return torch.from_numpy(words.view(np.int64))


def describe_by_torch(image: Tensor, inside: Tensor) -> Tensor:
    """The same by PyTorch, on any device."""
    distance, noise = self_similarity(image)
    typical = float(noise.mean()) + _TYPICAL_EPSILON
    scale = noise.clamp(typical / NOISE_RANGE, typical * NOISE_RANGE)
    width = 2 * DESCRIPTOR_RADIUS + 1
    outside = torch.nn.functional.max_pool3d(1 - inside[None].float(), width, stride=1, padding=DESCRIPTOR_RADIUS)[0]
    words = torch.where(outside > 0, 0, torch.iinfo(torch.int64).min)
    for channel in range(CHANNELS):
        for bit, threshold in enumerate(THRESHOLDS.tolist()):
            words |= torch.where(distance[channel] < threshold * scale, 1 << (channel * BITS + bit), 0)
    return words


def self_similarity(image: Tensor) -> tuple[Tensor, Tensor]:
    """How unlike the patches of a voxel's six neighbours are.

    Args:
        image: Intensities, shape (D, H, W).

    Returns:
        Mean squared difference of the patches (3x3x3) of the 12 pairs of neighbours that are not opposite, less that of
        the likest pair, shape (12, D, H, W); and their mean over the pairs, shape (D, H, W).
    """
    neighbours = [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6) if a // 2 != b // 2]
    padded = replicated(image[None], 1)[0]
    depth, height, width = image.shape
    shifted = [padded[z : z + depth, y : y + height, x : x + width] for z, y, x in neighbours]
    distance = box_mean(torch.stack([(shifted[a] - shifted[b]) ** 2 for a, b in pairs]))
    distance = distance - distance.amin(dim=0)
    return distance, distance.mean(dim=0)


def unlike(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """In how many bits words differ, where both are in view, else 0; and where they are; same shape, float32 both."""
    both = (first & second) < 0  # the highest bit
    word = (first ^ second) & ((1 << (CHANNELS * BITS)) - 1)
    word = word - ((word >> 1) & 0x5555555555555555)
    word = (word & 0x3333333333333333) + ((word >> 2) & 0x3333333333333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0F
    count = (word * 0x0101010101010101) >> 56
    return torch.where(both, count, 0).float(), both.float()
