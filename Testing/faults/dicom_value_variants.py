"""DICOM series of one CT: what their headers say of the values, the pixels and the slices' identity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_writers import enhanced, series, setting
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGLSLossless
from variant import Entries, left_out, mended, refused, then

Change = Callable[[Dataset], object]


def each_file(change: Change) -> Callable[[Path], object]:
    """A change of every file after it was written."""

    def write(folder: Path) -> None:
        for path in folder.glob("*.dcm"):
            data = pydicom.dcmread(path)
            change(data)
            known = data.file_meta.get("TransferSyntaxUID")
            is_known = known is not None and known.is_transfer_syntax
            encoding = {} if is_known else {"implicit_vr": False, "little_endian": True}
            data.save_as(path, enforce_file_format=False, **encoding)

    return write


def stored(data: Dataset, **values: Any) -> None:
    """HU stored without signs, with an intercept of -1024, and these elements."""
    pixels = np.frombuffer(data.PixelData, "<i2").astype(np.int32) + 1024
    data.PixelData, data.PixelRepresentation, data.RescaleIntercept = pixels.astype("<u2").tobytes(), 0, -1024
    for keyword, value in values.items():
        setattr(data, keyword, value)


def stored_inverted(data: Dataset, _plane: int) -> None:
    """High stored values for low HU, as a slope of -1 says."""
    pixels = np.frombuffer(data.PixelData, "<i2").astype(np.int32)
    data.PixelData, data.PixelRepresentation = (3071 - pixels).astype("<u2").tobytes(), 0
    data.PhotometricInterpretation, data.RescaleSlope, data.RescaleIntercept = "MONOCHROME1", -1, 3071


def overlay(data: Dataset, _plane: int) -> None:
    """12 bits of HU, and something else in the four that are not used."""
    stored(data, BitsStored=12, HighBit=11)
    pixels = np.frombuffer(data.PixelData, "<u2").reshape(data.Rows, data.Columns).copy()
    pixels[5:9] |= 0x8000
    data.PixelData = pixels.tobytes()


def vendors_own(data: Dataset, _plane: int) -> None:
    """A class of objects that only a vendor knows."""
    stored(data, SOPClassUID=UID("1.3.12.2.1107.5.9.1"))
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID


def map_of_iodine(data: Dataset, _plane: int) -> None:
    """A map of what the CT shows of iodine, whose header calls it so."""
    pixels = np.frombuffer(data.PixelData, "<i2")
    data.PixelData = np.where(pixels > -300, pixels // 4, -1024).astype("<i2").tobytes()
    data.ImageType = ["DERIVED", "PRIMARY", "AXIAL", "DE_IODINE"]


def no_rescaling(frame: Dataset, _number: int) -> None:
    """A frame without its rescaling, which is another one than that of the frames beside it."""
    del frame.PixelValueTransformationSequence


def high_throughput(data: Dataset) -> None:
    """A compression that is not read here."""
    data.PixelData = encapsulate([data.PixelData])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.201")


def syntax(uid: str) -> Callable[[Path], object]:
    """Another transfer syntax in the header than the file has; none if there is no UID."""

    def change(data: Dataset) -> None:
        if uid:
            data.file_meta.TransferSyntaxUID = UID(uid)
        else:
            del data.file_meta.TransferSyntaxUID

    return each_file(change)


def compressed(data: Dataset) -> None:
    """In JPEG-LS."""
    data.compress(JPEGLSLossless, generate_instance_uid=False)


def always(keyword: str, value: Any) -> Any:
    """A series in which this element has this value in all slices; None takes it away."""
    return setting(keyword, lambda _: value)


DICOM_VALUES: Entries = {
    "shown_inverted": ("stored values", always("PhotometricInterpretation", "MONOCHROME1"), {}),
    "stored_inverted": ("stored values", series(stored_inverted), {}),
    "overlay": ("stored values", series(overlay), {}),
    "vendors_class": ("stored values", series(vendors_own), {}),
    "jpeg_ls": ("stored values", then(series(), each_file(compressed)), {}),
    "unknown_syntax": ("stored values", then(series(), syntax("1.2.840.999.1")), {}),
    "no_syntax": ("stored values", then(series(), syntax("")), {}),
    "high_throughput": (
        "stored values",
        then(series(), each_file(high_throughput)),
        refused("High-Throughput JPEG 2000"),
    ),
    "table": ("what the values are", always("ModalityLUTSequence", [Dataset()]), refused("ModalityLUTSequence")),
    "mg_per_ml": ("what the values are", always("RescaleType", "MGML"), refused("RescaleType MGML")),
    "atomic_number": ("what the values are", always("RescaleType", "Z_EFF"), refused("RescaleType Z_EFF")),
    "own_unit": ("what the values are", always("RescaleType", "normalized"), mended("'normalized'")),
    "iodine": ("what the values are", series(map_of_iodine), refused("ImageType DE_IODINE")),
    "frames_without_rescaling": (
        "what the values are",
        enhanced(np.arange, no_rescaling),
        refused("one scale of values"),
    ),
    "projections": (
        "what the values are",
        always("ImageType", ["DERIVED", "SECONDARY", "MIP"]),
        mended("are projections"),
    ),
    "no_series_uid": ("lost UIDs", always("SeriesInstanceUID", None), left_out("without SeriesInstanceUID")),
    "no_instance_uid": ("lost UIDs", always("SOPInstanceUID", None), left_out("without SOPInstanceUID")),
    "one_instance_uid": ("lost UIDs", always("SOPInstanceUID", "1.2.3"), {}),
    "odd_uids": ("lost UIDs", always("SeriesInstanceUID", "1.02.3"), {}),
    "descriptions_in_turn": (
        "two scans by their headers",
        setting("SeriesDescription", lambda k: ("Arterial", "Venous")[k % 2]),
        refused("SeriesDescription"),
    ),
    "kernels_in_turn": (
        "two scans by their headers",
        setting("ConvolutionKernel", lambda k: ("B30f", "B70f")[k % 2]),
        refused("ConvolutionKernel"),
    ),
    "number_lost_in_some": (
        "two scans by their headers",
        setting("AcquisitionNumber", lambda _: 1, lambda k: k not in (3, 20)),
        {},
    ),
}
