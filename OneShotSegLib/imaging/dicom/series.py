"""One DICOM series as a volume, and back: its slices in order, and label maps on their planes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.pixels import PixelReader, read_stack
from OneShotSegLib.imaging.dicom.regular import grid_of, regular_array, volume_on
from OneShotSegLib.imaging.dicom.slices import read_slices
from OneShotSegLib.imaging.dicom.stacking import Stack, stack_slices
from OneShotSegLib.imaging.integrity import all_finite
from OneShotSegLib.imaging.volume import Volume

log = logging.getLogger(__name__)


def read_series(files: Iterable[Path | str], name: object) -> Volume:
    """Read the files of one DICOM series as a volume on a regular grid, in HU for a CT.

    Tilted and unevenly spaced slices are read onto a regular grid (`imaging.dicom.regular`), a localizer among the
    slices and a slice that is there twice are left out: logged as warnings.

    Args:
        files: The files in any order: one per slice, or multi-frame files.
        name: What sentences begin with: the series' folder or name.

    Raises:
        InputError: With one sentence, if the slices do not make one volume.
    """
    return read_stacked(series_stack(files, name), name)


def read_stacked(stack: Stack, name: object) -> Volume:
    """Read slices that are in their order; see `read_series`.

    Args:
        stack: The slices.
        name: What sentences begin with.

    Raises:
        InputError: If their pixels cannot be read, or some are no numbers.
    """
    for note in stack.notes:
        log.warning("%s: %s.", name, note)
    grid = grid_of(stack, name)
    pixels = read_stack(stack.slices, PixelReader(name))
    if not all_finite(pixels):
        raise InputError(f"{name}: expected voxels that are numbers, found some that are none (NaN or infinite).")
    return volume_on(stack, grid, regular_array(stack, grid, pixels))


def series_stack(files: Iterable[Path | str], name: object) -> Stack:
    """The slices of one DICOM series in their order, checked, without their pixels.

    Args:
        files: The files in any order.
        name: What sentences begin with.

    Raises:
        InputError: With one sentence, if the slices do not make one volume.
    """
    return stack_slices(read_slices([Path(file) for file in files], name), name)
