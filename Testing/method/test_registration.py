from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method import pipeline
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.propagation import PreparedCT, PropagatedScribbles, propagate
from OneShotSegLib.method.registration import RegistrationSettings, register
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.weights import Weights
from Testing.helpers.phantom_support import prepared_phantom

SPACING = np.full(3, 6.0)
SHAPE = (50, 44, 48)
MIDDLE = np.array(SHAPE) * SPACING / 2
SETTINGS = RegistrationSettings()
IDENTITY = AffineMap(np.zeros(3), np.eye(3), np.zeros(3))


def prepared(array: np.ndarray) -> PreparedCT:
    volume = Volume.create(array.astype(np.float32), SPACING)
    source = PatchSource.from_volume(volume)
    return PreparedCT(ct=volume, coarse=source, fine=source, fine_volume=volume)


def texture() -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 3.0)
    return np.clip(0.5 + 0.2 * smooth / smooth.std(), 0, 1)


def strokes() -> np.ndarray:
    return MIDDLE + np.random.default_rng(1).uniform(-30, 30, (60, 3))


def moved(array: np.ndarray, affine: AffineMap) -> PreparedCT:
    """The query in which support position x lies at affine(x)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    source = affine.inverse()(index * SPACING) / SPACING
    return prepared(map_coordinates(array, np.moveaxis(source, -1, 0), order=1, mode="constant"))


def errors(found: AffineMap, truth: AffineMap) -> np.ndarray:
    return np.linalg.norm(found(strokes()) - truth(strokes()), axis=1)


def registered(query: PreparedCT, *starts: AffineMap, settings: RegistrationSettings = SETTINGS) -> AffineMap:
    return register(prepared(texture()), strokes(), query, starts, HUWindow(), settings)


TRUTH = AffineMap(
    MIDDLE, np.diag([0.92, 1.08, 1.08]) + 0.03 * np.eye(3)[[1, 2, 0]], MIDDLE + np.array([30.0, -20.0, 40.0])
)


@pytest.mark.parametrize("start", [(), (AffineMap(MIDDLE, np.eye(3), MIDDLE + 90.0),)], ids=["none", "far off"])
def test_the_place_is_found_whatever_the_network_says(start: tuple[AffineMap, ...]) -> None:
    assert errors(registered(moved(texture(), TRUTH), *start), TRUTH).max() < 4.0


def test_a_good_start_is_refined_where_nothing_else_is_searched() -> None:
    near = AffineMap(MIDDLE, TRUTH.linear @ np.diag([1.05, 0.97, 1.0]), TRUTH.target + np.array([8.0, -6.0, 5.0]))
    query = moved(texture(), TRUTH)
    found = registered(query, near, settings=replace(SETTINGS, found=0, enough=2.0))
    assert errors(near, TRUTH).mean() > 8.0
    assert errors(found, TRUTH).mean() < 3.0


def test_a_fit_under_which_the_images_correlate_is_kept_as_it_is() -> None:
    near = AffineMap(MIDDLE, TRUTH.linear, TRUTH.target + np.array([2.0, -2.0, 2.0]))
    far = AffineMap(MIDDLE, TRUTH.linear, TRUTH.target + 40.0)
    query = moved(texture(), TRUTH)
    assert registered(query, far, near) is near
    assert registered(query, far) is not far


def test_a_stiff_map_keeps_its_shape() -> None:
    query = moved(texture(), TRUTH)
    stiff = registered(query, TRUTH, settings=replace(SETTINGS, stiffness=100.0, found=0, enough=2.0))
    stretches = np.linalg.svd(stiff.linear, compute_uv=False)
    assert stretches.max() / stretches.min() < 1.02


def test_a_part_of_the_support_is_found_in_a_short_scan() -> None:
    truth = AffineMap(MIDDLE, np.eye(3), MIDDLE + np.array([-60.0, 0.0, 0.0]))
    short = moved(texture(), truth).ct.array[:20]
    assert errors(registered(prepared(short)), truth).mean() < 6.0


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 40, 40), (3, 3, 3)])
def test_a_scan_without_anything_in_it_gives_a_finite_map(shape: tuple[int, int, int]) -> None:
    found = registered(prepared(np.zeros(shape)), IDENTITY)
    assert np.isfinite(found(strokes())).all()
    assert abs(np.linalg.det(found.linear)) > 0.1


def test_the_same_input_gives_the_same_map() -> None:
    query = moved(texture(), TRUTH)
    first, second = registered(query, IDENTITY), registered(query, IDENTITY)
    np.testing.assert_array_equal(first.linear, second.linear)
    np.testing.assert_array_equal(first.target, second.target)


def test_a_query_that_the_network_misplaces_is_found(phantom_weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    def misplaced(*arguments: Any) -> PropagatedScribbles:
        found = propagate(*arguments)
        affine = replace(found.affine, target=found.affine.target + np.array([63.0, -21.0, 21.0]))
        return replace(found, affine=affine, points=found.points.moved(affine(arguments[0].points.positions)))

    monkeypatch.setattr(pipeline, "propagate", misplaced)
    support = prepared_phantom(phantom_weights)
    painted = support.scribbles.points.positions

    def mm_off(settings: RegistrationSettings) -> float:
        method = replace(DEFAULT, registration=settings, alignment=replace(DEFAULT.alignment, enabled=False))
        query = support.prepared
        found = pipeline.segment_query(support, query.ct, phantom_weights, method, prepared=query)
        return float(np.linalg.norm(found.propagation.points.positions - painted, axis=1).mean())

    assert mm_off(replace(SETTINGS, enabled=False)) > 50.0
    assert mm_off(SETTINGS) < 3.0
