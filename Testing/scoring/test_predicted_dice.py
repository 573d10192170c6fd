"""The Dice to expect of a structure, from its measures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from OneShotSegLib.scoring import predicted_dice
from OneShotSegLib.scoring.predicted_dice import COEFFICIENTS, FEATURES, features_of, predict_dice
from OneShotSegLib.study.quality import StructureQuality

GOOD = StructureQuality(
    value=1,
    name="Mandible",
    state="found",
    score=0.0,
    consensus=0.8,
    local_correlation=0.8,
    core_dice=0.7,
    agreement=0.7,
    certainty=0.7,
)
SHARE = st.floats(0, 1)


def test_every_feature_has_a_coefficient_and_a_number() -> None:
    assert len(FEATURES) == len(COEFFICIENTS) == len(features_of(GOOD))
    assert len(predicted_dice.LEVELS) == len(predicted_dice.ERRORS_LOW) == len(predicted_dice.ERRORS_HIGH)


def test_what_lies_where_it_was_looked_for_is_expected_to_be_better() -> None:
    assert predict_dice(GOOD).expected > predict_dice(replace(GOOD, local_correlation=0.3)).expected + 0.1
    assert predict_dice(GOOD).expected > predict_dice(replace(GOOD, consensus=0.3)).expected
    assert predict_dice(GOOD).expected > predict_dice(replace(GOOD, certainty=0.2, agreement=0.2)).expected + 0.05
    assert predict_dice(replace(GOOD, core_dice=0.2)).expected < predict_dice(GOOD).expected


def test_what_is_not_known_is_no_error() -> None:
    blank = StructureQuality(value=1, name="Mandible", state="found", score=0.0)
    assert 0 < predict_dice(blank).expected < predict_dice(GOOD).expected


def test_a_mask_in_another_place_is_expected_to_be_of_no_use() -> None:
    """What a mask measures that grew well where nothing of the structure is."""
    lost = replace(GOOD, local_correlation=0.15, consensus=0.5, certainty=0.4, agreement=0.3)
    assert predict_dice(lost).expected < 0.4


@given(SHARE, SHARE, SHARE, SHARE)
def test_the_interval_holds_the_prediction_and_stays_within_0_and_1(
    correlation: float, core: float, agreement: float, certainty: float
) -> None:
    measures = replace(GOOD, local_correlation=correlation, core_dice=core, agreement=agreement, certainty=certainty)
    found = predict_dice(measures)
    assert 0 <= found.low <= found.expected <= found.high <= 1


def test_the_prediction_of_a_usual_structure_is_a_usual_dice() -> None:
    assert predict_dice(GOOD).expected == pytest.approx(0.8, abs=0.15)
