"""A segmentation network over a whole volume: MONAI's sliding window with Gaussian blending."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

Z_AXIS, Y_AXIS = 2, 3  # of (N, C, D, H, W); the x axis is never flipped: left and right are different structures


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
        logits = sliding_window_inference(
            batch.flip(chosen) if chosen else batch,
            tuple(patch_size),
            windows_at_once,
            network,
            overlap=overlap,
            mode="gaussian",
            padding_mode="constant",
        )
        assert isinstance(logits, Tensor)
        part = torch.softmax((logits.flip(chosen) if chosen else logits).float(), dim=1)[0]
        total = part if total is None else total + part
    assert total is not None
    return total / len(axes)


def with_offsets(probabilities: Tensor, offsets: Sequence[float]) -> Tensor:
    """Class probabilities (classes, D, H, W) with the structures' log probabilities lowered; sums are one."""
    if not any(offsets):
        return probabilities
    factors = torch.tensor([0.0, *offsets], device=probabilities.device).neg().exp()
    weighted = probabilities * factors[:, None, None, None]
    return weighted / weighted.sum(dim=0, keepdim=True)
