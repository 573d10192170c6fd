"""What to correct first: the doubtful, each of them unlike the ones before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.scoring import suggestion
from OneShotSegLib.scoring.suggestion import choose, suggest
from OneShotSegLib.study.quality import CaseQuality
from Testing.helpers.small_study import middling_quality, write_cts, write_small_study

NAMES = ("good", "bad", "bad_again", "odd", "middling")


def qualities() -> list[CaseQuality]:
    """Two cases that fail in the same way, one that fails in another, and two that are better."""
    return [
        middling_quality("good", 0.9, volume_ml=10.0),
        middling_quality("bad", 0.2, volume_ml=10.0, agreement=0.2, cycle_mm=20.0),
        middling_quality("bad_again", 0.21, volume_ml=10.2, agreement=0.2, cycle_mm=20.0),
        middling_quality("odd", 0.4, volume_ml=90.0, core_dice=0.1, certainty=0.05),
        middling_quality("middling", 0.6, volume_ml=11.0, agreement=0.65),
    ]


def names(places: list[int], known: list[int], count: int) -> list[str]:
    return [suggestion.case for suggestion in choose(qualities(), places, known, count)]


def test_the_most_doubtful_comes_first_and_one_that_fails_alike_after_what_fails_otherwise() -> None:
    assert names([0, 1, 2, 3, 4], [], 2) == ["bad", "odd"]
    order = names([0, 1, 2, 3, 4], [], 5)
    assert order.index("bad_again") > order.index("odd")


def test_what_is_like_a_corrected_case_teaches_less() -> None:
    assert names([2, 3], [1], 1) == ["odd"]


def test_equal_cases_come_in_their_order_and_each_once() -> None:
    same = [middling_quality(f"pt_{k}") for k in range(4)]
    assert [s.case for s in choose(same, range(4), [], 9)] == ["pt_0", "pt_1", "pt_2", "pt_3"]


def test_one_case_and_no_case_are_no_trouble() -> None:
    assert [s.worth for s in choose([middling_quality("only", 0.3)], [0], [], 3)] == [0.7]
    assert choose([], [], [], 3) == []


def test_worth_is_doubt_times_novelty_and_all_are_within_0_and_1() -> None:
    for one in choose(qualities(), range(5), [], 5):
        assert one.worth == pytest.approx(one.doubt * one.novelty, abs=1e-3)
        assert 0 <= min(one.worth, one.novelty) <= max(one.doubt, one.novelty) <= 1


def test_only_what_waits_for_review_is_suggested(tmp_path: Path) -> None:
    cts = write_cts(tmp_path / "ct", NAMES)
    study = write_small_study(
        tmp_path / "study", cts, ("accepted", "pending", "rejected", "edited", "pending"), qualities()
    )
    assert [s.case for s in suggest(study.root, 5)] == ["bad", "middling"]
    with pytest.raises(InputError, match="expected 1 or more cases, found 0"):
        suggest(study.root, 0)


def test_the_command_prints_what_programs_can_read(tmp_path: Path) -> None:
    cts = write_cts(tmp_path / "ct", NAMES)
    study = write_small_study(tmp_path / "study", cts, ("pending",) * 5, qualities())
    command = [sys.executable, "-m", "OneShotSegLib", "suggest", str(study.root), "--count", "2"]
    said = subprocess.run([*command, "--json"], capture_output=True, encoding="utf-8", check=True).stdout
    found = json.loads(said)
    assert [entry["case"] for entry in found] == ["bad", "odd"]
    assert set(found[0]) == {"case", "worth", "doubt", "novelty", "structure"}
    shown = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert "bad" in shown
    assert "odd" in shown


def test_the_order_of_the_measures_table_does_not_matter() -> None:
    shuffled = np.random.default_rng(0).permutation(5)
    again = choose([qualities()[k] for k in shuffled], range(5), [], 3)
    assert [s.case for s in again] == names([0, 1, 2, 3, 4], [], 3)


def test_the_cost_grows_with_the_cases_and_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = suggestion._distances

    def distances(cases: Any, case: Any) -> Any:
        compared.append(len(cases))
        return real(cases, case)

    monkeypatch.setattr(suggestion, "_distances", distances)
    monkeypatch.setattr(suggestion, "MOST_COMPARED", 50)

    def count(cases: int) -> int:
        compared.clear()
        random = np.random.default_rng(0)
        listed = [middling_quality(f"pt_{k}", float(random.random()), volume_ml=float(k)) for k in range(cases)]
        assert len(choose(listed, range(10, cases), range(10), 5)) == 5
        return sum(compared)

    assert count(800) < 2.2 * count(400)
