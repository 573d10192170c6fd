"""The score that needs no reference."""

from dataclasses import replace

import numpy as np
import pytest

from OneShotSegLib.study.quality import CaseQuality, StructureQuality, read_quality, write_quality
from OneShotSegLib.study.scoring import dice, structure_score

GOOD = StructureQuality(
    value=1,
    name="Heart",
    state="found",
    score=0.0,
    similarity=0.9,
    kept=1.0,
    cycle_mm=1.0,
    volume_ml=20.0,
    volume_ratio=1.0,
    in_view=1.0,
    agreement=0.9,
    solidity=0.85,
    certainty=0.8,
)


@pytest.mark.parametrize(
    "worse",
    [
        {"similarity": 0.1},
        {"cycle_mm": 30.0},
        {"volume_ratio": 0.2},
        {"volume_ratio": 5.0},
        {"agreement": 0.1},
        {"solidity": 0.2},
    ],
)
def test_every_worse_measure_lowers_the_score(worse: dict[str, float]) -> None:
    assert structure_score(replace(GOOD, **worse)) < structure_score(GOOD)


def test_the_score_stays_between_0_and_1() -> None:
    awful = replace(GOOD, similarity=0, kept=0, cycle_mm=1e6, volume_ratio=None, agreement=0, solidity=0, certainty=0)
    assert 0 <= structure_score(awful) < 0.2
    assert 0.7 < structure_score(GOOD) <= 1


def test_quality_comes_back_from_disk_as_it_was(tmp_path) -> None:
    quality = CaseQuality("case", 0.8, (GOOD,), {"expand": 1.2}, ("a warning",))
    write_quality(quality, tmp_path / "quality.json")
    assert read_quality(tmp_path / "quality.json") == quality


def test_the_structure_to_look_at_first_is_the_worst() -> None:
    bad = replace(GOOD, value=2, score=0.1)
    assert CaseQuality("case", 0.5, (GOOD.with_score(0.9), bad)).worst == bad


def test_dice_of_two_empty_masks_is_0() -> None:
    empty = np.zeros((2, 2, 2), bool)
    assert dice(empty, empty) == 0
    assert dice(~empty, ~empty) == 1
