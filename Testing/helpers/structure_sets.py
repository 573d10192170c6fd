"""Structure sets of radiotherapy as planning systems write them, made without the library's own writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid

from OneShotSegLib.imaging.ct_series import CTSeries
from OneShotSegLib.imaging.volume import Volume

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(kw_only=True)
class Drawn:
    """A structure and its contours.

    Attributes:
        name: ROI name.
        contours: Each of shape (N, 3), LPS mm [z, y, x].
        kind: Their geometric type.
        color: RGB, 0-255.
        number: ROI number; by default its place in the list, from 1.
        frame: Its frame of reference; the CT's by default.
    """

    name: str
    contours: Sequence[np.ndarray] = ()
    kind: str = "CLOSED_PLANAR"
    color: tuple[int, int, int] | None = (255, 0, 0)
    number: int | None = None
    frame: str | None = None


@dataclass(kw_only=True)
class Header:
    """What a structure set refers to; made-up UIDs stand for other scans."""

    patient_id: str = "ID-1"
    frame: str = field(default_factory=generate_uid)
    instances: tuple[str, ...] = ()


def series_of(grid: Volume, folder: Path = Path("scan")) -> CTSeries:
    """A CT series with this grid, without files."""
    return CTSeries(
        folder=folder,
        grid=grid,
        files=(),
        instances=tuple(generate_uid() for _ in range(grid.shape[0])),
        planes=tuple(range(grid.shape[0])),
        patient_id="ID-1",
        frame_of_reference=generate_uid(),
    )


def header_of(series: CTSeries) -> Header:
    """What a structure set of this series says."""
    return Header(patient_id=series.patient_id, frame=series.frame_of_reference, instances=series.instances)


def write_structure_set(path: Path, drawn: Sequence[Drawn], header: Header) -> Path:
    """Write a structure set; the path comes back."""
    content(drawn, header).save_as(path, enforce_file_format=True)
    return path


def content(drawn: Sequence[Drawn], header: Header) -> FileDataset:
    """What is written, to be changed before."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(RTSTRUCT), generate_uid()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = RTSTRUCT, meta.MediaStorageSOPInstanceUID, "RTSTRUCT"
    data.PatientID = header.patient_id
    data.ReferencedFrameOfReferenceSequence = [_frame(header)]
    numbers = [roi.number or at for at, roi in enumerate(drawn, 1)]
    data.StructureSetROISequence = [_roi(n, roi, header) for n, roi in zip(numbers, drawn, strict=True)]
    data.ROIContourSequence = [_contours(n, roi) for n, roi in zip(numbers, drawn, strict=True)]
    data.RTROIObservationsSequence = [_observation(n) for n in numbers]
    return data


def _frame(header: Header) -> Dataset:
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = generate_uid()
    series.ContourImageSequence = [_image(uid) for uid in header.instances]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", generate_uid()
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = header.frame, [study]
    return frame


def _image(uid: str) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CT_IMAGE, uid
    return image


def _roi(number: int, roi: Drawn, header: Header) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName, item.ROIGenerationAlgorithm = number, roi.name, "MANUAL"
    item.ReferencedFrameOfReferenceUID = roi.frame or header.frame
    return item


def _contours(number: int, roi: Drawn) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    if roi.color is not None:
        item.ROIDisplayColor = list(roi.color)
    if roi.contours:
        item.ContourSequence = [_contour(points, roi.kind) for points in roi.contours]
    return item


def _contour(points: np.ndarray, kind: str) -> Dataset:
    contour = Dataset()
    contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
    contour.ContourData = [f"{value:.4f}" for value in points[:, ::-1].ravel()]
    return contour


def _observation(number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIInterpretedType, item.ROIInterpreter = "ORGAN", ""
    return item


def circle(grid: Volume, plane: float, centre: tuple[float, float], radius: float, points: int = 120) -> np.ndarray:
    """A circle in a plane of the grid (its radius in rows), LPS mm [z, y, x].

    Args:
        grid: The CT's grid.
        plane: Which plane; a fraction lies between two.
        centre: Row and column.
        radius: In rows and in columns, voxels.
        points: How many.
    """
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    index = np.stack(
        [np.full(points, plane), centre[0] + radius * np.sin(turn), centre[1] + radius * np.cos(turn)], axis=1
    )
    return grid.to_world(index)
