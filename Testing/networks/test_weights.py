"""Weights folders: found by name, read as a pair, and never mixed up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import PRNetInfo, save_prnet
from OneShotSegLib.networks.weights import (
    COARSE_FILE,
    FINE_FILE,
    WEIGHTS_VARIABLE,
    is_weights_folder,
    load_weights,
    resolve_weights,
    shipped_folders,
)

COARSE = PRNetInfo(
    stage="coarse",
    base_channels=1,
    patch_size=(16, 32, 16),
    spacing=(6.0, 6.0, 6.0),
    position_range=(700.0, 500.0, 500.0),
)
FINE = replace(COARSE, stage="fine", spacing=(3.0, 4.0, 4.0), position_range=(60.0, 60.0, 60.0))


def write(folder: Path, coarse: PRNetInfo = COARSE, fine: PRNetInfo = FINE) -> Path:
    save_prnet(folder / COARSE_FILE, coarse.build(), coarse)
    save_prnet(folder / FINE_FILE, fine.build(), fine)
    return folder


def test_both_stages_are_read_ready_for_inference(tmp_path: Path) -> None:
    weights = load_weights(write(tmp_path / "mine"))
    assert (weights.name, weights.folder) == ("mine", tmp_path / "mine")
    assert (weights.coarse.info, weights.fine.info) == (COARSE, FINE)
    assert not weights.coarse.network.training
    assert weights.fine.network.locate(torch.rand(1, 1, 16, 32, 16)).shape == (1, 3)


def test_swapped_stages_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, FINE, COARSE)
    with pytest.raises(InputError, match="expected the coarse stage, found the fine stage"):
        load_weights(folder)


@pytest.mark.parametrize("name", [COARSE_FILE, FINE_FILE])
def test_a_missing_stage_is_named(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path)
    (folder / name).unlink()
    assert not is_weights_folder(folder)
    with pytest.raises(InputError, match=name):
        load_weights(folder)


def test_a_folder_of_weights_is_resolved_by_its_path(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine")
    assert resolve_weights(str(folder)) == folder


def test_own_shelves_are_searched_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "case_nodes" / "abdomen")
    (tmp_path / "case_nodes" / "half").mkdir()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "case_nodes"))
    assert shipped_folders()["abdomen"] == folder
    assert "half" not in shipped_folders()
    assert resolve_weights("abdomen") == folder


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "abdomen")
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(InputError) as caught:
        resolve_weights("brain")
    assert "abdomen" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "/", "..", "no/such/folder", "a\0b"])
def test_names_that_are_no_weights_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        resolve_weights(name)


def test_every_shipped_pair_can_be_used() -> None:
    for folder in shipped_folders().values():
        weights = load_weights(folder)
        assert weights.coarse.info.position_range > weights.fine.info.position_range
