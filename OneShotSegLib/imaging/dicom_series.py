"""The DICOM series of a folder: which there are, its CT, and the order of the CT's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from OneShotSegLib.imaging.dicom.damage import check_damaged
from OneShotSegLib.imaging.dicom.search import one_scan
from OneShotSegLib.imaging.dicom.series import read_stacked, series_stack
from OneShotSegLib.imaging.dicom.stacking import Stack
from OneShotSegLib.imaging.volume import Volume


def series_files(folder: Path, series: str = "") -> tuple[str, ...]:
    """The files of a folder's one CT, in the order of their slices; a multi-frame file is named once.

    Args:
        folder: The folder.
        series: Series instance UID, where the folder holds several CT series.

    Raises:
        InputError: If it holds none or several, or the slices do not make one volume, or one of them is damaged.
    """
    return tuple(dict.fromkeys(str(one.file) for one in series_slices(folder, series).slices))


def series_slices(folder: Path, series: str = "") -> Stack:
    """The slices of a folder's one CT with their planes, in the order of their positions.

    Args:
        folder: The folder.
        series: Series instance UID, where the folder holds several CT series.

    Raises:
        InputError: If it holds none or several, or the slices do not make one volume, or one of them is damaged.
    """
    found = one_scan(folder, series)
    stack = series_stack(found.files, folder)
    return replace(stack, notes=(*stack.notes, *check_damaged(found, stack, folder)))


def read_folder(folder: Path, series: str = "") -> Volume:
    """Read a folder's one CT, as `read_series` does.

    Args:
        folder: The folder.
        series: Series instance UID, where the folder holds several CT series.

    Raises:
        InputError: If it holds none or several, or the slices do not make one volume, or one of them is damaged.
    """
    return read_stacked(series_slices(folder, series), folder)
