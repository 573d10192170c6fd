"""The profile of a body along its axis: the same however a scan is stored, and of the body alone."""

from __future__ import annotations

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.body_profile import CHANNELS, LEVEL_MM, BodyProfile
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.synthetic_bodies import AIR, BONE, FAT, MUSCLE, SPACING, body


def stored(ct: Volume, order: tuple[int, int, int], flips: tuple[int, ...]) -> Volume:
    """The same scan with other axes of the array."""
    array, origin, direction = ct.array, ct.origin.copy(), ct.direction.copy()
    for axis in flips:
        array = np.flip(array, axis)
        origin = origin + direction[:, axis] * ct.spacing[axis] * (ct.shape[axis] - 1)
        direction[:, axis] *= -1
    return Volume.create(array.transpose(order), ct.spacing[list(order)], origin, direction[:, list(order)])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(), (0,), (0, 2)])
def test_the_profile_is_the_same_however_the_scan_is_stored(
    order: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    ct = body()
    profile = BodyProfile.of(stored(ct, order, flips), "ct")
    assert np.allclose(profile.levels, BodyProfile.of(ct, "ct").levels, rtol=1e-5)
    assert profile.height_mm == pytest.approx(400)


@pytest.mark.parametrize("factor", [2, 4])
def test_finer_voxels_give_about_the_same_profile(factor: int) -> None:
    ct = body()
    fine = Volume.create(
        ct.array.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2), ct.spacing / factor, ct.origin, ct.direction
    )
    expected, found = BodyProfile.of(ct, "ct").levels, BodyProfile.of(fine, "ct").levels
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3


def test_thick_slices_are_spread_over_the_levels() -> None:
    ct = body()
    thick = Volume.create(ct.array[::2], ct.spacing * (2, 1, 1), ct.origin)
    expected, found = BodyProfile.of(ct, "ct").levels, BodyProfile.of(thick, "ct").levels
    assert len(found) == len(expected)
    assert np.abs(found - expected).mean(axis=0)[0] < 6


def test_width_depth_and_tissues_are_those_of_the_body() -> None:
    array = np.full((40, 100, 120), AIR, dtype=np.int16)
    array[:, 20:70, 10:110] = FAT  # 50 x 100 cells of 4 mm
    array[:, 30:60, 20:100] = MUSCLE
    array[:, 40:50, 50:60] = BONE
    level = dict(zip(CHANNELS, BodyProfile.of(Volume.create(array, SPACING), "ct").levels[20], strict=True))
    assert (level["width"], level["depth"]) == pytest.approx((400, 200))
    # The corners are rounded by a cell.
    assert level["area"] == pytest.approx((400 * 200) ** 0.5, rel=0.01)
    assert level["bone"] == pytest.approx(100 / 5000, rel=0.01)
    assert level["soft tissue"] == pytest.approx((2400 - 100) / 5000, rel=0.01)
    assert level["fat"] == pytest.approx((5000 - 2400) / 5000, rel=0.01)
    assert level["air"] == 0


def test_a_couch_does_not_count() -> None:
    ct = body()
    array = ct.array.copy()
    array[:, -4:-3] = -100  # a cell thick, over the whole width
    assert np.array_equal(BodyProfile.of(ct.with_array(array), "ct").levels, BodyProfile.of(ct, "ct").levels)


def test_levels_without_a_body_are_left_out_at_the_ends() -> None:
    ct = body()
    array = ct.array.copy()
    array[:10], array[-6:] = AIR, AIR
    profile = BodyProfile.of(ct.with_array(array), "ct")
    assert len(profile.levels) == round(400 / LEVEL_MM) - 16
    assert np.allclose(profile.levels[3:-3], BodyProfile.of(ct, "ct").levels[13:-9], rtol=1e-5)


def test_a_ct_without_a_body_is_named() -> None:
    with pytest.raises(InputError, match=r"^p07: expected a CT of a body, found none"):
        BodyProfile.of(Volume.create(np.full((20, 40, 40), AIR, dtype=np.int16), SPACING), "p07")
