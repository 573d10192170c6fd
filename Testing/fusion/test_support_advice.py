"""Which CT of a batch would be the best support: one from the middle, shown whole; outliers are told."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from OneShotSegLib.fusion import support_advice
from OneShotSegLib.fusion.support_advice import FEWEST_TO_COMPARE, MISSING, MOST_SPREADS, advise, unusual_height
from OneShotSegLib.imaging.body_profile import BodyProfile
from Testing.helpers.synthetic_bodies import batch, body, profiles


@pytest.fixture(scope="module")
def ordinary() -> list[BodyProfile]:
    return profiles(batch())


def order(given: list[BodyProfile]) -> list[int]:
    """Numbers of the CTs, the best first."""
    found = advise(given)
    return sorted(range(len(given)), key=lambda index: found[index].order)


def test_an_ordinary_batch_has_no_outlier_and_its_middle_is_best(ordinary: list[BodyProfile]) -> None:
    found = advise(ordinary)
    assert not [one.outlier for one in found if one.outlier]
    assert all(one.coverage > 0.85 for one in found)
    # The first and the last are the smallest and the largest.
    assert order(ordinary)[0] not in (0, len(ordinary) - 1)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        ({"size": 1.45}, "more width"),
        ({"fat_mm": 60.0}, "more fat"),
        ({"spine_mm": 70.0}, "more bone"),
        ({"low": -420.0, "high": 420.0}, "840 mm high"),
        ({"low": 20.0}, "180 mm high"),
    ],
)
def test_an_outlier_is_found_and_ranked_last(ordinary: list[BodyProfile], build: dict[str, float], words: str) -> None:
    given = [*ordinary, *profiles([body(**build)])]
    found = advise(given)
    assert words in found[-1].outlier
    assert order(given)[-1] == len(ordinary)
    if "low" not in build:
        assert found[-1].coverage > 0.9
    assert not [one.outlier for one in found[:-1] if one.outlier]


def test_another_region_is_an_outlier_and_does_not_move_the_middle(ordinary: list[BodyProfile]) -> None:
    legs = profiles([body(size=0.4, low=-200 - shift, high=200 - shift) for shift in (0, 10)])
    found = advise([*ordinary, *legs])
    assert all(one.outlier for one in found[-2:])
    alone = advise(ordinary)
    assert [one.distance for one in found[:-2]] == pytest.approx([one.distance for one in alone], abs=0.25)


@pytest.mark.parametrize("cut", [{"low": -110.0}, {"high": 110.0}])
def test_a_ct_that_lacks_a_part_of_the_common_range_is_not_advised(
    ordinary: list[BodyProfile], cut: dict[str, float]
) -> None:
    whole, part = profiles([body(), body(**cut)])
    given = [*ordinary, whole, part]
    found = advise(given)
    assert found[-2].coverage > 0.95
    assert found[-1].coverage == pytest.approx(310 / 400, abs=0.05)
    assert found[-1].distance > found[-2].distance + 0.15 * MISSING
    assert len(given) - 1 not in order(given)[:3]
    assert ("lower" if "low" in cut else "upper") in found[-1].why


def test_the_advice_does_not_depend_on_the_order(ordinary: list[BodyProfile]) -> None:
    given = [*ordinary, *profiles([body(size=1.45), body(low=-110.0), body(size=0.4)])]
    expected = advise(given)
    chance = random.Random(0)
    for _ in range(5):
        shuffled = chance.sample(range(len(given)), len(given))
        found = advise([given[index] for index in shuffled])
        assert found == [expected[index] for index in shuffled]


def test_the_number_of_comparisons_grows_with_the_number_of_cts(
    ordinary: list[BodyProfile], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, calls = support_advice._Middle.place, []

    def counted(self: support_advice._Middle, levels: support_advice.Levels) -> int:
        calls.append(len(levels))
        return place(self, levels)

    monkeypatch.setattr(support_advice._Middle, "place", counted)
    counts = []
    for factor in (1, 2, 4):
        calls.clear()
        advise(ordinary * factor)
        counts.append(len(calls))
    assert counts[1] == 2 * counts[0]
    assert counts[2] == 4 * counts[0]


def test_what_differs_in_no_single_measure_is_not_called_close_to_the_middle(ordinary: list[BodyProfile]) -> None:
    profile = profiles([body()])[0]
    wave = (1 + 0.4 * (-1) ** (np.arange(len(profile.levels)) // 20))[:, None]
    (*_, found) = advise([*ordinary, replace(profile, levels=profile.levels * wave)])
    assert found.distance > 1
    assert "close" not in found.why


def test_of_few_cts_none_is_called_an_outlier() -> None:
    few = [*profiles([body()] * (FEWEST_TO_COMPARE - 2)), *profiles([body(size=1.6, low=-400)])]
    assert not any(one.outlier for one in advise(few))
    (alone,) = advise(few[:1])
    assert (alone.distance, alone.coverage, alone.outlier) == (0, 1, "")


def test_equal_cts_are_equally_good() -> None:
    found = advise(profiles([body()] * 6))
    assert {(one.distance, one.outlier) for one in found} == {(0.0, "")}


def test_two_regions_of_one_size_get_finite_advice() -> None:
    given = profiles([*batch(6), *(body(size=0.4, fat_mm=5 + step) for step in range(6))])
    assert all(0 <= one.distance <= MOST_SPREADS for one in advise(given))


def test_profiles_of_a_single_level_get_advice() -> None:
    given = profiles([body(low=step, high=step + 5) for step in range(0, 30, 5)])
    assert [len(profile.levels) for profile in given] == [1] * 6
    assert all(0 <= one.coverage <= 1 for one in advise(given))


def test_a_height_is_unusual_only_far_from_all_others() -> None:
    heights = [440.0, 450.0, 430.0, 445.0, 425.0]
    assert unusual_height(594, heights) == "its field of view is 594 mm high, most: 440 mm"
    assert unusual_height(290, heights)
    assert not unusual_height(520, heights)
    assert not unusual_height(594, [200, 800, 350, 500, 420, 700])  # where heights differ that much anyway
    assert not unusual_height(594, heights[:4])
