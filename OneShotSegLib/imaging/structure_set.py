"""The content of a DICOM structure set (RTSTRUCT), read so that a damaged file is never taken for a whole one."""

from __future__ import annotations

import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.ct_series import require_pydicom
from OneShotSegLib.imaging.labelmaps import Color

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

STRUCTURE_SET_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
LEAST_POINTS = 3
UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, eq=False, kw_only=True)
class RegionOfInterest:
    """One structure as the file has it.

    Attributes:
        number: ROI number, which names it within the file.
        name: ROI name, its letters with accents in one form; '' if it has none.
        color: RGB, 0-1; None if it has none.
        contours: Its closed contours with at least three points, LPS mm [z, y, x], each of shape (N, 3).
        unused: How many items of another kind it has (POINT and the like), by kind.
        frame_of_reference: UID of the frame that its contours are in; '' if it is not told.
    """

    number: int
    name: str
    color: Color | None
    contours: tuple[NDArray[np.float64], ...]
    unused: Mapping[str, int] = field(default_factory=dict)
    frame_of_reference: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class StructureSet:
    """A whole file.

    Attributes:
        path: The file.
        patient_id: Patient ID; '' if it has none.
        instances: UIDs of all images that it refers to.
        regions: Its structures, in the file's order.
    """

    path: Path
    patient_id: str
    instances: frozenset[str]
    regions: tuple[RegionOfInterest, ...]


def read_structure_set(path: Path) -> StructureSet:
    """Read a file.

    Raises:
        InputError: With one sentence, if it is missing, damaged, or no structure set, or if pydicom is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    require_pydicom(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's own, on values that are of no matter here
        try:
            return _structure_set(path, _dataset(path))
        except InputError:
            raise
        except Exception as error:  # whatever pydicom says of a file that can hold anything
            raise _damaged(path, "a damaged one") from error


def _damaged(path: Path, found: str) -> InputError:
    return InputError(f"{path}: expected a whole DICOM structure set (RTSTRUCT), found {found}.")


def _dataset(path: Path) -> Dataset:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        data = dcmread(path)
    except InvalidDicomError as error:
        raise _damaged(path, "a file that is no DICOM") from error
    kind = str(data.get("Modality") or "")
    if kind != "RTSTRUCT" and data.get("SOPClassUID") != STRUCTURE_SET_STORAGE:
        raise _damaged(path, f"a DICOM file of modality {kind[:16]!r}")
    _check_is_whole(path, data)
    for name in ("StructureSetROISequence", "ROIContourSequence"):
        if name not in data:
            raise _damaged(path, f"one without {name} (cut off?)")
    return data


def _check_is_whole(path: Path, data: Dataset) -> None:
    """Refuse a file that ends within an element: pydicom takes what there is of it for all of it."""
    for element in data.values():
        length, value = getattr(element, "length", None), element.value
        if length not in (None, UNDEFINED_LENGTH) and isinstance(value, bytes) and len(value) != length:
            raise _damaged(path, "one that is cut off")


def _structure_set(path: Path, data: Dataset) -> StructureSet:
    items: dict[int, Dataset] = {}
    for item in data.ROIContourSequence:
        _check_is_whole(path, item)
        if int(item.ReferencedROINumber) in items:
            raise _damaged(path, f"the contours of ROI {item.ReferencedROINumber} twice")
        items[int(item.ReferencedROINumber)] = item
    described = {int(item.ROINumber): item for item in data.StructureSetROISequence}
    if len(described) < len(data.StructureSetROISequence):
        raise _damaged(path, "two structures of one ROI number")
    strangers = sorted(set(items) - set(described))
    if strangers:
        raise _damaged(path, f"contours of an ROI that is not described (number {strangers[0]})")
    whole = str(data.get("FrameOfReferenceUID") or "")
    regions = tuple(_region(path, n, item, items.get(n), whole) for n, item in described.items())
    if not data.get("SpecificCharacterSet"):
        regions = tuple(replace(region, name=_read_as_utf_8(region.name)) for region in regions)
    return StructureSet(
        path=path,
        patient_id=str(data.get("PatientID") or "").strip(),
        instances=frozenset(_series_instances(data)) | frozenset(_contour_instances(items.values())),
        regions=regions,
    )


def _read_as_utf_8(name: str) -> str:
    """A name in UTF-8 of a file that does not say so, which was read byte by byte; other names stay."""
    try:
        return unicodedata.normalize("NFC", name.encode("latin-1").decode("utf-8"))
    except UnicodeError:
        return name


def _region(path: Path, number: int, described: Dataset, item: Dataset | None, frame: str) -> RegionOfInterest:
    contours, unused = [], Counter[str]()
    for contour in (item.get("ContourSequence") or ()) if item is not None else ():
        kind = str(contour.get("ContourGeometricType") or "of no type").strip()
        points = _points(path, contour)
        if kind in CLOSED and len(points) < LEAST_POINTS:
            kind = "closed contour of fewer than three points"
        if kind in CLOSED:
            contours.append(points)
        else:
            unused[kind] += 1
    return RegionOfInterest(
        number=number,
        name=unicodedata.normalize("NFC", " ".join(str(described.get("ROIName") or "").split())),
        color=None if item is None else _color(item.get("ROIDisplayColor")),
        contours=tuple(contours),
        unused=dict(unused),
        frame_of_reference=str(described.get("ReferencedFrameOfReferenceUID") or frame),
    )


def _points(path: Path, contour: Dataset) -> NDArray[np.float64]:
    """A contour's points in LPS mm [z, y, x], shape (N, 3)."""
    _check_is_whole(path, contour)
    values = _numbers(contour)
    if len(values) % 3:
        raise _damaged(path, f"a contour of {len(values)} coordinates, which is no multiple of three")
    if not np.isfinite(values).all():
        raise _damaged(path, "a contour with coordinates that are no numbers")
    count = contour.get("NumberOfContourPoints")
    if count is not None and int(count) != len(values) // 3:
        raise _damaged(path, f"a contour of {len(values) // 3} points where {int(count)} are announced")
    return values.reshape(-1, 3)[:, ::-1]


def _numbers(contour: Dataset) -> NDArray[np.float64]:
    """The coordinates; taken from the text at once, as one object for each of a million numbers takes seconds."""
    from pydicom.dataelem import RawDataElement

    element: Any = contour.get_item("ContourData")
    if element is None or not element.value:
        return np.zeros(0)
    if isinstance(element, RawDataElement) or isinstance(element.value, bytes):
        parts = element.value.rstrip(b"\0 ").split(b"\\")
        return np.array([float(part) for part in parts], dtype=np.float64)
    return np.asarray(element.value, dtype=np.float64).ravel()


def _color(values: Any) -> Color | None:
    try:
        red, green, blue = (min(max(int(value), 0), 255) / 255 for value in values)
    except (TypeError, ValueError):
        return None
    return red, green, blue


def _contour_instances(items: Iterable[Dataset]) -> Iterator[str]:
    """The images that the contours refer to."""
    for item in items:
        for contour in item.get("ContourSequence") or ():
            yield from _referenced(contour)


def _series_instances(data: Dataset) -> Iterator[str]:
    """The images of the series that the file as a whole refers to."""
    for frame in data.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for series in study.get("RTReferencedSeriesSequence") or ():
                yield from _referenced(series)


def _referenced(data: Dataset) -> Iterator[str]:
    for image in data.get("ContourImageSequence") or ():
        if image.get("ReferencedSOPInstanceUID"):
            yield str(image.ReferencedSOPInstanceUID)
