from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from OneShotSegLib.method.fitting import fit_affine, propagate_residuals


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-80, 80, (120, 3))


@pytest.fixture
def affine() -> tuple[np.ndarray, np.ndarray]:
    linear = np.eye(3) + np.random.default_rng(1).normal(0, 0.08, (3, 3))
    return linear, np.array([12.0, -30.0, 55.0])


def test_an_exact_affine_map_is_found(points: NDArray[np.float64], affine: Any) -> None:
    linear, shift = affine
    fitted, weights = fit_affine(points, points @ linear + shift)
    # The ridge towards no change of shape costs a few tenths of a mm at the rim.
    np.testing.assert_allclose(fitted(points), points @ linear + shift, atol=1.0)
    assert weights.min() > 0.9


def test_a_third_of_gross_outliers_hardly_moves_the_fit(points: NDArray[np.float64], affine: Any) -> None:
    linear, shift = affine
    target = points @ linear + shift
    broken = target.copy()
    broken[::3] += np.random.default_rng(2).uniform(-150, 150, broken[::3].shape)
    fitted, weights = fit_affine(points, broken)
    assert np.linalg.norm(fitted(points) - target, axis=1).max() < 4
    assert weights[::3].mean() < 0.2 < weights[1::3].mean()


def test_points_in_one_plane_keep_the_scale_across_it(points: NDArray[np.float64]) -> None:
    flat = points * [0, 1, 1]
    fitted, _ = fit_affine(flat, flat * 1.2)
    assert fitted.linear[0, 0] == pytest.approx(1, abs=0.01)


def test_a_single_point_is_moved_by_a_shift() -> None:
    fitted, _ = fit_affine(np.array([[1.0, 2, 3]]), np.array([[5.0, 5, 5]]))
    np.testing.assert_allclose(fitted(np.array([[2.0, 2, 3]])), [[6, 5, 5]], atol=1e-6)


def test_the_inverse_leads_back(points: NDArray[np.float64], affine: Any) -> None:
    linear, shift = affine
    fitted, _ = fit_affine(points, points @ linear + shift)
    np.testing.assert_allclose(fitted.inverse()(fitted(points)), points, atol=1e-9)
    assert fitted.volume_change == pytest.approx(abs(np.linalg.det(fitted.linear)))


def test_smoothed_residuals_follow_a_local_shift_and_fade_away(points: NDArray[np.float64]) -> None:
    target = points.copy()
    near = np.linalg.norm(points, axis=1) < 40
    target[near] += [0, 0, 6]
    fitted, weights = fit_affine(points, target)
    both = np.array([[0.0, 0, 0], [400, 0, 0]])
    moved = propagate_residuals(fitted, points, target, weights, both, width_mm=25, strength=1)
    assert moved[0, 2] - fitted(both)[0, 2] > 0.5
    np.testing.assert_allclose(moved[1], fitted(both)[1], atol=1e-3)
