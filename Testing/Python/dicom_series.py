"""A made DICOM series, for tests of what becomes of what its headers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from OneShotSegLib.imaging.volume import Volume


def write_series(folder: Path, ct: Volume, patient: str) -> Path:
    """Write an axis-aligned CT, slice by slice, as the scan of a patient of this name; the folder comes back."""
    folder.mkdir(parents=True)
    series, study = generate_uid(), generate_uid()
    depth, height, width = (float(n) for n in ct.spacing)
    for number, pixels in enumerate(np.asarray(ct.array)):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = series, study, "CT"
        data.PatientName, data.PatientID, data.PatientBirthDate = patient, f"ID-{patient}", "19010203"
        data.InstitutionName, data.StudyDescription = f"Hospital {patient}", f"Study {patient}"
        z, y, x = (float(n) for n in ct.origin)
        data.ImagePositionPatient, data.ImageOrientationPatient = [x, y, z + depth * number], [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SliceThickness, data.InstanceNumber = [height, width], depth, number + 1
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope = 15, 1, 0, 1
        data.PixelData = pixels.astype("<i2").tobytes()
        data.save_as(folder / f"{number:03d}.dcm")
    return folder
