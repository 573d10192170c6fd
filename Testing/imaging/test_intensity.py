"""HU windows, and what cannot be a CT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.intensity import HUWindow, check_ct


@pytest.mark.parametrize(
    ("hu", "level"),
    [(-3000, 0), (-500, 0), (-300, 0.1), (-100, 0.2), (50, 0.5), (200, 0.8), (850, 0.9), (1500, 1), (30000, 1)],
)
def test_the_published_window_is_piecewise_linear_and_clipped(hu: Any, level: Any) -> None:
    assert HUWindow().apply(np.array([hu], np.int16))[0] == pytest.approx(level)


@given(st.lists(st.floats(-5000, 5000), min_size=2, max_size=30))
def test_windows_keep_the_order_of_values_within_zero_and_one(values: list[float]) -> None:
    mapped = HUWindow().apply(np.sort(np.array(values)))
    assert mapped.dtype == np.float32
    assert (np.diff(mapped) >= 0).all()
    assert mapped.min() >= 0
    assert mapped.max() <= 1


@pytest.mark.parametrize(
    ("hu", "level"),
    [
        ((0.0,), (0.0,)),
        ((0.0, 1.0), (0.0, 0.5, 1.0)),
        ((1.0, 0.0), (0.0, 1.0)),
        ((0.0, 0.0), (0.0, 1.0)),
        ((0.0, float("inf")), (0.0, 1.0)),
        ((0.0, 1.0), (0.0, 1.5)),
        (("a", "b"), (0.0, 1.0)),
    ],
)
def test_windows_that_cannot_be_are_refused(hu: Any, level: Any) -> None:
    with pytest.raises(ValueError, match="HU window"):
        HUWindow(hu, level)


def ct() -> np.ndarray:
    return np.linspace(-1000, 1200, 60).reshape(3, 4, 5)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_an_image_with_air_and_tissue_can_be_a_ct(kind: Any) -> None:
    check_ct(ct().astype(kind), "scan")


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.full((3, 4, 5), np.nan), "NaN"),
        (np.where(ct() > 1190, np.inf, ct()), "NaN or infinite"),
        (np.zeros((3, 4, 5)), "one constant value (0)"),
        (np.full((3, 4, 5), -1000), "one constant value (-1000)"),
        (ct() + 1000, "from 0 to 2200"),
        (ct().clip(-400, 100), "from -400 to 100"),
        (ct().clip(-1000, -10), "from -1000 to -10"),
    ],
    ids=["nan", "infinite", "zero", "air", "MR", "no air", "no tissue"],
)
def test_what_cannot_be_a_ct_is_refused_in_one_sentence(array: NDArray[Any], found: str) -> None:
    with pytest.raises(InputError) as caught:
        check_ct(array, "scan.nii.gz")
    assert str(caught.value).startswith("scan.nii.gz: expected a CT in HU")
    assert found in str(caught.value)
