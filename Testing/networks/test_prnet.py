"""PRNet against plain functions over its state, in both wirings."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from OneShotSegLib.networks.prnet import PRNet, centre_voxel, relative_position
from Testing.helpers.prnet_reference import official_state, reference

CASES = [(2, (32, 16, 48)), (3, (16, 32, 16)), (4, (48, 32, 32))]


@pytest.fixture(params=[False, True], ids=["own wiring", "official wiring"])
def official_wiring(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.mark.parametrize(("base", "patch"), CASES)
def test_official_state_gives_the_outputs_of_the_described_network(base: int, patch: Any, official_wiring: Any) -> None:
    state = official_state(base, patch)
    network = PRNet(base, patch, official_wiring).eval()
    network.load_state_dict(state)
    patches = torch.rand(2, 1, *patch, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = reference(state, patches, official_wiring)
        latent, rebuilt = network(patches)
        levels = network.level_features(patches)
        finest = network.feature_map(patches)
    torch.testing.assert_close(latent, wanted["latent"], atol=1e-4, rtol=0)
    torch.testing.assert_close(rebuilt, wanted["rebuilt"], atol=1e-4, rtol=0)
    torch.testing.assert_close(finest, wanted["finest"], atol=1e-4, rtol=0)
    for level, features in zip((5, 6, 7, 8), levels, strict=True):
        torch.testing.assert_close(features, wanted[f"level{level}"], atol=1e-4, rtol=0)


def test_the_two_wirings_differ_from_level_seven_on() -> None:
    patch = (32, 32, 16)
    own, official = PRNet(2, patch).eval(), PRNet(2, patch, official_wiring=True).eval()
    own.load_state_dict(official_state(2, patch))
    official.load_state_dict(own.state_dict())
    patches = torch.rand(1, 1, *patch, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        pairs = list(zip(own.level_features(patches), official.level_features(patches), strict=True))
    assert [torch.equal(a, b) for a, b in pairs] == [True, True, False, False]


def test_locating_alone_gives_the_positions_of_a_full_pass() -> None:
    network = PRNet(2, (32, 32, 16)).eval()
    patches = torch.rand(3, 1, 32, 32, 16)
    with torch.inference_mode():
        assert torch.equal(network.locate(patches), network(patches)[0])


def test_every_tensor_of_our_own_wiring_is_trained() -> None:
    network = PRNet(2, (16, 32, 16))
    latent, rebuilt = network(torch.rand(2, 1, 16, 32, 16))
    (latent.square().mean() + rebuilt.square().mean()).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize("patch", [(16, 16, 16), (15, 32, 32), (0, 32, 32), (-16, 32, 32), (32, 32, 40)])
def test_patch_sizes_that_the_network_cannot_halve_four_times_are_refused(patch: Any) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        PRNet(2, patch)


def test_the_centre_voxel_of_an_even_patch_is_the_one_after_the_middle() -> None:
    features = torch.arange(2 * 4 * 4 * 6).reshape(1, 2, 4, 4, 6)
    assert torch.equal(centre_voxel(features), features[:, :, 2, 2, 3])


def test_relative_positions_stay_within_the_range_and_change_sign_with_their_ends() -> None:
    generator = torch.Generator().manual_seed(0)
    support, query = (torch.randn(50, 3, generator=generator) * 5 for _ in range(2))
    reach = torch.tensor([700.0, 500.0, 60.0])
    there, back = relative_position(support, query, reach), relative_position(query, support, reach)
    assert torch.equal(there, -back)
    assert (there.abs() <= reach).all()
    assert torch.equal(torch.sign(there), torch.sign(support - query))


def test_pooling_without_gradients_is_max_pooling() -> None:
    network = PRNet(2, (16, 32, 16))
    maps = torch.rand((2, 3, 8, 6, 4), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        fast = network._halved(maps)
    assert torch.equal(fast, network.downsample(maps))
    assert torch.equal(network._halved(maps), fast)
