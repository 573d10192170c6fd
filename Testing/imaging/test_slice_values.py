"""Lost slices and values that jump from slice to slice are told by the voxels, in whatever order axes are stored."""

from __future__ import annotations

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.slice_values import mend_slices
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import make_patient
from Testing.helpers.storing import stored_with_permuted_axes


@pytest.fixture(scope="module")
def ct() -> Volume:
    return make_patient(1, coarseness=1.5).ct


def changed(ct: Volume, planes: slice, value: int | None = None, add: int = 0) -> Volume:
    array = ct.array.astype(np.int32)
    array[planes] = array[planes] + add if value is None else value
    return ct.with_array(array)


@pytest.mark.parametrize("value", [0, -1000, -1024, 500])
@pytest.mark.parametrize("permuted", [False, True])
def test_a_blank_slice_between_others_is_interpolated_and_said(ct: Volume, value: int, permuted: bool) -> None:
    thin = Volume(array=ct.array, spacing=ct.spacing * (0.8, 1, 1), origin=ct.origin, direction=ct.direction)
    damaged = changed(thin, slice(20, 21), value)
    mended, note = mend_slices(stored_with_permuted_axes(damaged) if permuted else damaged, "x")
    assert "1 slice is blank (number " in note
    plain = stored_with_permuted_axes(thin).array if permuted else thin.array
    assert np.abs(mended - plain).max() < 2500
    assert (mended != plain).mean() < 2 / ct.shape[0]


@pytest.mark.parametrize(("planes", "said"), [(slice(20, 23), "3 blank slices in a row"), (slice(9, 11), "from 10 on")])
def test_several_blank_slices_between_others_are_refused(ct: Volume, planes: slice, said: str) -> None:
    with pytest.raises(InputError, match=said):
        as_hounsfield(changed(ct, planes, 0), "x")


@pytest.mark.parametrize("add", [1024, 1000, -1024, 8192])
def test_another_offset_from_one_slice_on_is_refused(ct: Volume, add: int) -> None:
    for volume in (changed(ct, slice(20, None), add=add), stored_with_permuted_axes(changed(ct, slice(0, 9), add=add))):
        with pytest.raises(InputError, match="slices of different rescalings"):
            as_hounsfield(volume, "x")


def test_plain_and_padded_cts_stay_as_they_are(ct: Volume) -> None:
    for volume in (
        ct,
        stored_with_permuted_axes(ct),
        changed(ct, slice(0, 15), -1000),
        changed(ct, slice(40, None), 0),
    ):
        array, note = mend_slices(volume, "x")
        assert note == ""
        assert array is volume.array


@pytest.mark.parametrize("steps", [(0, 100, 200), (0, 60), (0, 0, 0, -50)])
def test_offsets_that_come_and_go_from_slice_to_slice_are_refused(ct: Volume, steps: tuple[int, ...]) -> None:
    by_slice = np.resize(steps, len(ct.array))[:, None, None]
    with pytest.raises(InputError, match="expected one scale of values"):
        as_hounsfield(ct.with_array(ct.array + by_slice), "scan")
