"""The series that are selected in Slicer's DICOM database."""

from __future__ import annotations

from collections.abc import Sequence

import slicer

from OneShotSegLib.study.naming import unique_names

SERIES_DESCRIPTION = "0008,103e"
PATIENT_ID = "0010,0020"

Files = tuple[str, ...]


def selected_series() -> tuple[Files, ...]:
    """The files of each series selected in the DICOM module; empty if it was never opened."""
    module = getattr(slicer.modules, "DICOMWidget", None)
    browser = getattr(module, "browserWidget", None)
    if browser is None:
        return ()
    if getattr(browser, "useVisualDICOMBrowser", False):
        uids = browser.dicomVisualBrowser.patientView().selectedSeriesInstanceUIDs()
        lists = [slicer.dicomDatabase.filesForSeries(uid) for uid in uids]
    else:
        lists = list(browser.fileLists)
    return tuple(tuple(str(name) for name in files) for files in lists if files)


def series_names(series: Sequence[Files]) -> list[str]:
    """A file name for each series: patient and description."""
    return unique_names(_name(files[0]) for files in series)


def _name(file: str) -> str:
    parts = (slicer.dicomDatabase.fileValue(file, tag) for tag in (PATIENT_ID, SERIES_DESCRIPTION))
    return " ".join(part.strip() for part in parts if part and part.strip()) or "series"
