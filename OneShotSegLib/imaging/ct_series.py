"""A CT as a DICOM series: its grid, and what other DICOM objects call it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.headers import quiet_pydicom
from OneShotSegLib.imaging.dicom.slices import Slice
from OneShotSegLib.imaging.dicom_series import series_slices
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.volume import Volume

ROUNDED_MM = 0.1


@dataclass(frozen=True, eq=False, kw_only=True)
class CTSeries:
    """What a structure set refers to.

    Attributes:
        folder: The folder with the series.
        grid: The CT's grid; its voxels take no memory.
        files: The files in the order of the slices.
        instances: SOP instance UIDs in the same order; one for all slices of a multi-frame CT.
        planes: Where each slice lies along the grid's first axis, in voxels: whole numbers unless the slices are
            unevenly spaced or one is missing, so that the grid is not theirs.
        patient_id: Patient ID, '' if the series has none.
        frame_of_reference: Frame of reference UID, '' if the series has none.
    """

    folder: Path
    grid: Volume
    files: tuple[str, ...]
    instances: tuple[str, ...]
    planes: tuple[float, ...]
    patient_id: str
    frame_of_reference: str


def require_pydicom(what: str) -> None:
    """Raise what to do about it if pydicom is not installed.

    Args:
        what: What it is needed for, the start of the sentence.

    Raises:
        InputError: If it is not.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'{what}: expected pydicom to be installed (pip install "OneShotSegLib[dicom]"), found none.'
        ) from error


@quiet_pydicom()
def read_ct_series(folder: Path, ct: Volume | None = None, series: str = "") -> CTSeries:
    """Read a series' headers and its grid.

    Args:
        folder: A folder with one DICOM series.
        ct: The CT where it has been read already; only its grid is used.
        series: Series instance UID, where the folder holds several CT series.

    Raises:
        InputError: If it is no DICOM series, pydicom is not installed, or a header cannot be read.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such file or folder.")
    if not folder.is_dir():
        raise InputError(f"{folder}: expected the CT as a folder with a DICOM series, found another file.")
    require_pydicom(str(folder))
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    slices = series_slices(folder, series).slices
    files = tuple(dict.fromkeys(str(one.file) for one in slices))
    grid = read_volume(folder, series) if ct is None else ct
    try:
        first = dcmread(files[0], stop_before_pixels=True)
        wanted = ["SOPInstanceUID"]
        headers = [dcmread(name, stop_before_pixels=True, specific_tags=wanted) for name in files]
        instances = tuple(str(header.SOPInstanceUID) for header in headers)
    except (AttributeError, InvalidDicomError, OSError, ValueError) as error:
        raise InputError(f"{folder}: expected a series with a UID of each slice, found otherwise.") from error
    return CTSeries(
        folder=folder,
        grid=grid.with_array(np.broadcast_to(np.uint8(0), grid.shape)),
        files=files,
        instances=instances,
        planes=tuple(_plane(grid, one) for one in slices),
        patient_id=str(first.get("PatientID") or "").strip(),
        frame_of_reference=str(first.get("FrameOfReferenceUID") or ""),
    )


def _plane(grid: Volume, one: Slice) -> float:
    """The plane of a slice in the grid; positions that are rounded numbers do not move it."""
    assert one.position is not None
    plane = float(grid.to_index(one.position[::-1])[0])
    return round(plane) if abs(plane - round(plane)) * grid.spacing[0] <= ROUNDED_MM else plane
