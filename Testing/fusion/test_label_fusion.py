import numpy as np

from OneShotSegLib.fusion.label_fusion import WeightedLabels, fuse_labels
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.volume import Volume

GRID = Volume.create(np.zeros((6, 20, 20), np.uint8), (2, 1, 1))


def block(start: int, stop: int, value: int = 1) -> Volume:
    array = np.zeros(GRID.shape, np.uint8)
    array[1:5, 4:16, start:stop] = value
    return GRID.with_array(array)


def test_a_single_candidate_is_the_label_map_itself() -> None:
    labels = block(4, 12)
    np.testing.assert_array_equal(fuse_labels([WeightedLabels(labels, {1: 0.3})], GRID).array, labels.array)
    finer = Volume.create(np.zeros((12, 40, 40), np.uint8), (1, 0.5, 0.5))
    expected = resample_labels(labels, finer, smooth_mm=1.0)
    np.testing.assert_array_equal(
        fuse_labels([WeightedLabels(labels, {1: 0.3})], finer, smooth_mm=1.0).array, expected.array
    )


def test_two_of_three_make_the_majority() -> None:
    candidates = [WeightedLabels(labels, {1: 1.0}) for labels in (block(4, 12), block(4, 12), block(9, 17))]
    np.testing.assert_array_equal(fuse_labels(candidates, GRID).array, block(4, 12).array)


def test_who_counts_more_wins_alone() -> None:
    candidates = [
        WeightedLabels(block(4, 12), {1: 0.9}),
        WeightedLabels(block(9, 17), {1: 0.2}),
        WeightedLabels(block(9, 17), {1: 0.2}),
    ]
    np.testing.assert_array_equal(fuse_labels(candidates, GRID).array, block(4, 12).array)


def test_who_does_not_know_a_label_has_no_vote_on_it() -> None:
    array = block(4, 8).array + block(10, 14, value=2).array
    candidates = [WeightedLabels(GRID.with_array(array), {1: 1.0, 2: 0.5}), WeightedLabels(block(4, 8), {1: 1.0})]
    np.testing.assert_array_equal(fuse_labels(candidates, GRID).array, array)


def test_a_label_without_any_say_is_left_out() -> None:
    assert not fuse_labels([WeightedLabels(block(4, 8), {})], GRID).array.any()


def test_candidates_may_lie_on_grids_of_their_own() -> None:
    shifted = Volume(
        array=block(4, 12).array,
        spacing=GRID.spacing,
        origin=GRID.origin + np.array([0, 0, 2]),
        direction=GRID.direction,
    )
    read = fuse_labels([WeightedLabels(shifted, {1: 1.0}), WeightedLabels(block(6, 14), {1: 1.0})], GRID)
    np.testing.assert_array_equal(read.array, block(6, 14).array)
