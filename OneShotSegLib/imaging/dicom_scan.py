"""Which DICOM series a folder holds, from the headers of its files alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
)
"""CT, enhanced CT, legacy converted enhanced CT."""
NOT_SCANS = ("RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "RTRECORD", "SEG", "SR", "PR", "KO", "REG", "DOC", "OT", "SC")
TAGS = ["SOPClassUID", "ImageType", "Modality", "SeriesDescription", "SeriesInstanceUID", "NumberOfFrames", "Rows"]
PREAMBLE = 128
DIRECTORY = "1.2.840.10008.1.3.10"
"""What a DICOMDIR says that it is."""


@dataclass(frozen=True, kw_only=True)
class SeriesInfo:
    """A DICOM series of a folder.

    Attributes:
        uid: Series instance UID.
        modality: Such as CT or RTSTRUCT; '' if the files do not say.
        description: Series description, '' if there is none.
        slices: Number of slices, or of frames of multi-frame files; 0 for what is no image.
        files: Its files, sorted by name.
        is_localizer: Whether it says that it is a localizer (scout, topogram).
        sop_class: SOP class UID of the first of its files.
    """

    uid: str
    modality: str
    description: str
    slices: int
    files: tuple[Path, ...]
    is_localizer: bool
    sop_class: str

    @property
    def is_scan(self) -> bool:
        """Whether it can be a scan of slices: images of a modality that makes slices, no localizer."""
        return self.slices > 0 and self.modality.upper() not in NOT_SCANS and not self.is_localizer

    @property
    def is_ct(self) -> bool:
        """Whether it is a scan of a CT."""
        return self.is_scan and (self.modality.upper() == "CT" or self.sop_class in CT_CLASSES)


def scan_files(folder: Path) -> tuple[list[SeriesInfo], list[Path]]:
    """The DICOM series of a folder, not below it, and the DICOM files there that are damaged."""
    found: dict[str, SeriesInfo] = {}
    broken: list[Path] = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if not is_dicom(path):
            continue
        info = _info(path)
        if info is None:
            broken.append(path)
        elif info.sop_class != DIRECTORY:
            found[info.uid] = _joined(found[info.uid], info) if info.uid in found else info
    return list(found.values()), broken


def is_dicom(path: Path) -> bool:
    """Whether a file begins as a DICOM file."""
    try:
        with path.open("rb") as file:
            return file.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"
    except OSError:
        return False


def instances_of(files: Iterable[Path]) -> set[str]:
    """The SOP instance UIDs of DICOM files, those of damaged ones left out."""
    return {str(data.get("SOPInstanceUID", "")) for path in files if (data := _header(path, ["SOPInstanceUID"]))}


def _info(path: Path) -> SeriesInfo | None:
    data = _header(path, TAGS)
    if data is None:
        return None
    try:
        meta = str(data.file_meta.get("MediaStorageSOPClassUID") or "")
        if not data.get("SeriesInstanceUID") and meta != DIRECTORY:
            return None
        frames = int(data.get("NumberOfFrames") or 1)
        image_type = data.get("ImageType") or ()
        parts = [image_type] if isinstance(image_type, str) else list(image_type)
        return SeriesInfo(
            uid=str(data.get("SeriesInstanceUID") or ""),
            modality=str(data.get("Modality") or "").strip(),
            description=str(data.get("SeriesDescription") or "").strip(),
            slices=frames if data.get("Rows") else 0,
            files=(path,),
            is_localizer=any(str(part).upper() in ("LOCALIZER", "SCOUT") for part in parts),
            sop_class=str(data.get("SOPClassUID") or meta),
        )
    except Exception:  # pydicom converts when asked, and raises whatever a damaged byte leads to
        return None


def _header(path: Path, tags: list[str]) -> Any:
    from pydicom import dcmread

    try:
        return dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    except Exception:  # as above
        return None


def _joined(known: SeriesInfo, one: SeriesInfo) -> SeriesInfo:
    # A localizer among the slices does not make a localizer of the series.
    return replace(
        known,
        slices=known.slices + one.slices,
        files=known.files + one.files,
        is_localizer=known.is_localizer and one.is_localizer,
    )
