"""Descriptors in one machine word each, by compiled loops and by PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from OneShotSegLib.method.descriptors import (
    BITS,
    CHANNELS,
    DESCRIPTOR_RADIUS,
    LEVELS,
    describe,
    describe_by_torch,
    self_similarity,
    unlike,
)

SHAPE = (12, 11, 14)
IN_VIEW = torch.ones(SHAPE, dtype=torch.uint8)


def texture(seed: int = 0) -> torch.Tensor:
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)
    return torch.as_tensor(0.5 + 0.2 * smooth / smooth.std(), dtype=torch.float32)


def levels(image: torch.Tensor) -> torch.Tensor:
    """The level of each similarity, 0 to 5, computed from its definition; shape (12, D, H, W)."""
    distance, noise = self_similarity(image)
    similarity = torch.exp(-distance / noise.clamp(float(noise.mean()) / 1e3, float(noise.mean()) * 1e3))
    return sum((similarity > level).int() for level in LEVELS.tolist())


def test_differing_bits_are_the_sum_of_the_levels_differences() -> None:
    first, second = texture(0), texture(1)
    bits, both = unlike(describe(first, IN_VIEW), describe(second, IN_VIEW))
    expected = (levels(first) - levels(second)).abs().sum(dim=0)
    assert (bits != expected).float().mean() < 1e-3  # a similarity may lie on the border between two levels
    assert both.all()
    assert expected.max() <= CHANNELS * BITS


def test_compiled_descriptors_are_those_of_pytorch() -> None:
    inside = IN_VIEW.clone()
    inside[:, :4] = 0
    bits, _ = unlike(describe(texture(), inside) | torch.iinfo(torch.int64).min, describe_by_torch(texture(), IN_VIEW))
    assert (bits > 0).float().mean() < 1e-3
    views = [words < 0 for words in (describe(texture(), inside), describe_by_torch(texture(), inside))]
    assert torch.equal(*views)
    assert not views[0][:, : 4 + DESCRIPTOR_RADIUS].any()
    assert views[0][:, 4 + DESCRIPTOR_RADIUS :].all()


def test_out_of_view_nothing_differs_and_nothing_counts() -> None:
    inside = IN_VIEW.clone()
    inside[:6] = 0
    bits, both = unlike(describe(texture(0), inside), describe(texture(1), IN_VIEW))
    assert not bits[: 6 + DESCRIPTOR_RADIUS].any()
    assert not both[: 6 + DESCRIPTOR_RADIUS].any()
    assert both[6 + DESCRIPTOR_RADIUS :].all()


def test_descriptors_do_not_change_with_contrast_and_brightness() -> None:
    bits, _ = unlike(describe(texture(), IN_VIEW), describe(0.4 * texture() + 0.3, IN_VIEW))
    assert bits.mean() < 0.1


def test_a_uniform_image_has_one_descriptor() -> None:
    words = describe(torch.full(SHAPE, 0.3), IN_VIEW)
    assert len(torch.unique(words)) == 1
