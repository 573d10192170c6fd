"""Label fusion of propagated masks: weights by similarity, consensus, growth; in synthetic patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from OneShotSegLib.fusion.local_similarity import LocalSimilarity
from OneShotSegLib.fusion.mask_fusion import PredictedMasks, PropagatedMasks, fuse_masks, grow_consensus
from OneShotSegLib.fusion.share_sums import ShareSums
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.expansion import ExpansionSettings
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.placement import Placement
from OneShotSegLib.method.settings import FusionSettings
from OneShotSegLib.scoring.overlap import dice

SHAPE = (24, 28, 32)
SPACING = (2.0, 2.0, 2.0)
BACKGROUND = 255
SETTINGS, EXPANSION = FusionSettings(), ExpansionSettings()


def ball(centre: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    found: NDArray[np.bool_] = np.linalg.norm(index - centre, axis=-1) <= radius
    return found


def volume(array: NDArray[np.generic], origin: tuple[float, float, float] = (0, 0, 0)) -> Volume:
    return Volume.create(array, SPACING, origin)


def patient(mask: NDArray[np.bool_], seed: int = 0) -> NDArray[np.float32]:
    texture = np.random.default_rng(seed).normal(0, 0.02, SHAPE)
    return np.where(mask, 0.7, 0.4).astype(np.float32) + texture.astype(np.float32)


def shifted(mm: float = 0.0) -> Placement:
    """Support to query: along x."""
    return Placement(affine=AffineMap(np.zeros(3), np.eye(3), np.array([0.0, 0.0, mm])), displacement=None)


def source(mask: NDArray[np.bool_], image: NDArray[np.float32], value: int = 1, mm: float = 0.0) -> PropagatedMasks:
    labels = volume(np.where(mask, value, 0).astype(np.uint8))
    return PropagatedMasks(image=volume(image), labels=labels, values=frozenset({value}), placement=shifted(mm))


def grown(sources: list[PropagatedMasks], image: NDArray[np.float32]) -> NDArray[np.uint8]:
    fused = fuse_masks(sources, volume(image), SETTINGS)
    labels: NDArray[np.uint8] = grow_consensus(fused, volume(image), BACKGROUND, SETTINGS, EXPANSION).labels.array
    return labels


def test_a_mask_comes_where_its_placement_puts_it() -> None:
    own, there = ball((12, 14, 12), 6), ball((12, 14, 17), 6)
    fused = fuse_masks([source(own, patient(own), mm=10.0)], volume(patient(there)), SETTINGS)
    share = np.zeros(SHAPE, dtype=np.float32)
    share[fused.boxes[1]] = fused.shares[1]
    assert np.array_equal(share > 0.5, there)
    assert np.allclose(share[there & ~np.roll(there, 1, axis=2)].max(), 1)


def test_the_border_is_that_of_the_query_not_the_mean_of_the_masks() -> None:
    true = ball((12, 14, 16), 7)
    others = [ball((12, 14, 14), 7), ball((12, 14, 18), 7), ball((12, 12, 16), 7), ball((12, 16, 16), 7)]
    sources = [source(other, patient(true, seed)) for seed, other in enumerate(others)]
    assert dice(grown(sources, patient(true)) == 1, true) > 0.97
    assert max(dice(other, true) for other in others) < 0.9


def test_a_support_that_looks_like_the_query_outweighs_two_that_do_not() -> None:
    true, wrong = ball((12, 14, 10), 5), ball((12, 14, 22), 5)
    image = patient(true)
    unlike = [source(wrong, patient(wrong, seed)) for seed in (1, 2)]
    fused = fuse_masks([source(true, image), *unlike], volume(image), SETTINGS)
    share = np.zeros(SHAPE, dtype=np.float32)
    share[fused.boxes[1]] = fused.shares[1]
    assert share[true].mean() > 0.8
    assert share[wrong & ~true].mean() < 0.35


def test_a_support_without_a_structure_has_no_weight_for_it_unless_it_was_reviewed_for_it() -> None:
    true = ball((12, 14, 16), 6)
    image = patient(true)
    other = source(true, image, value=2)
    having = source(true, image)
    silent = fuse_masks([having, replace(other, labels=volume(np.zeros(SHAPE, np.uint8)))], volume(image), SETTINGS)
    denying = replace(other, values=frozenset({1}), labels=volume(np.zeros(SHAPE, np.uint8)))
    denied = fuse_masks([having, denying], volume(image), SETTINGS)
    assert silent.shares[1].max() == pytest.approx(1, abs=1e-3)
    assert silent.supports[1] == 1
    assert denied.shares[1].max() == pytest.approx(0.5, abs=0.01)
    assert denied.supports[1] == 2


def test_what_lies_outside_a_supports_scan_is_left_to_the_others() -> None:
    true = ball((12, 14, 16), 7)
    image = patient(true)
    half = volume(image[:, :, :16]), volume(true[:, :, :16].astype(np.uint8))
    cut = replace(source(true, image), image=half[0], labels=half[1])
    share = fuse_masks([source(true, image), cut], volume(image), SETTINGS)
    whole = np.zeros(SHAPE, dtype=np.float32)
    whole[share.boxes[1]] = share.shares[1]
    assert whole[true][:].min() > 0.95


def test_strokes_grown_in_the_query_count_by_their_own_weight() -> None:
    own, found = ball((12, 14, 16), 5), ball((12, 14, 16), 7)
    image = patient(found)
    labels = volume(found.astype(np.uint8))
    strokes = replace(source(own, image), weight=1e-9, grown=SoftLabels.hard(labels), grown_weight=1.0)
    fused = fuse_masks([strokes], volume(image), SETTINGS)
    share = np.zeros(SHAPE, dtype=np.float32)
    share[fused.boxes[1]] = fused.shares[1]
    assert np.array_equal(share > 0.5, found)


def test_a_networks_masks_count_by_their_weight_for_what_it_knows() -> None:
    own, found = ball((12, 14, 16), 5), ball((12, 14, 16), 7)
    image = patient(own)
    both = PropagatedMasks(
        image=volume(image),
        labels=volume(np.where(own, 1, np.where(ball((4, 4, 4), 3), 2, 0)).astype(np.uint8)),
        values=frozenset({1, 2}),
        placement=shifted(),
    )
    predicted = PredictedMasks(labels=SoftLabels.hard(volume(found.astype(np.uint8))), values=frozenset({1}))
    only_predicted = found & ~own
    for weight in (1.0, 3.0):
        fused = fuse_masks([both], volume(image), replace(SETTINGS, network_weight=weight), predicted)
        share = np.zeros(SHAPE, dtype=np.float32)
        share[fused.boxes[1]] = fused.shares[1]
        # Next to the border the CTs correlate fully: the support's weight is 1 there.
        assert share[only_predicted].mean() == pytest.approx(weight / (weight + 1), abs=0.05)
        assert fused.shares[2].max() > 0.99
        assert fused.supports == {1: 2, 2: 1}


def test_few_reviewed_masks_leave_a_scribbled_support_its_weight_and_many_share_it() -> None:
    few = SETTINGS.few_masks
    assert [SETTINGS.beside(count) for count in (0, 1, few, 2 * few)] == [1, 1, 1, 0.5]


def test_seeds_ask_for_more_agreement_where_few_supports_agree() -> None:
    shares = [SETTINGS.least_share(count) for count in (1, 2, 4, 100)]
    assert shares[0] == SETTINGS.seeds_over_most
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(SETTINGS.seeds_over, abs=0.01)


def test_sums_hold_structures_where_they_are_and_means_count_only_those_who_know() -> None:
    sums = ShareSums()
    one, two = (slice(0, 2),) * 3, (slice(1, 4),) * 3
    ones = np.ones((6, 6, 6), dtype=np.float32)
    sums.add(ones, frozenset({1}), [(1, one, np.ones((2, 2, 2), np.float32))])
    sums.add(
        3 * ones,
        frozenset({1, 2}),
        [(1, two, np.ones((3, 3, 3), np.float32)), (5, two, np.ones((3, 3, 3), np.float32))],
    )
    boxes, means = sums.means()
    assert boxes == {1: (slice(0, 4),) * 3}
    assert means[1][0, 0, 0] == pytest.approx(0.25)
    assert means[1][1, 1, 1] == pytest.approx(1)
    assert means[1][3, 3, 3] == pytest.approx(0.75)


def test_similarity_is_that_of_structure_not_of_brightness() -> None:
    image = patient(ball((12, 14, 16), 6))
    similarity = LocalSimilarity(image, SPACING, 6.0)
    assert similarity.to(image)[12, 14, 10] == pytest.approx(1, abs=1e-3)
    assert similarity.to(0.5 * image + 0.2)[12, 14, 10] == pytest.approx(1, abs=0.01)
    assert similarity.to(1 - image)[12, 14, 10] == pytest.approx(-1, abs=1e-3)
    assert np.abs(similarity.to(np.full(SHAPE, 0.5, np.float32))).max() < 0.2
