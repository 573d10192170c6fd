"""Sliding windows cover a volume, and blend as MONAI's do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from OneShotSegLib.networks.sliding import _blended, _starts, predict_probabilities


def some_network() -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    network = nn.Conv3d(1, 3, 3, padding=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network.eval()


def some_image(*size: int) -> Tensor:
    return torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("size", "window", "overlap", "expected"),
    [
        (16, 16, 0.25, [0]),
        (20, 16, 0.25, [0, 4]),
        (40, 16, 0.25, [0, 12, 24]),
        (41, 16, 0.25, [0, 12, 24, 25]),
        (8, 4, 0.9, [0, 1, 2, 3, 4]),
        (32, 16, 0.0, [0, 16]),
    ],
)
def test_windows_begin_at_equal_steps_and_the_last_one_ends_at_the_end(
    size: int, window: int, overlap: float, expected: list[int]
) -> None:
    assert _starts(size, window, overlap) == expected


@pytest.mark.parametrize("size", [(16, 16, 16), (21, 30, 19), (9, 20, 33), (5, 6, 7)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_the_blend_is_that_of_monai_to_the_last_bit(size: tuple[int, int, int], overlap: float) -> None:
    inferers = pytest.importorskip("monai.inferers")
    network, image, window = some_network(), some_image(*size), (16, 12, 8)
    with torch.no_grad():
        ours = _blended(network, image, window, overlap, 2)
        theirs = inferers.sliding_window_inference(
            image, window, 2, network, overlap=overlap, mode="gaussian", padding_mode="constant"
        )
    assert ours.shape == theirs.shape
    assert torch.equal(ours, theirs)


class Same(nn.Module):
    """Gives its input back, as logits of two classes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(x), x], dim=1)


def test_what_does_not_depend_on_the_window_is_the_same_with_many_windows() -> None:
    image = some_image(20, 24, 28)[0, 0]
    many = predict_probabilities(Same(), image, (8, 8, 8), flips=True)
    assert torch.allclose(many[1], torch.sigmoid(image), atol=1e-6)
    assert torch.allclose(many.sum(dim=0), torch.ones_like(image), atol=1e-6)
