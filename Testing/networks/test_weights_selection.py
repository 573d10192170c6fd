"""Which shipped weights are taken for a scan when nobody names any."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks import weights_selection
from OneShotSegLib.networks.checkpoint import load_prnet, save_prnet
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE, resolve_weights
from OneShotSegLib.networks.weights_selection import ANY_REGION, MAX_LOCATION_ERROR_MM, choose_weights, location_error
from Testing.helpers.tiny_batch import TinyBatch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ct(tiny: TinyBatch) -> Volume:
    return read_volume(tiny.files.support)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder whose coarse network learnt nothing."""
    folder = tmp_path_factory.mktemp("untrained")
    _, info = load_prnet(resolve_weights("phantom") / COARSE_FILE)
    torch.manual_seed(0)
    save_prnet(folder / COARSE_FILE, info.build(), info)
    shutil.copyfile(resolve_weights("phantom") / FINE_FILE, folder / FINE_FILE)
    return folder


def ship(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let these weights, and no others, be the shipped ones."""
    monkeypatch.setattr(weights_selection, "shipped_folders", lambda: {folder.name: folder for folder in folders})


def test_weights_that_know_the_scan_are_taken(ct: Volume, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(monkeypatch, untrained, resolve_weights("phantom"))
    assert choose_weights("auto", ct, CPU) == resolve_weights("phantom")
    assert location_error(resolve_weights("phantom"), ct, CPU) < MAX_LOCATION_ERROR_MM


def test_weights_that_do_not_know_the_scan_are_refused_where_the_images_do_not_help(
    ct: Volume, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(monkeypatch, untrained)
    with pytest.raises(InputError, match=r"None of the shipped weights \(untrained0\) knows the anatomy"):
        choose_weights("auto", ct, CPU, images_place=False)


def test_of_weights_that_do_not_know_the_scan_those_of_real_cts_are_taken_and_it_is_said(
    ct: Volume, untrained: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = untrained.parent / ANY_REGION
    shutil.copytree(untrained, real, dirs_exist_ok=True)
    ship(monkeypatch, untrained, real)
    with caplog.at_level(logging.WARNING):
        assert choose_weights("auto", ct, CPU) == real
    assert "knows the anatomy of the support" in caplog.text
    assert "placed by the images alone" in caplog.text
    ship(monkeypatch, untrained)
    assert choose_weights("auto", ct, CPU) == untrained


def test_named_weights_are_taken_whatever_the_scan_is(ct: Volume, untrained: Path) -> None:
    assert choose_weights(str(untrained), ct, CPU) == untrained


def test_without_shipped_weights_one_sentence_says_what_to_do(ct: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(monkeypatch)
    with pytest.raises(InputError, match="Expected shipped weights, found none: name a folder"):
        choose_weights("auto", ct, CPU)


def test_a_scan_of_nothing_but_air_is_known_to_no_weights(ct: Volume) -> None:
    air = ct.with_array(np.full(ct.shape, -1000, dtype=np.int16))
    assert location_error(resolve_weights("phantom"), air, CPU) == float("inf")
