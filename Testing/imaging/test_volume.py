"""The Volume's arithmetic between voxels and the patient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from OneShotSegLib.imaging.volume import Volume

ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
SPACINGS = st.tuples(*[st.floats(0.1, 10)] * 3)
ORIGINS = st.tuples(*[st.floats(-500, 500)] * 3)


def oblique(
    angles: Any = (20, -30, 40), spacing: Any = (3, 0.8, 1.1), origin: Any = (10, -20, 30), shape: Any = (4, 5, 6)
) -> Volume:
    direction = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return Volume.create(np.zeros(shape, np.int16), spacing, origin, direction)


@given(ANGLES, SPACINGS, ORIGINS)
def test_index_and_world_are_each_others_inverse(angles: Any, spacing: Any, origin: Any) -> None:
    volume = oblique(angles, spacing, origin)
    index = np.array([[0, 0, 0], [3, 4, 5], [1.5, -2, 7]])
    np.testing.assert_allclose(volume.to_index(volume.to_world(index)), index, atol=1e-8)


def test_the_first_voxel_lies_at_the_origin_and_steps_follow_the_direction() -> None:
    volume = oblique()
    np.testing.assert_allclose(volume.to_world((0, 0, 0)), volume.origin)
    step = volume.to_world((0, 1, 0)) - volume.origin
    np.testing.assert_allclose(step, volume.direction[:, 1] * 0.8)


def test_arrays_without_three_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 axes"):
        Volume.create(np.zeros((2, 3)))


def test_other_voxels_must_have_the_grids_shape() -> None:
    volume = oblique()
    assert volume.with_array(np.ones(volume.shape)).same_grid(volume)
    with pytest.raises(ValueError, match="shape"):
        volume.with_array(np.zeros((1, 2, 3)))


def test_the_size_in_mm_counts_voxel_edges() -> None:
    np.testing.assert_allclose(oblique().size_mm, (12, 4, 6.6))


@given(ANGLES)
def test_a_volume_contains_its_voxels_to_their_edges_and_no_more(angles: Any) -> None:
    volume = oblique(angles)
    inside = volume.to_world([(-0.49, 0, 0), (3.49, 4.49, 5.49), (2, 2, 2)])
    outside = volume.to_world([(-0.51, 0, 0), (3, 4.51, 5), (2, 2, 5.51)])
    assert volume.contains(inside).all()
    assert not volume.contains(outside).any()


@pytest.mark.parametrize(
    "other",
    [
        oblique(shape=(4, 5, 7)),
        oblique(origin=(10, -20, 30.01)),
        oblique(spacing=(3, 0.8, 1.101)),
        oblique(angles=(20, -30, 40.1)),
        oblique(origin=(float("nan"), 0, 0)),
    ],
    ids=["shape", "origin", "spacing", "direction", "no number"],
)
def test_grids_that_differ_anywhere_are_not_the_same(other: Any) -> None:
    assert oblique().same_grid(oblique())
    assert not oblique().same_grid(other)


def test_grids_that_differ_by_rounding_in_a_file_are_the_same() -> None:
    assert oblique().same_grid(oblique(origin=(10 + 1e-5, -20, 30)))


def test_a_grid_is_described_in_the_order_that_viewers_show() -> None:
    text = Volume.create(np.zeros((4, 5, 6)), (3, 0.8, 1.1), (10, -20, 30)).describe_grid()
    assert text == "6 x 5 x 4 voxels of 1.1 x 0.8 x 3 mm at (30, -20, 10)"
