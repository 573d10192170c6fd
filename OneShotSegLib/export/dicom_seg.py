"""A study's masks as DICOM segmentations that belong to the series of their CTs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import OneShotSegLib
from OneShotSegLib.errors import InputError
from OneShotSegLib.export.dicom_cases import MAY_BE_EMPTY, Tracked, export_cases
from OneShotSegLib.export.dicom_codes import UTF_8, Concept, category_and_type, dicom_text, roi_names, text_of
from OneShotSegLib.export.selection import OnFailure, log_failure
from OneShotSegLib.imaging.dicom.headers import text
from OneShotSegLib.imaging.dicom.regular import labels_on_slices
from OneShotSegLib.imaging.dicom.stacking import Stack
from OneShotSegLib.imaging.dicom_series import series_slices
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, consecutive
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.results import StudyResult

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_NUMBER = 900
"""Well above those that scanners give, so that a viewer lists it last."""
TEXTS = ("PN", "LO", "SH", "ST", "LT", "UC", "UT")
"""Types of values that depend on the character set."""
DATE = re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
CONFORMING = {
    "PatientBirthDate": DATE,
    "StudyDate": DATE,
    "StudyTime": TIME,
    "PatientSex": re.compile("[MFO]"),
}


def export_dicom_seg(
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
        InputError: If highdicom is not installed, no case has a DICOM series, none can be written, or the folder holds
            something.
    """
    _require_highdicom()
    return export_cases(study, folder, _write, accepted_only, tracked, on_failure)


def _require_highdicom() -> None:
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise InputError(
            'DICOM segmentations: expected highdicom to be installed (pip install "OneShotSegLib[dicom]"), found none.'
        ) from error


def _write(result: StudyResult, ct: Volume, labels: LabelMap, path: Path) -> None:
    segmentation(result, consecutive(labels.volume, labels.segments), labels.segments).save_as(path)


def segmentation(result: StudyResult, numbered: Volume, segments: Sequence[Segment]) -> Dataset:
    """A binary DICOM segmentation, each frame on the plane of a slice of the series and with a reference to it.

    Args:
        result: The case.
        numbered: Its labels on the CT's grid (for tilted or unevenly spaced slices, the regular grid onto which they
            were read), 1 for the first of the segments.
        segments: What they are, none of them empty.

    Raises:
        InputError: If the series lacks what a segmentation has to refer to.
    """
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from highdicom.uid import UID
    from pydicom.sr.codedict import codes

    stack = series_slices(result.ct, result.series)
    sources = _sources(stack)
    labels = roi_names(segment.name for segment in segments)
    by = AlgorithmIdentificationSequence("OneShotSeg", codes.DCM.ArtificialIntelligence, OneShotSegLib.__version__)
    try:
        with warnings.catch_warnings():
            # It warns of names of one component, and prints them: a patient's name belongs nowhere else.
            warnings.simplefilter("ignore")
            return Segmentation(
                source_images=sources,
                pixel_array=_frames(numbered, stack, sources),
                segmentation_type=SegmentationTypeValues.BINARY,
                segment_descriptions=[
                    _description(number, label, segment, result, by)
                    for number, (label, segment) in enumerate(zip(labels, segments, strict=True), 1)
                ],
                series_instance_uid=UID(),
                series_number=SERIES_NUMBER,
                sop_instance_uid=UID(),
                instance_number=1,
                manufacturer="OneShotSeg",
                manufacturer_model_name="OneShotSeg",
                software_versions=OneShotSegLib.__version__,
                device_serial_number="0",
                series_description="OneShotSeg segmentation",
                specific_character_set=UTF_8,
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Other errors may have values of the header in them, which are a patient's.
        found = (
            f"otherwise ({error})" if isinstance(error, (AttributeError, KeyError)) else "values that do not conform"
        )
        raise InputError(
            f"{result.ct}: expected a series with what a DICOM segmentation has to refer to, found {found}."
        ) from error


def _sources(stack: Stack) -> list[Dataset]:
    """Headers of the series' files in the order of the slices, with what highdicom needs and a CT may lack.

    What DICOM lets be empty is so; orientation and spacing, which may differ in the last digits or be untrue, are those
    of the stack.
    """
    from pydicom import dcmread

    sources: list[Dataset] = [
        dcmread(file, stop_before_pixels=True) for file in dict.fromkeys(one.file for one in stack.slices)
    ]
    spacing = float(stack.along[-1]) / (len(stack.slices) - 1)
    for data in sources:
        for keyword in MAY_BE_EMPTY:
            if keyword not in data:
                setattr(data, keyword, "")
        _empty_what_does_not_conform(data)
        _put_in_utf_8(data)
        holder = data
        if "PerFrameFunctionalGroupsSequence" in data:
            holder = _shared_measures(data)
        else:
            data.ImageOrientationPatient = sources[0].ImageOrientationPatient
            data.PixelSpacing = sources[0].PixelSpacing
        if not holder.get("SliceThickness"):
            holder.SliceThickness = f"{spacing:.10g}"
        if "SpacingBetweenSlices" in holder:
            del holder.SpacingBetweenSlices
        if stack.is_regular:
            holder.SpacingBetweenSlices = f"{spacing:.10g}"
    return sources


def _empty_what_does_not_conform(data: Dataset) -> None:
    """Dates, times and a sex that DICOM does not know, as anonymisers write them, are left empty."""
    for keyword, form in CONFORMING.items():
        if keyword in data and not form.fullmatch(text(data, keyword)):
            setattr(data, keyword, "")


def _put_in_utf_8(data: Dataset) -> None:
    """Have the texts of a header written in UTF-8, whatever its own character set is."""
    data.decode()
    for element in data:
        if element.VR in TEXTS and element.value is not None:
            element.value = text_of(element.value)
    data.SpecificCharacterSet = UTF_8


def _shared_measures(data: Dataset) -> Dataset:
    """The pixel measures that all frames of a multi-frame file share; what each frame has alike is shared first."""
    from pydicom.dataset import Dataset

    if "SharedFunctionalGroupsSequence" not in data:
        data.SharedFunctionalGroupsSequence = [Dataset()]
    shared, first = data.SharedFunctionalGroupsSequence[0], data.PerFrameFunctionalGroupsSequence[0]
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if keyword not in shared:
            setattr(shared, keyword, first.get(keyword))
    measures: Dataset = shared.PixelMeasuresSequence[0]
    return measures


def _frames(numbered: Volume, stack: Stack, sources: Sequence[Dataset]) -> NDArray[np.uint8]:
    """The labels on the planes of the slices: one frame per file, or per frame of the one multi-frame file."""
    on_slices = labels_on_slices(numbered, stack)
    if stack.slices[0].frame is None:
        return on_slices
    frames = np.zeros((int(sources[0].NumberOfFrames), *on_slices.shape[1:]), dtype=np.uint8)
    for one, labels in zip(stack.slices, on_slices, strict=True):
        frames[one.frame] = labels
    return frames


def _description(number: int, label: str, segment: Segment, result: StudyResult, by: Any) -> Any:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from highdicom.uid import UID

    category, kind = category_and_type(segment)
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=_code(category),
        segmented_property_type=_code(kind),
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=by,
        tracking_uid=UID(),
        tracking_id=dicom_text(f"{result.case} {segment.name}"),
        display_color=CIELabColor.from_rgb(*(round(255 * part) for part in segment.color)),
    )


def _code(concept: Concept) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(concept.value, concept.scheme, concept.meaning)
