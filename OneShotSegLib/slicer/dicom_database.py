"""The CT series that are selected in Slicer's DICOM database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import slicer

from OneShotSegLib.study.naming import unique_names

SERIES_DESCRIPTION = "0008,103E"
MODALITY = "0008,0060"
SERIES_UID = "0020,000E"
CT = "CT"
SHORT = 6

Files = tuple[str, ...]


def selected_series() -> tuple[tuple[Files, ...], int]:
    """The files of each CT series selected in the DICOM module, and how many other series are selected."""
    every = _all_selected()
    series = tuple(files for files in every if slicer.dicomDatabase.fileValue(files[0], MODALITY) == CT)
    return series, len(every) - len(series)


def _all_selected() -> tuple[Files, ...]:
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
    """A name for each series: its description, and a few signs that are the same at each run.

    Names become folder names and are shown in reports: they say nothing of the patient.
    """
    return unique_names(_name(files[0]) for files in series)


def _name(file: str) -> str:
    description = slicer.dicomDatabase.fileValue(file, SERIES_DESCRIPTION).strip() or CT
    uid = slicer.dicomDatabase.fileValue(file, SERIES_UID)
    return f"{description} {hashlib.sha256(uid.encode()).hexdigest()[:SHORT]}"
