"""Slices that were lost, or have another scale of values than the others, told by the voxels alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.volume import Volume

GREATEST_GAP_MM = 10.0
"""As between the slices of a DICOM series (`imaging.dicom.stacking`)."""
FEWEST_SLICES = 4
FEWEST_PIXELS = 1024
STEP = 8
JUMP = 300.0
"""From slice to slice most pixels of a CT stay as they are, or nearly so: the median of what changes is near 0."""
SMALL_JUMP = 40.0
"""The same, where eight of ten pixels change in one direction: of 149 CTs, none has any such change."""


def slice_axis(volume: Volume) -> int:
    """The axis along which the slices of a CT lie: the one that runs most along the patient."""
    return int(np.abs(volume.direction[0]).argmax())


def mend_slices(volume: Volume, name: str) -> tuple[NDArray[Any], str]:
    """Interpolate single blank slices between others; refuse more of them, and values that jump from slice to slice.

    Args:
        volume: Its slices are taken to lie along the axis that runs most along the patient.
        name: What sentences begin with.

    Returns:
        The values, shape (D, H, W), and what was done, as a sentence; '' for nothing.

    Raises:
        InputError: If slices are lost between others over too long a way, or the scale of the values changes midway.
    """
    axis = slice_axis(volume)
    slices = np.moveaxis(volume.array, axis, 0)
    if len(slices) < FEWEST_SLICES or slices[0].size < FEWEST_PIXELS:
        return volume.array, ""
    filled = np.flatnonzero(~_blank(slices)).tolist()
    if len(filled) < FEWEST_SLICES:
        return volume.array, ""
    lost = [(a, b) for a, b in pairwise(filled) if b - a > 1]
    if any(b - a > 2 or 2 * volume.spacing[axis] > GREATEST_GAP_MM for a, b in lost):
        most = max(b - a - 1 for a, b in lost)
        raise InputError(
            f"{name}: expected a CT without gaps, found {most} blank slice{'s in a row' if most > 1 else ''} between "
            f"others (slices of one value, from {min(a for a, _ in lost) + 2} on)."
        )
    _check_jumps(slices, filled, name)
    if not lost:
        return volume.array, ""
    mended = slices.copy()
    for a, b in lost:
        between = (slices[a].astype(np.float64) + slices[b]) / 2
        mended[a + 1] = np.round(between) if np.issubdtype(slices.dtype, np.integer) else between
    places = ", ".join(str(a + 2) for a, _ in lost[:3]) + (", ..." if len(lost) > 3 else "")
    said = "slice is" if len(lost) == 1 else "slices are"
    note = f"{len(lost)} {said} blank (number {places}): interpolated between the neighbours."
    return np.ascontiguousarray(np.moveaxis(mended, 0, axis)), note


def _blank(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which slices have one value everywhere."""
    some = array[:, ::STEP, ::STEP]
    blank: NDArray[np.bool_] = (some == some[:, :1, :1]).all(axis=(1, 2))
    for number in np.flatnonzero(blank):
        blank[number] = bool((array[number] == array[number, 0, 0]).all())
    return blank


def _check_jumps(slices: NDArray[Any], filled: list[int], name: str) -> None:
    """Refuse slices nearly all of whose pixels, air and body, differ by the same from the slice before."""
    some = slices[:, ::STEP, ::STEP].astype(np.float64)
    for a, b in pairwise(filled):
        with np.errstate(invalid="ignore"):  # of infinite values, which are refused later
            low, change, high = np.quantile(some[b] - some[a], (0.1, 0.5, 0.9))
        is_narrow = abs(change) > JUMP and high - low < JUMP
        if is_narrow or (abs(change) > SMALL_JUMP and min(low * change, high * change) > 0):
            raise InputError(
                f"{name}: expected one scale of values, found most pixels changed by {change:.0f} from slice {a + 1} "
                f"to {b + 1}: slices of different rescalings."
            )
