"""Label maps that know where within a voxel a border runs."""

import numpy as np
import pytest

from OneShotSegLib.fusion.label_fusion import WeightedLabels, fuse_labels
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume

COARSE = Volume.create(np.zeros((1, 1, 10)), (2, 2, 2))
FINE = Volume.create(np.zeros((1, 1, 200)), (2, 2, 0.1), (0, 0, -0.95))
WHOLE = (slice(None), slice(None), slice(None))


def wall_at(x: float) -> SoftLabels:
    """Label 1 beyond x mm, label 2 before it: shares as distances from a wall 20 mm wide on both sides tell them."""
    right = np.clip(0.5 + (COARSE.to_world(np.argwhere(np.ones(COARSE.shape)))[:, 2] - x) / 40, 0, 1)
    right = right.reshape(COARSE.shape).astype(np.float32)
    labels = np.where(right > 0.5, 1, 2).astype(np.uint8)
    return SoftLabels(COARSE.with_array(labels), 3 - labels, np.maximum(right, 1 - right))


@pytest.mark.parametrize("x", [8.3, 9.0, 9.9])
def test_a_border_between_voxels_is_read_where_it_is(x: float) -> None:
    read = resample_labels(wall_at(x), FINE).array[0, 0]
    first = FINE.to_world((0, 0, int(np.argmax(read == 1))))[2]
    assert first == pytest.approx(x, abs=0.1)
    hard = resample_labels(wall_at(x).labels, FINE).array[0, 0]
    assert FINE.to_world((0, 0, int(np.argmax(hard == 1))))[2] == pytest.approx(2 * np.ceil(x / 2) - 1, abs=0.1)


def test_a_vote_of_one_reads_the_shares_too() -> None:
    soft = wall_at(8.3)
    read = fuse_labels([WeightedLabels(soft, {1: 0.4, 2: 0.4})], FINE)
    np.testing.assert_array_equal(read.array, resample_labels(soft, FINE).array)


def test_the_shares_of_a_voxel_go_to_its_label_and_its_rival() -> None:
    soft = wall_at(8.3)
    np.testing.assert_allclose(soft.share_of(1, WHOLE) + soft.share_of(2, WHOLE), 1, rtol=1e-6)
    assert not soft.share_of(3, WHOLE).any()


def test_a_label_that_is_left_out_leaves_its_voxels_empty_and_the_others_as_they_were() -> None:
    soft = wall_at(8.3)
    alone = soft.without([2])
    assert set(np.unique(alone.labels.array)) == {0, 1}
    assert not alone.share_of(2, WHOLE).any()
    np.testing.assert_array_equal(alone.share_of(1, WHOLE), soft.share_of(1, WHOLE))
    both, kept = (resample_labels(labels, FINE).array for labels in (soft, alone))
    np.testing.assert_array_equal(kept, np.where(both == 1, 1, 0))
    assert soft.without([]) is soft


def test_hard_labels_have_their_voxels_whole() -> None:
    labels = wall_at(8.3).labels
    hard = SoftLabels.hard(labels)
    np.testing.assert_array_equal(resample_labels(hard, FINE).array, resample_labels(labels, FINE).array)
