"""What a case costs, in operations: a change that makes it a tenth more costly fails here, on any machine."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("guard")


def test_a_case_costs_no_more_than_before() -> None:
    """Where it is meant to cost more: ``python Testing/benchmarks/guard.py --renew``, and say why."""
    command = [sys.executable, str(BENCHMARKS / "guard.py")]
    done = subprocess.run(command, cwd=BENCHMARKS.parents[1], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_tenth_more_is_seen_and_less_is_not(guard: ModuleType) -> None:
    before = {"align": {"GFLOP": 10.0, "block_sums": 1000}}
    assert guard.what_rose(before, {"align": {"GFLOP": 10.9, "block_sums": 500}}) == []
    assert len(guard.what_rose(before, {"align": {"GFLOP": 11.1, "block_sums": 1101}})) == 2


def test_what_was_not_there_before_is_seen(guard: ModuleType) -> None:
    assert guard.what_rose({"align": {}}, {"align": {"GFLOP": 1.0}, "denoise": {"GFLOP": 0.0}})
    assert guard.what_rose({}, {"denoise": {"GFLOP": 0.1}})


def test_the_stored_counts_are_of_all_that_is_counted(guard: ModuleType) -> None:
    stored = json.loads(guard.STORED.read_text())
    assert {"supports", "propagate", "align", "expand", "place", "fuse"} <= set(stored)
    counted = {name for figures in stored.values() for name in figures}
    assert {name for _, name in guard.ELEMENTS} <= counted
    assert {"GFLOP", "GB"} <= counted
    assert stored["place"]["reads of the corrected case"] == 1
