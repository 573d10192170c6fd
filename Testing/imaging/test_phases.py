"""Two scans between one another are told by what alternates from slice to slice; one scan never is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.phases import FEWEST_SLICES, alternation, two_phases
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import make_patient
from Testing.helpers.storing import stored_with_permuted_axes


@pytest.fixture(scope="module")
def ct() -> Volume:
    return make_patient(1, coarseness=1.5).ct


def breathed(array: np.ndarray) -> np.ndarray:
    """The second phase: moved by two voxels, and brighter where contrast medium is."""
    moved = ndimage.shift(array, (0, 3, 0), order=1, mode="nearest")
    return moved + 30 * (moved > -300)


def between(first: np.ndarray, second: np.ndarray, axis: int = 0) -> np.ndarray:
    every = np.arange(first.shape[axis]) % 2 == 1
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.where(every.reshape(shape), second, first)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_two_phases_between_one_another_are_refused(ct: Volume, axis: int) -> None:
    mixed = between(ct.array, np.moveaxis(breathed(np.moveaxis(ct.array, axis, 0)), 0, axis), axis)
    assert two_phases(np.moveaxis(mixed, axis, 0)) == "yes"
    stored = np.moveaxis(mixed, axis, 0) if axis else mixed
    volume = Volume.create(stored.astype(np.int16), ct.spacing)
    for same in (volume, stored_with_permuted_axes(volume)):
        with pytest.raises(InputError, match=r"^x: expected one scan, found every second slice unlike"):
            as_hounsfield(same, "x")


def test_slices_that_a_scanner_makes_a_little_brighter_in_turn_are_said(
    ct: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    array = between(ct.array, ct.array + 20 * (ct.array > -300))
    assert two_phases(array) == "perhaps"
    assert as_hounsfield(ct.with_array(array.astype(np.int16)), "x").array.shape == ct.shape
    assert "x: every second slice differs a little" in caplog.text


@pytest.mark.parametrize("change", ["plain", "noise", "every second slice interpolated", "thick", "few"])
def test_one_scan_is_never_two(ct: Volume, change: str) -> None:
    array: Any = ct.array.astype(np.float32)
    if change == "noise":
        array = array + np.random.default_rng(0).normal(0, 60, array.shape)
    elif change == "every second slice interpolated":
        array = ndimage.zoom(array, (2, 1, 1), order=1)
    elif change == "thick":
        array = ndimage.uniform_filter1d(array, 5, axis=0)
    elif change == "few":
        array = between(array, breathed(array))[: FEWEST_SLICES - 1, : FEWEST_SLICES - 1, : FEWEST_SLICES - 1]
    assert two_phases(array) == "no"


def test_what_does_not_change_does_not_alternate() -> None:
    assert alternation(np.zeros((30, 8, 8))) == (0.0, 0.0)
    assert two_phases(np.full((30, 30, 30), 1000)) == "no"


def test_two_phases_in_a_series_without_a_word_of_them_are_refused(tmp_path: Path, ct: Volume) -> None:
    from OneShotSegLib.imaging.files import read_volume
    from Testing.helpers.dicom_series import write_series

    mixed = ct.with_array(between(ct.array, breathed(ct.array)).astype(np.int16))
    write_series(tmp_path / "scan", mixed, "P")
    with pytest.raises(InputError, match="two phases or reconstructions in one series"):
        as_hounsfield(read_volume(tmp_path / "scan"), "scan")
