"""The curves of a training: a table that can be read back, a picture, and TensorBoard where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from OneShotSegLib.training.prnet.curves import Check, Curves, has_tensorboard, read_checks


def check_at(step: int) -> Check:
    return Check(
        step=step,
        seconds=1.5 * step,
        cpu_seconds=3.0 * step,
        loss=2.0,
        position_loss=1.5,
        reconstruction_loss=0.5,
        error_mm=30.0 - step,
        best_mm=30.0 - step,
        learning_rate=1e-3,
    )


def test_the_table_can_be_read_back(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "coarse.safetensors")
    for step in (0, 5, 10):
        curves.add(check_at(step))
    curves.close()
    assert read_checks(tmp_path / "coarse.curve.csv") == [check_at(step) for step in (0, 5, 10)]
    with Image.open(tmp_path / "coarse.curve.png") as picture:
        assert picture.width > picture.height > 100


def test_a_resumed_training_forgets_the_checks_that_it_will_do_again(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "coarse.safetensors")
    for step in (0, 5, 10):
        curves.add(check_at(step))
    resumed = Curves(tmp_path / "coarse.safetensors", step=5)
    assert [check.step for check in resumed.checks] == [0, 5]


def test_a_training_from_the_start_begins_a_new_table(tmp_path: Path) -> None:
    Curves(tmp_path / "coarse.safetensors").add(check_at(5))
    assert not Curves(tmp_path / "coarse.safetensors").checks


def test_tensorboard_gets_what_the_table_gets(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    curves = Curves(tmp_path / "fine.safetensors")
    curves.add(check_at(4))
    curves.close()
    board = events.EventAccumulator(str(tmp_path / "tensorboard" / "fine"))
    board.Reload()
    assert [(entry.step, entry.value) for entry in board.Scalars("error_mm")] == [(4, 26.0)]


def test_without_tensorboard_table_and_picture_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert not has_tensorboard()
    curves = Curves(tmp_path / "fine.safetensors")
    curves.add(check_at(4))
    curves.close()
    assert read_checks(tmp_path / "fine.curve.csv") == [check_at(4)]
    assert not (tmp_path / "tensorboard").exists()
