"""PRNet once more, as plain functions over a state by its official names: what the networks are tested against."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CONVOLUTION = "conv{}.model.conv1_1.Conv"


def official_state(base: int, patch: tuple[int, int, int], seed: int = 0) -> dict[str, Tensor]:
    """Random tensors by the official names and shapes."""
    generator = torch.Generator().manual_seed(seed)
    b = base
    widths = {
        "0_1": (1, b),
        "0_2": (b, b),
        "1_1": (b, b),
        "1_2": (b, 2 * b),
        "2_1": (2 * b, 2 * b),
        "2_2": (2 * b, 4 * b),
        "3_1": (4 * b, 4 * b),
        "3_2": (4 * b, 8 * b),
        "4_1": (8 * b, 8 * b),
        "4_2": (8 * b, 16 * b),
        "5_1": (24 * b, 8 * b),
        "5_2": (8 * b, 8 * b),
        "6_1": (12 * b, 4 * b),
        "6_2": (4 * b, 4 * b),
        "7_1": (6 * b, 2 * b),
        "7_2": (2 * b, b),
        "8_1": (2 * b, b),
        "8_2": (b, b),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (first, last) in widths.items():
        shapes[CONVOLUTION.format(name) + ".weight"] = (last, first, 3, 3, 3)
        shapes[CONVOLUTION.format(name) + ".bias"] = (last,)
    shapes |= {"classification.0.weight": (1, b, 1, 1, 1), "classification.0.bias": (1,)}
    flat = math.prod(patch) // 4096 * 16 * b
    for name, (first, last) in {"fc1": (flat, 8 * b), "fc2": (8 * b, 4 * b), "fc3": (4 * b, 3)}.items():
        shapes |= {f"{name}.weight": (last, first), f"{name}.bias": (last,)}
    return {
        name: (torch.rand(shape, generator=generator) * 2 - 1) / math.sqrt(math.prod(shape[1:]) or 1)
        for name, shape in shapes.items()
    }


def reference(state: dict[str, Tensor], patches: Tensor, as_published: bool) -> dict[str, Tensor]:
    """Latent positions, centre features of levels 5 to 8, the finest map and the reconstruction of patches.

    Args:
        state: Tensors by their official names.
        patches: (N, 1, D, H, W).
        as_published: The published code's wiring: level 7 reads the first convolution of level 6, the reconstruction
            the first of level 8.
    """

    def block(name: str, x: Tensor) -> Tensor:
        key = CONVOLUTION.format(name)
        return F.relu(F.instance_norm(F.conv3d(x, state[key + ".weight"], state[key + ".bias"], padding=1)))

    def up(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)

    skips, x = [], patches
    for level in range(5):
        x = block(f"{level}_2", block(f"{level}_1", x if level == 0 else F.max_pool3d(x, 2)))
        skips.append(x)
    latent = x.flatten(1)
    for name in ("fc1", "fc2", "fc3"):
        latent = latent @ state[f"{name}.weight"].T + state[f"{name}.bias"]
    five = block("5_2", block("5_1", torch.cat([up(x), skips[3]], 1)))
    six_first = block("6_1", torch.cat([up(five), skips[2]], 1))
    six = block("6_2", six_first)
    seven = block("7_2", block("7_1", torch.cat([up(six_first if as_published else six), skips[1]], 1)))
    eight_first = block("8_1", torch.cat([up(seven), skips[0]], 1))
    eight = block("8_2", eight_first)
    seen = eight_first if as_published else eight
    rebuilt = torch.sigmoid(F.conv3d(seen, state["classification.0.weight"], state["classification.0.bias"]))
    levels = {f"level{n}": centre(x) for n, x in ((5, five), (6, six), (7, seven), (8, eight))}
    return {"latent": latent, "finest": eight, "rebuilt": rebuilt, **levels}


def centre(x: Tensor) -> Tensor:
    return x[:, :, x.shape[2] // 2, x.shape[3] // 2, x.shape[4] // 2]
