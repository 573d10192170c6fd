"""The DICOM series of a folder: which there are, its CT, and the order of the CT's files."""

from __future__ import annotations

from pathlib import Path

from OneShotSegLib.imaging.dicom.search import one_scan, scan_files
from OneShotSegLib.imaging.dicom.series import read_series, series_stack
from OneShotSegLib.imaging.dicom.stacking import Stack
from OneShotSegLib.imaging.volume import Volume


def series_ids(folder: Path) -> tuple[str, ...]:
    """The DICOM series of images in a folder (not below it); where all DICOM files are damaged, their paths."""
    series, broken = scan_files(folder)
    return tuple(one.uid for one in series if one.slices) or tuple(str(path) for path in broken)


def series_files(folder: Path) -> tuple[str, ...]:
    """The files of a folder's one CT, in the order of their slices; a multi-frame file is named once.

    Raises:
        InputError: If it holds none or several, or the slices do not make one volume.
    """
    return tuple(dict.fromkeys(str(one.file) for one in series_slices(folder).slices))


def series_slices(folder: Path) -> Stack:
    """The slices of a folder's one CT with their planes, in the order of their positions.

    Raises:
        InputError: If it holds none or several, or the slices do not make one volume.
    """
    return series_stack(one_scan(folder).files, folder)


def read_folder(folder: Path) -> Volume:
    """Read a folder's one CT, as `read_series` does.

    Raises:
        InputError: If it holds none or several, or the slices do not make one volume.
    """
    return read_series(one_scan(folder).files, folder)
