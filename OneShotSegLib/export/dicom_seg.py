"""A study's masks as DICOM segmentations that belong to the series of their CTs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import OneShotSegLib
from OneShotSegLib.errors import InputError
from OneShotSegLib.export.dicom_cases import Tracked, export_cases
from OneShotSegLib.export.dicom_codes import Concept, category_and_type
from OneShotSegLib.imaging.dicom_series import series_files
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, consecutive
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.results import StudyResult

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_NUMBER = 900
"""Well above those that scanners give, so that a viewer lists it last."""


def export_dicom_seg(
    study: Path, folder: Path, accepted_only: bool = True, tracked: Tracked = iter
) -> tuple[list[Path], dict[str, str]]:
    """Write ``<case>.dcm`` for each case whose CT is a DICOM series, all or none.

    Args:
        study: The study folder.
        folder: A new or empty folder.
        accepted_only: Leave out what waits for review.
        tracked: Wraps the cases to show progress.

    Returns:
        The files, and for each case that was passed over, the reason.

    Raises:
        InputError: If highdicom is not installed, no case has a DICOM series, or the folder holds something.
    """
    _require_highdicom()
    return export_cases(study, folder, _write, accepted_only, tracked)


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

    slices = [dcmread(name, stop_before_pixels=True) for name in series_files(result.ct)]
    by = AlgorithmIdentificationSequence("OneShotSeg", codes.DCM.ArtificialIntelligence, OneShotSegLib.__version__)
    try:
        return Segmentation(
            source_images=slices,
            pixel_array=_patient_volume(ct, numbered, slices[0].get("FrameOfReferenceUID")),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[_description(n, s, result, by) for n, s in enumerate(segments, 1)],
            series_instance_uid=UID(),
            series_number=SERIES_NUMBER,
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer="OneShotSeg",
            manufacturer_model_name="OneShotSeg",
            software_versions=OneShotSegLib.__version__,
            device_serial_number="0",
            series_description="OneShotSeg segmentation",
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


def _description(number: int, segment: Segment, result: StudyResult, by: Any) -> Any:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from highdicom.uid import UID

    category, kind = category_and_type(segment)
    return SegmentDescription(
        segment_number=number,
        segment_label=segment.name[:64],
        segmented_property_category=_code(category),
        segmented_property_type=_code(kind),
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=by,
        tracking_uid=UID(),
        tracking_id=f"{result.case} {segment.name}"[:64],
        display_color=CIELabColor.from_rgb(*(round(255 * part) for part in segment.color)),
    )


def _code(concept: Concept) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(concept.value, concept.scheme, concept.meaning)
