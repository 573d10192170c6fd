"""Which DICOM series a folder holds, and which of them is its CT; from headers alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.headers import (
    DAMAGED,
    BrokenHeaderError,
    is_named_as_dicom,
    looks_like_dicom,
    quiet_pydicom,
    read_header,
    short,
    text,
    texts,
    whole_number,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

log = logging.getLogger(__name__)

TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "ImageType",
    "Modality",
    "SeriesDescription",
    "PatientID",
    "StudyDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "NumberOfFrames",
    "Rows",
    "ImagePositionPatient",
]
CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
)
"""CT, enhanced CT, legacy converted enhanced CT."""
NOT_SCANS = ("RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "RTRECORD", "SEG", "SR", "PR", "KO", "REG", "DOC", "OT", "SC")
LOCALIZERS = ("LOCALIZER", "SCOUT")


@dataclass(frozen=True, kw_only=True)
class SeriesInfo:
    """A DICOM series.

    Attributes:
        uid: Series instance UID.
        modality: Such as CT or RTSTRUCT; '' if the files do not say.
        description: Series description, '' if there is none.
        slices: Number of slices, or of frames of multi-frame files; 0 for what is no image.
        files: Its files, sorted by name.
        image_type: Of the first of its files, such as ORIGINAL, PRIMARY, AXIAL.
        patient_id: Patient ID, '' if there is none.
        study_date: Study date as YYYYMMDD, '' if there is none.
        study_uid: Study instance UID.
        sop_class: SOP class UID of the first of its files.
        number: Series number, if there is one.
        is_placed: Whether all its files say where they lie; multi-frame files are taken to do so.
        damaged: Damaged files of its folder that may be slices of it; see `imaging.dicom.damage`.
    """

    uid: str
    modality: str
    description: str
    slices: int
    files: tuple[Path, ...]
    image_type: tuple[str, ...]
    patient_id: str
    study_date: str
    study_uid: str
    sop_class: str
    number: int | None
    is_placed: bool
    damaged: tuple[Path, ...] = ()

    @property
    def is_localizer(self) -> bool:
        """Whether it says that it is a localizer (scout, topogram)."""
        return is_localizer(self.image_type)

    @property
    def is_scan(self) -> bool:
        """Whether it can be a scan of slices: images of a modality that makes slices, no localizer, no screen."""
        is_screen = not self.is_placed and any(part.upper() == "SECONDARY" for part in self.image_type)
        return self.slices > 0 and self.modality.upper() not in NOT_SCANS and not self.is_localizer and not is_screen

    @property
    def is_ct(self) -> bool:
        """Whether it is a scan of a CT."""
        return self.is_scan and (self.modality.upper() == "CT" or self.sop_class in CT_CLASSES)

    def describe(self) -> str:
        """In a few words, for a list of several."""
        named = short(self.description) or (f"series {self.number}" if self.number is not None else "no description")
        kind = ", a localizer" if self.is_localizer else ""
        slices = f"{self.slices} slice{'s' if self.slices != 1 else ''}"
        return f"{named!r} ({self.modality or 'no modality'}, {slices}{kind})"


def is_localizer(image_type: Iterable[str]) -> bool:
    """Whether an image type is that of a localizer."""
    return any(part.upper() in LOCALIZERS for part in image_type)


@quiet_pydicom()
def scan_files(folder: Path) -> tuple[list[SeriesInfo], dict[Path, str]]:
    """The DICOM series of a folder, not below it, and what its damaged DICOM files are; other files do not matter.

    Args:
        folder: An existing folder.
    """
    found: dict[str, SeriesInfo] = {}
    broken: dict[Path, str] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            data = read_header(path, TAGS)
        except BrokenHeaderError as error:
            broken[path] = error.what
            continue
        if data is None and is_named_as_dicom(path) and path.name[0] != "." and not looks_like_dicom(path):
            broken[path] = DAMAGED
        elif data is not None and text(data, "SOPClassUID") in CT_CLASSES and not whole_number(data, "Rows"):
            broken[path] = DAMAGED  # cut off before what makes it an image
        elif data is not None:
            one = _info(path, data)
            known = found.get(one.uid)
            found[one.uid] = one if known is None else _joined(known, one)
    return list(found.values()), broken


def _info(path: Path, data: Dataset) -> SeriesInfo:
    frames = whole_number(data, "NumberOfFrames") or 1
    return SeriesInfo(
        uid=text(data, "SeriesInstanceUID"),
        modality=text(data, "Modality"),
        description=text(data, "SeriesDescription"),
        slices=frames if whole_number(data, "Rows") else 0,
        files=(path,),
        image_type=texts(data, "ImageType"),
        patient_id=text(data, "PatientID"),
        study_date=text(data, "StudyDate"),
        study_uid=text(data, "StudyInstanceUID"),
        sop_class=text(data, "SOPClassUID"),
        number=whole_number(data, "SeriesNumber"),
        is_placed=bool(texts(data, "ImagePositionPatient") or whole_number(data, "NumberOfFrames")),
    )


def _joined(known: SeriesInfo, one: SeriesInfo) -> SeriesInfo:
    # A localizer among the slices does not make a localizer of the series.
    image_type = one.image_type if known.is_localizer and not one.is_localizer else known.image_type
    return replace(
        known,
        slices=known.slices + one.slices,
        files=known.files + one.files,
        image_type=image_type,
        is_placed=known.is_placed and one.is_placed,
    )


def one_scan(folder: Path, uid: str = "") -> SeriesInfo:
    """The one CT of a folder, or its one scan of another modality if it holds no CT.

    Args:
        folder: An existing folder.
        uid: Series instance UID, for a folder that holds several CT series.

    Raises:
        InputError: If it holds none or several.
    """
    series, broken = scan_files(folder)
    if uid:
        named = [one for one in series if one.uid == uid]
        if not named:
            raise InputError(f"{folder}: expected the DICOM series {uid}, found {_listed(series)}.")
        return replace(named[0], damaged=tuple(broken))
    scans = [one for one in series if one.is_ct] or [one for one in series if one.is_scan]
    several = [one for one in scans if one.slices > 1]
    chosen = several if several else scans
    if len(chosen) == 1:
        others = [one.describe() for one in series if one is not chosen[0]]
        if others:
            log.info("%s: read %s, not %s.", folder, chosen[0].describe(), ", ".join(others))
        return replace(chosen[0], damaged=tuple(broken))
    if not chosen:
        damaged = f" and {' and '.join(_sorts(broken))}" if broken else ""
        raise InputError(f"{folder}: expected a DICOM series of a CT in this folder, found {_listed(series)}{damaged}.")
    raise InputError(
        f"{folder}: expected one CT series in this folder, found {len(chosen)}: {_listed(chosen)}; put each into a "
        "folder of its own, or choose one (--series)."
    )


def _sorts(broken: Mapping[Path, str]) -> list[str]:
    """What files are that cannot be used, with the names of some of each sort."""
    sorts: dict[str, list[Path]] = {}
    for path, what in broken.items():
        sorts.setdefault(what, []).append(path)
    return [f"{'damaged files' if what == DAMAGED else what} ({names_of(paths)})" for what, paths in sorts.items()]


def _listed(series: Sequence[SeriesInfo]) -> str:
    return ", ".join(one.describe() for one in series) or "none"


def names_of(paths: Sequence[Path]) -> str:
    """The names of files, at most three."""
    shown = ", ".join(path.name for path in paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"
