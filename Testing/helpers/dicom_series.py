"""A made DICOM series, for tests of what becomes of what its headers say."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from OneShotSegLib.imaging.volume import Volume


def write_series(
    folder: Path, ct: Volume, patient: str, backwards: bool = False, edit: Callable[[Dataset, int], None] | None = None
) -> Path:
    """Write a CT, slice by slice, as the scan of a patient of this name; the folder comes back.

    Args:
        folder: A new folder, or one with other files.
        ct: The CT, in any direction.
        patient: The name, of which other fields are made too.
        backwards: Number the slices, and name their files, from the last to the first.
        edit: Changes the header of a slice, of which it gets the plane.
    """
    folder.mkdir(parents=True, exist_ok=True)
    common = _common(ct, patient)
    count = ct.shape[0]
    for number in range(count):
        plane = count - 1 - number if backwards else number
        data = FileDataset(str(folder), copy.deepcopy(dict(common)), file_meta=_meta(), preamble=b"\0" * 128)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
        data.ImagePositionPatient = _decimal(ct.to_world((plane, 0, 0))[::-1])
        data.InstanceNumber = number + 1
        data.PixelData = np.asarray(ct.array[plane]).astype("<i2").tobytes()
        if edit is not None:
            edit(data, plane)
        data.save_as(folder / f"{number:03d}.dcm")
    return folder


def _meta() -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    return meta


def _common(ct: Volume, patient: str) -> Dataset:
    """What all slices have in common."""
    data = Dataset()
    data.SOPClassUID, data.Modality = CTImageStorage, "CT"
    data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    data.PatientName, data.PatientID, data.PatientBirthDate = patient, f"ID-{patient}", "19010203"
    data.PatientSex, data.StudyID, data.AccessionNumber = "O", "1", "2"
    data.StudyDate, data.StudyTime, data.ReferringPhysicianName = "20200102", "101112", f"Referrer {patient}"
    data.InstitutionName, data.StudyDescription = f"Hospital {patient}", f"Study {patient}"
    data.PositionReferenceIndicator, data.SeriesNumber, data.Manufacturer = "", 1, "Made for tests"
    data.ImageOrientationPatient = _decimal((*ct.direction[::-1, 2], *ct.direction[::-1, 1]))
    data.PixelSpacing, data.SliceThickness = _decimal(ct.spacing[1:]), _decimal(ct.spacing[:1])[0]
    data.Rows, data.Columns = ct.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope = 15, 1, 0, 1
    return data


def _decimal(values: Iterable[float]) -> list[str]:
    """Numbers as DICOM's decimal strings of at most 16 characters."""
    return [f"{value:.10g}"[:16] for value in values]
