"""A study's masks as structure sets of radiotherapy (DICOM RTSTRUCT) that belong to the series of their CTs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import OneShotSegLib
from OneShotSegLib.errors import InputError
from OneShotSegLib.export.contours import closed_contours
from OneShotSegLib.export.dicom_cases import MAY_BE_EMPTY, Tracked, export_cases
from OneShotSegLib.export.dicom_codes import UTF_8, category_and_type, dicom_text, roi_names, text_of
from OneShotSegLib.export.selection import OnFailure, log_failure
from OneShotSegLib.imaging.boxes import Box, label_boxes
from OneShotSegLib.imaging.ct_series import CTSeries, read_ct_series, require_pydicom
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.structure_set import STRUCTURE_SET_STORAGE
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.study.results import StudyResult

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

SERIES_NUMBER = 901
"""Well above those that scanners give, so that a viewer lists it last."""
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
"""By which a structure set refers to a study: a class long retired, which all readers expect."""
CONTOUR_DATA = 0x30060050
DECIMALS = 3
"""Of a coordinate in mm."""
OF_THE_CT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)
"""What the file takes from the CT, as far as the CT has it."""
AT_LEAST_EMPTY = (*MAY_BE_EMPTY, "PositionReferenceIndicator")
"""What has to be there, empty if need be."""


def export_rtstruct(
    study: Path,
    folder: Path,
    accepted_only: bool = True,
    tracked: Tracked = iter,
    on_failure: OnFailure = log_failure,
) -> tuple[list[Path], dict[str, str]]:
    """Write ``<case>.dcm`` for each case whose CT is a DICOM series; the folder appears when all are done.

    Args:
        study: The study folder.
        folder: A new or empty folder.
        accepted_only: Leave out what waits for review.
        tracked: Wraps the cases to show progress.
        on_failure: Told of each case that could not be written; by default that is logged as a warning.

    Returns:
        The files, and for each case that was passed over because there is nothing to write of it, the reason.

    Raises:
        InputError: If pydicom is not installed, no case has a DICOM series, none can be written, or the folder holds
            something.
    """
    require_pydicom("Structure sets")
    return export_cases(study, folder, _write, accepted_only, tracked, on_failure)


def _write(result: StudyResult, ct: Volume, labels: LabelMap, path: Path) -> None:
    structure_set(read_ct_series(result.ct, ct, result.series), labels, result.case).save_as(
        path, enforce_file_format=True
    )


def structure_set(series: CTSeries, labels: LabelMap, name: str = "") -> FileDataset:
    """A structure set with closed contours on the slices of a CT.

    Args:
        series: The CT.
        labels: A label map on its grid; segments without a voxel are left out.
        name: Names the structure set for its user.

    Raises:
        InputError: If the series lacks what a structure set has to refer to.
    """
    from pydicom import dcmread
    from pydicom.dataset import FileDataset

    header = dcmread(series.files[0], stop_before_pixels=True)
    _check(series, header)
    boxes = label_boxes(labels.volume.array)
    segments = [segment for segment in labels.segments if segment.value in boxes]
    names = roi_names(segment.name for segment in segments)
    data = FileDataset("", {}, file_meta=_meta(), preamble=b"\0" * 128)
    _describe(data, header, name)
    data.ReferencedFrameOfReferenceSequence = [_frame(series, header)]
    frame = str(header.FrameOfReferenceUID)
    data.StructureSetROISequence = [_region(number, text, frame) for number, text in enumerate(names, 1)]
    slices = [_image(header, uid) for uid in series.instances]
    data.ROIContourSequence = [
        _contours(number, segment, labels.volume, boxes[segment.value], list(zip(series.planes, slices, strict=True)))
        for number, segment in enumerate(segments, 1)
    ]
    data.RTROIObservationsSequence = [_observation(number, segment) for number, segment in enumerate(segments, 1)]
    data.ApprovalStatus = "UNAPPROVED"
    return data


def _check(series: CTSeries, header: Dataset) -> None:
    needed = ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    missing = [name for name in needed if not header.get(name)]
    if missing:
        raise InputError(
            f"{series.folder}: expected a series with what a structure set has to refer to, found none of its "
            f"{', '.join(missing)}."
        )
    if len(series.instances) != len(series.planes):
        raise InputError(f"{series.folder}: expected a series of one file per slice, found a multi-frame file.")


def _meta() -> FileMetaDataset:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(STRUCTURE_SET_STORAGE)
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    # Where the type of each value is written out, a contour has at most 64 KiB.
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return meta


def _describe(data: FileDataset, header: Dataset, name: str) -> None:
    """What is said of the file as a whole: whose it is, who made it, and when."""
    from pydicom.uid import generate_uid

    now = datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    data.SpecificCharacterSet = UTF_8
    for field in OF_THE_CT:
        # Names as text, so that they are written in this file's character set, not in the CT's.
        if header.get(field) or field in AT_LEAST_EMPTY:
            setattr(data, field, text_of(header.get(field)))
    data.InstanceCreationDate, data.InstanceCreationTime = date, time
    data.SOPClassUID, data.SOPInstanceUID = STRUCTURE_SET_STORAGE, data.file_meta.MediaStorageSOPInstanceUID
    data.Modality, data.SeriesNumber, data.InstanceNumber = "RTSTRUCT", SERIES_NUMBER, 1
    data.SeriesInstanceUID, data.SeriesDescription = generate_uid(prefix=None), "OneShotSeg structures"
    data.Manufacturer = data.ManufacturerModelName = "OneShotSeg"
    data.SoftwareVersions, data.OperatorsName = OneShotSegLib.__version__, ""
    data.StructureSetLabel, data.StructureSetName = "OneShotSeg", dicom_text(name) or "OneShotSeg"
    data.StructureSetDate, data.StructureSetTime = date, time


def _frame(series: CTSeries, header: Dataset) -> Dataset:
    """The frame of reference, and in it the study, the series and all slices of the CT."""
    from pydicom.dataset import Dataset

    of_series = Dataset()
    of_series.SeriesInstanceUID = header.SeriesInstanceUID
    of_series.ContourImageSequence = [_image(header, uid) for uid in series.instances]
    of_study = Dataset()
    of_study.ReferencedSOPClassUID, of_study.ReferencedSOPInstanceUID = STUDY_CLASS, header.StudyInstanceUID
    of_study.RTReferencedSeriesSequence = [of_series]
    frame = Dataset()
    frame.FrameOfReferenceUID = header.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [of_study]
    return frame


def _image(header: Dataset, uid: str) -> Dataset:
    from pydicom.dataset import Dataset

    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = header.SOPClassUID, uid
    return image


def _region(number: int, name: str, frame: str) -> Dataset:
    from pydicom.dataset import Dataset

    region = Dataset()
    region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = number, name, frame
    region.ROIGenerationAlgorithm = "SEMIAUTOMATIC"
    return region


def _contours(
    number: int, segment: Segment, labels: Volume, box: Box, slices: Sequence[tuple[float, Dataset]]
) -> Dataset:
    """A structure's colour and its contours, on the slices with their planes; each is read from the nearest plane."""
    from pydicom.dataset import Dataset

    region = Dataset()
    region.ReferencedROINumber = number
    region.ROIDisplayColor = [round(255 * part) for part in segment.color]
    items: list[Dataset] = []
    for place, image in slices:
        plane = round(place)
        if not box[0].start <= plane < box[0].stop:
            continue
        for polygon in closed_contours(labels.array[plane, box[1], box[2]] == segment.value):
            index = np.insert(polygon, 0, 0, axis=1) + np.array([place, box[1].start, box[2].start])
            items.append(_contour(len(items) + 1, labels.to_world(index), image))
    region.ContourSequence = items
    return region


def _contour(number: int, points: Vector, image: Dataset) -> Dataset:
    """One closed contour on a slice.

    Args:
        number: Its number within the structure.
        points: LPS mm [z, y, x], shape (N, 3).
        image: Refers to the slice.
    """
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    contour = Dataset()
    contour.ContourImageSequence = [image]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints, contour.ContourNumber = len(points), number
    text = "\\".join(f"{value:.{DECIMALS}f}" for value in points[:, ::-1].ravel()).encode("ascii")
    text += b" " * (len(text) % 2)
    # As it is written: one object for each of the numbers would take seconds.
    contour[CONTOUR_DATA] = RawDataElement(Tag(CONTOUR_DATA), "DS", len(text), text, 0, True, True)
    return contour


def _observation(number: int, segment: Segment) -> Dataset:
    from pydicom.dataset import Dataset

    _, kind = category_and_type(segment)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = kind
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    observation.RTROIIdentificationCodeSequence = [code]
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", ""
    return observation
