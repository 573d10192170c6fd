"""A study's masks as DICOM segmentations that belong to the series of their CTs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import OneShotSegLib
from OneShotSegLib.errors import InputError
from OneShotSegLib.export.dicom_cases import Tracked, export_cases
from OneShotSegLib.export.dicom_codes import UTF_8, Concept, category_and_type, dicom_text, roi_names, text_of
from OneShotSegLib.export.selection import OnFailure, log_failure
from OneShotSegLib.imaging.dicom_series import series_files
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, consecutive
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.results import StudyResult

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_NUMBER = 900
"""Well above those that scanners give, so that a viewer lists it last."""
TEXTS = ("PN", "LO", "SH", "ST", "LT", "UC", "UT")
"""Types of values that depend on the character set."""
AT_LEAST_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""What DICOM allows to be empty, and an anonymised series may lack."""


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
    segmentation(result, ct, consecutive(labels.volume, labels.segments), labels.segments).save_as(path)


def segmentation(result: StudyResult, ct: Volume, numbered: Volume, segments: Sequence[Segment]) -> Dataset:
    """A binary DICOM segmentation.

    Args:
        result: The case.
        ct: Its CT.
        numbered: Its labels on the same grid, 1 for the first of the segments.
        segments: What they are, none of them empty.

    Raises:
        InputError: If the series lacks what a segmentation has to refer to.
    """
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from highdicom.uid import UID
    from pydicom import dcmread
    from pydicom.sr.codedict import codes

    slices = [_complete(dcmread(name, stop_before_pixels=True)) for name in series_files(result.ct)]
    labels = roi_names(segment.name for segment in segments)
    by = AlgorithmIdentificationSequence("OneShotSeg", codes.DCM.ArtificialIntelligence, OneShotSegLib.__version__)
    try:
        with warnings.catch_warnings():
            # It warns of names of one component, and prints them: a patient's name belongs nowhere else.
            warnings.simplefilter("ignore")
            return Segmentation(
                source_images=slices,
                pixel_array=_patient_volume(ct, numbered, slices[0].get("FrameOfReferenceUID")),
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
        raise InputError(
            f"{result.ct}: expected a series with what a DICOM segmentation has to refer to, found otherwise ({error})."
        ) from error


def _patient_volume(ct: Volume, numbered: Volume, frame_of_reference: str | None) -> Any:
    """The labels with their place in the patient, as highdicom has it: axes z, y, x; positions x, y, z."""
    from highdicom import Volume as PatientVolume

    affine = np.eye(4)
    affine[:3, :3] = (ct.direction * ct.spacing)[::-1]
    affine[:3, 3] = ct.origin[::-1]
    return PatientVolume(numbered.array, affine, "PATIENT", frame_of_reference_uid=frame_of_reference)


def _complete(header: Dataset) -> Dataset:
    """A slice's header in UTF-8, with nothing where it has nothing of what has to be there, empty if need be."""
    header.decode()
    for name in AT_LEAST_EMPTY:
        if name not in header:
            setattr(header, name, "")
    for element in header:
        if element.VR in TEXTS and element.value is not None:
            element.value = text_of(element.value)
    header.SpecificCharacterSet = UTF_8
    return header


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
