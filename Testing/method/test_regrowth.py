"""A stroke in a query's mask: what it changes, and what it must not."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.regrowth import DEFAULT_REGROWTH, ReviewedCT, regrow, stroke_groups
from OneShotSegLib.scoring.overlap import dice

CORD, LIVER, BACKGROUND = 3, 7, 255
Labels = NDArray[np.uint8]


class Scene(NamedTuple):
    """A made CT with a thin and a large structure, and where they are."""

    case: ReviewedCT
    truth: Labels


@pytest.fixture(
    scope="module", params=[(3.0, 1.5, 1.5), (5.0, 4.0, 4.0), (2.0, 0.8, 0.8)], ids=["usual", "coarse", "fine"]
)
def scene(request: pytest.FixtureRequest) -> Scene:
    return make(request.param)


def make(spacing: tuple[float, float, float]) -> Scene:
    """A body of 120 x 160 x 160 mm in air, a bright cord of 5 mm radius, and an ellipsoid of 40 x 35 x 50 mm."""
    shape = np.round(np.array([120, 160, 160]) / spacing).astype(int)
    grid = Volume.create(np.zeros(shape, np.int16), spacing, (-30.0, 12.0, 5.5))
    z, y, x = np.moveaxis(np.moveaxis(np.indices(grid.shape), 0, -1) * grid.spacing, -1, 0)
    truth = np.zeros(grid.shape, np.uint8)
    truth[np.hypot(y - 120, x - 110) < 5.5] = CORD
    truth[((z - 60) / 40) ** 2 + ((y - 70) / 35) ** 2 + ((x - 65) / 50) ** 2 < 1] = LIVER
    hu = np.where(truth == CORD, 130, np.where(truth == LIVER, 90, -20))
    hu = np.where(np.hypot(y - 80, x - 80) < 78, hu, -1000)
    noise = np.random.default_rng(0).normal(0, 8, grid.shape)
    ct = grid.with_array(np.round(hu + noise).astype(np.int16))
    return Scene(ReviewedCT(ct=ct, background=BACKGROUND), truth)


def ball(scene: Scene, centre: tuple[float, float, float], radius: float, flat: bool = False) -> NDArray[np.bool_]:
    """Voxels near a place, mm from the first voxel; on one slice alone if it is to be flat."""
    places = np.moveaxis(np.indices(scene.truth.shape), 0, -1) * scene.case.ct.spacing
    found = np.linalg.norm(places - np.array(centre), axis=-1) <= radius
    if flat:
        on_slice = round(centre[0] / scene.case.ct.spacing[0])
        found &= np.arange(scene.truth.shape[0])[:, None, None] == on_slice
    found[tuple(np.round(np.array(centre) / scene.case.ct.spacing).astype(int))] = True
    return found


def painted(scene: Scene, *strokes: tuple[NDArray[np.bool_], int]) -> Labels:
    found = np.zeros(scene.truth.shape, np.uint8)
    for where, value in strokes:
        found[where] = value
    return found


def after(scene: Scene, mask: Labels, strokes: Labels) -> Labels:
    return regrow(scene.case, mask, strokes, strokes > 0).mask


def test_a_leak_goes_with_one_background_stroke(scene: Scene) -> None:
    leak = ball(scene, (60, 70, 118), 12) & (scene.truth == 0)
    mask = np.where(leak, LIVER, scene.truth).astype(np.uint8)
    found = after(scene, mask, painted(scene, (ball(scene, (60, 70, 122), 4, flat=True) & leak, BACKGROUND)))
    left = (found == LIVER) & leak
    assert left.sum() < 0.25 * leak.sum()
    assert dice(found == LIVER, scene.truth == LIVER) > 0.98


def test_a_structure_that_is_missing_altogether_comes(scene: Scene) -> None:
    strokes = painted(scene, (ball(scene, (60, 70, 65), 14, flat=True), LIVER))
    found = after(scene, np.zeros_like(scene.truth), strokes)
    assert ((found == LIVER) & (scene.truth == LIVER)).sum() > 0.97 * (found == LIVER).sum()
    assert (found == LIVER).sum() > 0.25 * (scene.truth == LIVER).sum()


def test_a_thin_structure_comes_back_where_it_was_lost_and_does_not_spread(scene: Scene) -> None:
    z = np.arange(len(scene.truth))[:, None, None] * scene.case.ct.spacing[0]
    mask = np.where((scene.truth == CORD) & (z > 45) & (z < 75), 0, scene.truth).astype(np.uint8)
    found = after(scene, mask, painted(scene, (ball(scene, (60, 120, 110), 3, flat=True), CORD)))
    assert dice(found == CORD, scene.truth == CORD) > max(0.9, dice(mask == CORD, scene.truth == CORD) + 0.05)


def test_a_stroke_of_one_structure_on_another_takes_from_that_alone(scene: Scene) -> None:
    mask = scene.truth.copy()
    wrong = ball(scene, (60, 112, 108), 15) & (scene.truth != LIVER)
    mask[wrong] = LIVER
    stroke = ball(scene, (60, 119, 110), 3, flat=True) & (scene.truth == CORD) & wrong
    found = after(scene, mask, painted(scene, (stroke, CORD)))
    changed = found != mask
    assert changed.any()
    assert set(np.unique(mask[changed])) == {LIVER}
    assert set(np.unique(found[changed])) == {CORD}


def test_strokes_always_end_with_their_label_and_the_same_ones_again_change_nothing(scene: Scene) -> None:
    strokes = painted(
        scene,
        (ball(scene, (60, 70, 65), 6, flat=True), CORD),
        (ball(scene, (30, 120, 110), 8, flat=True), BACKGROUND),
        (ball(scene, (90, 30, 100), 5), LIVER),
    )
    found = after(scene, scene.truth, strokes)
    wanted = np.where(strokes == BACKGROUND, 0, strokes)
    np.testing.assert_array_equal(found[strokes > 0], wanted[strokes > 0])
    np.testing.assert_array_equal(after(scene, found, strokes), found)


def test_a_new_stroke_leaves_an_older_one_as_it_is(scene: Scene) -> None:
    older = ball(scene, (60, 70, 100), 4, flat=True)
    newer = ball(scene, (60, 70, 85), 6, flat=True) & ~older
    strokes = painted(scene, (older, LIVER), (newer, BACKGROUND))
    found = regrow(scene.case, scene.truth, strokes, newer).mask
    assert (found[older] == LIVER).all()
    assert (found[newer] == 0).all()


@pytest.mark.parametrize("limit", [10.0, 40.0])
def test_nothing_changes_beyond_the_limit(scene: Scene, limit: float) -> None:
    settings = replace(DEFAULT_REGROWTH, limit_mm=limit)
    for value, mask in ((LIVER, np.zeros_like(scene.truth)), (BACKGROUND, scene.truth), (CORD, scene.truth)):
        new = ball(scene, (60, 70, 65), 12, flat=True)
        found = regrow(scene.case, mask, painted(scene, (new, value)), new, settings)
        far = distance_transform_edt(~new, sampling=scene.case.ct.spacing) > limit
        assert (found.mask != mask).any()
        assert not ((found.mask != mask) & far).any()
        assert found.box is not None
        outside = np.ones(mask.shape, bool)
        outside[found.box] = False
        assert not ((found.mask != mask) & outside).any()


def test_a_stroke_on_what_is_right_changes_nothing(scene: Scene) -> None:
    strokes = painted(scene, (ball(scene, (60, 70, 65), 6, flat=True), LIVER))
    np.testing.assert_array_equal(after(scene, scene.truth, strokes), scene.truth)


def test_the_mask_that_is_given_is_not_touched(scene: Scene) -> None:
    mask = scene.truth.copy()
    after(scene, mask, painted(scene, (ball(scene, (60, 70, 65), 6, flat=True), BACKGROUND)))
    np.testing.assert_array_equal(mask, scene.truth)


def test_voxels_that_the_prior_is_sure_of_keep_their_label() -> None:
    """A stroke in a leak without an edge: where the pseudo mask is sure, the structure stays."""
    scene = make((3.0, 1.5, 1.5))
    flat = replace(scene.case, ct=scene.case.ct.with_array(np.zeros(scene.truth.shape, np.int16)))
    stroke = painted(scene, (ball(scene, (60, 70, 111), 3, flat=True), BACKGROUND))
    mask = np.where(ball(scene, (60, 70, 100), 15), LIVER, 0).astype(np.uint8)
    shares = np.full(mask.shape, 0.6, np.float32)
    shares[ball(scene, (60, 70, 95), 8)] = 1
    prior = SoftLabels(flat.ct.with_array(mask), np.zeros_like(mask), shares)
    unsure = regrow(flat, mask, stroke, stroke > 0).mask
    sure = regrow(replace(flat, prior=prior), mask, stroke, stroke > 0).mask
    core = ball(scene, (60, 70, 95), 8)
    assert (sure[core] == LIVER).all()
    assert (sure != unsure).any()


def test_strokes_on_slices_apart_are_groups_of_their_own_and_large_voxels_hold_together() -> None:
    scene = make((5.0, 4.0, 4.0))
    strokes = painted(
        scene, (ball(scene, (60, 70, 65), 12, flat=True), LIVER), (ball(scene, (100, 70, 65), 9, flat=True), LIVER)
    )
    groups = stroke_groups(scene.case.ct, strokes, strokes > 0, DEFAULT_REGROWTH)
    assert len(groups) == 2
    assert sum(len(group.voxels) for group in groups) == (strokes > 0).sum()
    assert len(groups[0].voxels) > len(groups[1].voxels)


def test_a_check_that_raises_ends_it() -> None:
    class EndedError(Exception):
        pass

    def check() -> None:
        raise EndedError

    scene = make((5.0, 4.0, 4.0))
    strokes = painted(scene, (ball(scene, (60, 70, 65), 6, flat=True), BACKGROUND))
    with pytest.raises(EndedError):
        regrow(scene.case, scene.truth, strokes, strokes > 0, check=check)
