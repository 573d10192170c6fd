"""The slices of a DICOM series as their headers describe them: one per file, or one per frame of a multi-frame file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.headers import (
    BrokenHeaderError,
    first_item,
    is_compressed,
    numbers,
    quiet_pydicom,
    read_header,
    short,
    text,
    texts,
    whole_number,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
PASSES = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NominalPercentageOfCardiacPhase",
    "SeriesNumber",
    "SeriesDescription",
    "ConvolutionKernel",
    "KVP",
    "ContrastBolusAgent",
    "EchoNumbers",
)
"""What differs between two passes over the same region, or two reconstructions of one."""
COUNTERS = ("InstanceNumber", "AcquisitionTime", "AcquisitionDateTime", "ContentTime", "TriggerTime")
"""What rises from slice to slice within one pass, or stays."""
FRAME_COUNTERS = ("FrameAcquisitionDateTime", "FrameReferenceDateTime")
COUNT = re.compile(r"[0-9]+(\.[0-9]+)?")
FRAME_PASSES = ("FrameAcquisitionNumber", "TemporalPositionIndex", "StackID")
TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "BodyPartExamined",
    "ImageType",
    "Modality",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "PhotometricInterpretation",
    *PASSES,
    *COUNTERS,
    *GROUPS,
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice:
    """One slice; positions and directions are DICOM's own: LPS mm, x, y, z. What the header lacks is None.

    Attributes:
        file: Its file.
        frame: Its number among the frames of a multi-frame file, from 0; None in a file of one slice.
        uid: SOP instance UID of the file.
        sop_class: SOP class UID of the file.
        modality: Such as CT.
        image_type: Such as ORIGINAL, PRIMARY, AXIAL.
        patient_id: Patient ID, '' if there is none.
        frame_of_reference: Frame of reference UID, '' if there is none.
        body_part: The part of the body that the header names, '' if it names none.
        counters: What counts the slices, or tells when they were made, by the keyword.
        passes: What tells passes over the same region apart, by the keyword.
        size: Number of rows and of columns.
        stored_bytes: What the pixels of the file take, where they are not compressed, else 0.
        position: Centre of the first pixel.
        orientation: Direction along a row, and along a column.
        pixel: Distance between rows, and between columns, mm.
        slope: Rescale slope.
        intercept: Rescale intercept.
        unit: What the values are in after rescaling (RescaleType), '' if it is not told.
        photometric: Photometric interpretation, such as MONOCHROME2.
        has_table: Whether stored values become others by a table instead (ModalityLUTSequence).
    """

    file: Path
    frame: int | None
    uid: str
    sop_class: str
    modality: str
    image_type: tuple[str, ...]
    patient_id: str
    frame_of_reference: str
    body_part: str
    counters: dict[str, float]
    passes: dict[str, str]
    size: tuple[int, int] | None
    stored_bytes: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel: tuple[float, ...] | None
    slope: float | None
    intercept: float | None
    unit: str
    photometric: str
    has_table: bool


@quiet_pydicom()
def read_slices(files: Sequence[Path], name: object) -> list[Slice]:
    """The slices of a series' files, in the order of the files.

    Args:
        files: The files of one series.
        name: What sentences begin with: the series' folder or name.

    Raises:
        InputError: If a file is no DICOM file or damaged, the files are of several series, or one is no image.
    """
    headers = [_header(path, name) for path in files]
    series = {text(data, "SeriesInstanceUID") for data in headers}
    if len(series) > 1:
        raise InputError(f"{name}: expected the files of one DICOM series, found those of {len(series)}.")
    slices: list[Slice] = []
    for path, data in zip(files, headers, strict=True):
        try:
            slices += _frames(path, data) if whole_number(data, "NumberOfFrames") else [_single(path, data)]
        except InputError as error:
            raise InputError(f"{name}: {path.name}: {error}") from error
    if not slices:
        raise InputError(f"{name}: expected the files of a DICOM series, found none.")
    return slices


def _header(path: Path, name: object) -> Dataset:
    try:
        data = read_header(path, TAGS)
    except BrokenHeaderError as error:
        raise InputError(f"{name}: {path.name}: expected a readable DICOM file, found {error.what}.") from error
    if data is None:
        raise InputError(f"{name}: {path.name}: expected a DICOM file, found another file.")
    return data


def _common(path: Path, data: Dataset) -> dict[str, Any]:
    rows, columns = (whole_number(data, keyword) for keyword in ("Rows", "Columns"))
    return {
        "file": path,
        "uid": text(data, "SOPInstanceUID"),
        "sop_class": text(data, "SOPClassUID"),
        "modality": text(data, "Modality"),
        "patient_id": text(data, "PatientID"),
        "frame_of_reference": text(data, "FrameOfReferenceUID"),
        "body_part": short(text(data, "BodyPartExamined")),
        "size": (rows, columns) if rows and columns else None,
        "stored_bytes": _stored_bytes(data, (rows or 0) * (columns or 0)),
        "photometric": text(data, "PhotometricInterpretation").upper(),
    }


def _stored_bytes(data: Dataset, pixels: int) -> int:
    if is_compressed(data):
        return 0
    samples, bits = (whole_number(data, keyword) or 1 for keyword in ("SamplesPerPixel", "BitsAllocated"))
    return pixels * samples * bits * (whole_number(data, "NumberOfFrames") or 1) // 8


def _single(path: Path, data: Dataset) -> Slice:
    slope, intercept = numbers(data, "RescaleSlope", 1), numbers(data, "RescaleIntercept", 1)
    return Slice(
        **_common(path, data),
        frame=None,
        image_type=texts(data, "ImageType"),
        counters=_counters(data, COUNTERS),
        passes={keyword: "\\".join(texts(data, keyword)) for keyword in PASSES if texts(data, keyword)},
        position=numbers(data, "ImagePositionPatient", 3),
        orientation=numbers(data, "ImageOrientationPatient", 6),
        pixel=numbers(data, "PixelSpacing", 2),
        slope=None if slope is None else slope[0],
        intercept=None if intercept is None else intercept[0],
        unit=text(data, "RescaleType"),
        has_table=first_item(data, "ModalityLUTSequence") is not None,
    )


def _counters(data: Dataset, keywords: Sequence[str]) -> dict[str, float]:
    found = {keyword: COUNT.match(text(data, keyword)) for keyword in keywords}
    return {keyword: float(match[0]) for keyword, match in found.items() if match}


def _frames(path: Path, data: Dataset) -> list[Slice]:
    """The frames of a multi-frame file: each group of attributes is the frame's own, or shared by all."""
    count = whole_number(data, "NumberOfFrames") or 0
    groups = data.get("PerFrameFunctionalGroupsSequence") or []
    shared = first_item(data, "SharedFunctionalGroupsSequence")
    if not groups and shared is None and count == 1:
        return [_single(path, data)]
    if not groups:
        raise InputError("expected the position of each frame, found a multi-frame file without.")
    if len(groups) != count:
        raise InputError(f"expected {count} frames with a description of each, found {len(groups)} descriptions.")
    return [_frame(path, data, number, own, shared) for number, own in enumerate(groups)]


def _frame(path: Path, data: Dataset, number: int, own: Dataset, shared: Dataset | None) -> Slice:
    def values(sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        item = first_item(own, sequence) or first_item(shared, sequence)
        return None if item is None else numbers(item, keyword, count)

    slope = values("PixelValueTransformationSequence", "RescaleSlope", 1)
    intercept = values("PixelValueTransformationSequence", "RescaleIntercept", 1)
    transformation = first_item(own, "PixelValueTransformationSequence") or first_item(
        shared, "PixelValueTransformationSequence"
    )
    kind = first_item(own, "CTImageFrameTypeSequence") or first_item(shared, "CTImageFrameTypeSequence")
    content = first_item(own, "FrameContentSequence")
    return Slice(
        **_common(path, data),
        frame=number,
        image_type=(texts(kind, "FrameType") if kind is not None else ()) or texts(data, "ImageType"),
        counters={} if content is None else _counters(content, FRAME_COUNTERS),
        passes={k: text(content, k) for k in FRAME_PASSES if content is not None and text(content, k)},
        position=values("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation=values("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        pixel=values("PixelMeasuresSequence", "PixelSpacing", 2),
        slope=None if slope is None else slope[0],
        intercept=None if intercept is None else intercept[0],
        unit="" if transformation is None else text(transformation, "RescaleType"),
        has_table=False,
    )
