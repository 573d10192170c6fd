"""Propagation with networks that know the answer, so that its arithmetic is tested and not its training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.propagation import (
    LocatedPlaces,
    PreparedCT,
    locate,
    propagate_from,
    propagate_from_starts,
    start_positions,
)
from OneShotSegLib.networks.checkpoint import PRNetInfo
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.weights import Stage

RANGE = (700.0, 500.0, 500.0)


class Oracle(nn.Module):
    """Reads a patch's position off an image whose intensity is its own x coordinate."""

    def locate(self, patches: torch.Tensor) -> torch.Tensor:
        d, h, w = (n // 2 for n in patches.shape[2:])
        x = patches[:, 0, d, h, w] * 100
        latent = torch.zeros(len(patches), 3)
        latent[:, 2] = x / RANGE[2]
        return latent


@pytest.fixture
def stage() -> Stage:
    return Stage(
        Oracle(),  # type: ignore[arg-type]
        PRNetInfo(
            stage="coarse", base_channels=8, patch_size=(32, 32, 32), spacing=(4.0, 4.0, 4.0), position_range=RANGE
        ),
    )


@pytest.fixture
def ramp() -> Volume:
    """Intensity x / 100 along the last axis, from 20 to 96 mm."""
    grid = Volume.create(np.zeros((20, 20, 20), np.float32), (4, 4, 4), (0, 0, 20))
    x = grid.origin[2] + np.arange(20) * 4
    return grid.with_array(np.broadcast_to(x / 100, grid.shape).astype(np.float32))


def prepared(volume: Volume) -> PreparedCT:
    source = PatchSource.from_volume(volume)
    return PreparedCT(ct=volume, coarse=source, fine=source, fine_volume=volume)


def test_a_pass_leads_to_where_the_patch_looks_alike(stage: Stage, ramp: Volume) -> None:
    source = PatchSource.from_volume(ramp)
    wanted = locate(stage, source, np.array([[40.0, 40, 72]]))
    moved = propagate_from(wanted, source, stage, np.array([[40.0, 40, 60]]))
    # tanh takes a little off: r * tanh(12 / r) is 11.998 mm.
    np.testing.assert_allclose(moved, [[40, 40, 72]], atol=0.05)


@pytest.mark.parametrize("reduce", ["median", "mean"])
def test_the_first_pass_leads_there_from_any_start(stage: Stage, ramp: Volume, reduce: str) -> None:
    source = PatchSource.from_volume(ramp)
    wanted = locate(stage, source, np.array([[40.0, 40, 72]]))
    starts = np.array([[40.0, 40, 32], [40, 40, 52], [40, 40, 80]])
    from_starts = LocatedPlaces(starts, locate(stage, source, starts))
    np.testing.assert_allclose(propagate_from_starts(wanted, stage, from_starts, reduce), [[40, 40, 72]], atol=0.2)


def test_one_lost_start_does_not_move_the_median(stage: Stage, ramp: Volume) -> None:
    source = PatchSource.from_volume(ramp)
    wanted = locate(stage, source, np.array([[40.0, 40, 72]]))
    places = np.array([[40.0, 40, 44], [40, 40, 60], [40, 40, 400]])
    outside = LocatedPlaces(places, locate(stage, source, places))
    assert propagate_from_starts(wanted, stage, outside, "median")[0, 2] == pytest.approx(72, abs=0.2)
    assert propagate_from_starts(wanted, stage, outside, "mean")[0, 2] > 100


def test_starts_spread_over_the_body_and_stay_in_it(ramp: Volume) -> None:
    half = ramp.array.copy()
    half[:, :, :10] = 0
    query = prepared(ramp.with_array(half))
    starts = start_positions(query, 12, over_body=True, seed=0)
    assert starts.shape == (12, 3)
    assert starts[:, 2].min() >= 60
    assert np.ptp(starts[:, 0]) > 50


def test_starts_near_the_centre_are_found_even_if_the_centre_is_air(ramp: Volume) -> None:
    rim = np.zeros_like(ramp.array)
    rim[0] = 0.5
    starts = start_positions(prepared(ramp.with_array(rim)), 5, over_body=False, seed=0)
    assert starts.shape == (5, 3)
    assert (starts[:, 0] == 0).all()
    np.testing.assert_array_equal(starts, start_positions(prepared(ramp.with_array(rim)), 5, over_body=False, seed=0))
