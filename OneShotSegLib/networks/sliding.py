"""A segmentation network over a whole volume: overlapping windows, blended with Gaussian weights.

The windows, their weights and the order of the sums are those of MONAI's `sliding_window_inference`, and so are the
results, to the last bit; without MONAI, which inference does not need for anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

Z_AXIS, Y_AXIS = 2, 3  # of (N, C, D, H, W); the x axis is never flipped: left and right are different structures
SIGMA_SHARE = 0.125
LEAST_WEIGHT = 1e-3


@torch.no_grad()
def predict_probabilities(
    network: nn.Module,
    image: Tensor,
    patch_size: Sequence[int],
    overlap: float = 0.25,
    flips: bool = False,
    windows_at_once: int = 2,
) -> Tensor:
    """Class probabilities of a volume.

    Args:
        network: Gives logits; it is used as it is (call ``eval()`` before).
        image: Intensities in 0-1, shape (D, H, W), on the network's device.
        patch_size: Voxels of a window [z, y, x].
        overlap: Share of a window that the next one covers again, 0 to below 1.
        flips: Average over the flips along y and z; never along x, which would swap left and right.
        windows_at_once: Windows of one forward pass.

    Returns:
        Probabilities, shape (classes, D, H, W), float32, on the same device.
    """
    axes: list[tuple[int, ...]] = [(), (Z_AXIS,), (Y_AXIS,), (Z_AXIS, Y_AXIS)] if flips else [()]
    total: Tensor | None = None
    for chosen in axes:
        batch = image[None, None].float()
        flipped = batch.flip(chosen) if chosen else batch
        logits = _blended(network, flipped, tuple(patch_size), overlap, windows_at_once)
        part = torch.softmax((logits.flip(chosen) if chosen else logits).float(), dim=1)[0]
        total = part if total is None else total + part
    assert total is not None
    return total / len(axes)


def _blended(
    network: nn.Module, image: Tensor, window: tuple[int, ...], overlap: float, windows_at_once: int
) -> Tensor:
    """The weighted mean of the logits of all windows; image of shape (1, 1, D, H, W)."""
    size = image.shape[2:]
    missing = [max(w - s, 0) for w, s in zip(window, size, strict=True)]
    before = [gap // 2 for gap in missing]
    if any(missing):
        pads = [(b, gap - b) for b, gap in zip(before, missing, strict=True)]
        image = functional.pad(image, [side for pair in reversed(pads) for side in pair])
    padded = image.shape[2:]
    places = list(product(*(_starts(s, w, overlap) for s, w in zip(padded, window, strict=True))))
    parts = [_index(place, window) for place in places]
    weight = _gaussian(window, image.device)
    total: Tensor | None = None
    count = torch.zeros((1, 1, *padded), device=image.device)
    for first in range(0, len(parts), windows_at_once):
        some = parts[first : first + windows_at_once]
        logits = network(torch.cat([image[part] for part in some]))
        if total is None:
            total = torch.zeros((1, logits.shape[1], *padded), device=image.device)
        for part, own in zip(some, logits * weight, strict=True):
            total[part] += own[None]
            count[part] += weight
    assert total is not None
    total /= count
    return total[_index(before, size)]


def _index(place: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """A box of a batch of images, all of its channels."""
    return (slice(None), slice(None), *(slice(start, start + s) for start, s in zip(place, size, strict=True)))


def _starts(size: int, window: int, overlap: float) -> list[int]:
    """Where the windows begin along an axis; the last one ends at its end."""
    step = window if window == size else max(int(window * (1 - overlap)), 1)
    starts = [0]
    while starts[-1] + window < size:
        starts.append(min(starts[-1] + step, size - window))
    return starts


def _gaussian(window: Sequence[int], device: torch.device) -> Tensor:
    """The weights of a window's voxels: a Gaussian, 1 at the centre, with a sigma of an eighth of each side."""
    weight = torch.ones((), device=device)
    for size in window:
        x = torch.arange(-(size - 1) / 2, (size - 1) / 2 + 1, device=device)
        weight = weight.unsqueeze(-1) * torch.exp(x**2 / (-2 * (size * SIGMA_SHARE) ** 2))
    return weight.clamp(min=max(float(weight.min()), LEAST_WEIGHT))


def with_offsets(probabilities: Tensor, offsets: Sequence[float]) -> Tensor:
    """Class probabilities (classes, D, H, W) with the structures' log probabilities lowered; sums are one."""
    if not any(offsets):
        return probabilities
    factors = torch.tensor([0.0, *offsets], device=probabilities.device).neg().exp()
    weighted = probabilities * factors[:, None, None, None]
    return weighted / weighted.sum(dim=0, keepdim=True)
