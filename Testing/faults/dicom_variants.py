"""DICOM series of one CT: the geometry that their headers give, and damaged files."""

from __future__ import annotations

import numpy as np
from dicom_writers import (
    at_planes,
    damaged_beside,
    enhanced,
    localizer,
    no_position,
    oriented,
    other_modality,
    rewritten,
    second_series,
    series,
    setting,
    sheared,
    slice_again,
    slopes,
    smaller_matrix,
    two_phases,
    uneven,
    without,
    without_preamble,
)
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from variant import Entries, cut_off, left_out, mended, refused, then

TILTED = "every slice is interpolated twice, when it is tilted and when it is read"
UNEVEN = "every slice is interpolated twice, when it is moved and when it is read"
MISSING = "a slice of 73 is the mean of its neighbours"
ROUNDED = "every second slice is stored in steps of 2 HU"

DICOM: Entries = {
    "plain": ("plain series", series(), {}),
    "backwards": ("plain series", series(backwards=True), {}),
    "implicit": ("plain series", then(series(), rewritten(ImplicitVRLittleEndian)), {}),
    "big_endian": ("plain series", then(series(), rewritten(ExplicitVRBigEndian)), {}),
    "rle": ("plain series", then(series(), rewritten("RLE")), {}),
    "no_preamble": ("plain series", then(series(), without_preamble), {}),
    "coronal": ("other orientation", oriented("LIP"), {}),
    "sagittal": ("other orientation", oriented("PIL"), {}),
    "feet_first": ("other orientation", oriented("RPS"), {}),
    "tilt_columns": ("gantry tilt", sheared((0.9, 0.0)), mended("tilted by", 0.78, TILTED)),
    "tilt_back": ("gantry tilt", sheared((-0.6, 0.0)), mended("tilted by", 0.78, TILTED)),
    "tilt_rows": ("gantry tilt", sheared((0.0, 0.75)), mended("tilted by", 0.78, TILTED)),
    "tilt_50_degrees": ("gantry tilt", sheared((5.5, 0.0)), refused("more than a gantry tilts")),
    "uneven": ("uneven gaps", at_planes(uneven), mended("unevenly spaced", 0.9, UNEVEN)),
    "slice_missing": (
        "missing slices",
        then(series(), without("012.dcm")),
        mended("missing (at", 0.92, MISSING),
    ),
    "slices_missing": (
        "missing slices",
        then(series(), without("012.dcm", "013.dcm")),
        refused("a gap of"),
    ),
    "slice_twice": ("doubled slices", then(series(), slice_again(0)), mended("more than once")),
    "file_twice": (
        "doubled slices",
        then(series(), slice_again(0, uid=False)),
        mended("more than once"),
    ),
    "two_at_one_place": (
        "two phases",
        then(series(), slice_again(9)),
        refused("different contents"),
    ),
    "phases_by_number": (
        "two phases",
        setting("AcquisitionNumber", lambda k: k % 2 + 1),
        refused("AcquisitionNumber"),
    ),
    "phases_by_time": (
        "two phases",
        setting("ContentTime", lambda k: f"10{k % 2}000"),
        refused("ContentTime"),
    ),
    "phases_half_a_gap": ("two phases", two_phases, refused("every second slice")),
    "no_spacing": (
        "missing geometry",
        setting("PixelSpacing", lambda _: None),
        refused("PixelSpacing"),
    ),
    "zero_spacing": (
        "missing geometry",
        setting("PixelSpacing", lambda _: ["0", "0"]),
        refused("PixelSpacing"),
    ),
    "no_position": (
        "missing geometry",
        setting("ImagePositionPatient", lambda _: None),
        refused("ImagePositionPatient"),
    ),
    "one_without_position": (
        "missing geometry",
        setting("ImagePositionPatient", lambda _: None, lambda k: k == 4),
        refused("none in 1 of"),
    ),
    "no_orientation": (
        "missing geometry",
        setting("ImageOrientationPatient", lambda _: None),
        refused("ImageOrientationPatient"),
    ),
    "turned_midway": (
        "change midway",
        setting("ImageOrientationPatient", lambda _: ["0.99", "0.14", "0", "-0.14", "0.99", "0"], lambda k: k > 20),
        refused("turned by"),
    ),
    "spacing_midway": (
        "change midway",
        setting("PixelSpacing", lambda _: ["5", "5"], lambda k: k > 20),
        refused("one distance between pixels"),
    ),
    "matrix_midway": ("change midway", series(smaller_matrix), refused("rows and columns")),
    "patient_midway": (
        "change midway",
        setting("PatientID", lambda _: "B", lambda k: k > 20),
        refused("one patient"),
    ),
    "frame_midway": (
        "change midway",
        setting("FrameOfReferenceUID", lambda _: "1.2.3", lambda k: k > 20),
        refused("frame of reference"),
    ),
    "rescale_midway": (
        "change midway",
        series(slopes),
        mended("different rescalings", 0.96, ROUNDED),
    ),
    "rescale_lost_midway": (
        "change midway",
        setting("RescaleIntercept", lambda _: None, lambda k: k > 20),
        refused("RescaleIntercept"),
    ),
    "localizer_within": (
        "localizers and other objects",
        then(series(), localizer(True)),
        mended("localizer"),
    ),
    "localizer_beside": (
        "localizers and other objects",
        then(series(), localizer(False)),
        mended("a localizer"),
    ),
    "dose_beside": (
        "localizers and other objects",
        then(series(), other_modality("RTDOSE", "1.2.840.10008.5.1.4.1.1.481.2")),
        mended("a dose"),
    ),
    "mr_beside": (
        "localizers and other objects",
        then(series(), other_modality("MR", "1.2.840.10008.5.1.4.1.1.4")),
        mended("MR"),
    ),
    "several_series": (
        "several series in a folder",
        then(series(), second_series),
        left_out("2 CT series"),
    ),
    "damaged_beside": ("damaged files", then(series(), damaged_beside), mended("does not lack")),
    "damaged_slice": (
        "damaged files",
        then(series(), cut_off("012.dcm", 600)),
        refused("012.dcm"),
    ),
    "last_slice_empty": (
        "damaged files",
        then(series(), cut_off("072.dcm", 0)),
        refused("072.dcm"),
    ),
    "pixels_cut_off": (
        "damaged files",
        then(series(), cut_off("012.dcm", 2500)),
        refused("012.dcm"),
    ),
    "frames": ("multi-frame", enhanced(np.arange), mended("different rescalings")),
    "frames_backwards": ("multi-frame", enhanced(lambda n: np.arange(n)[::-1]), mended()),
    "frames_interleaved": ("multi-frame", enhanced(lambda n: np.r_[0:n:2, 1:n:2]), mended()),
    "frames_with_a_gap": (
        "multi-frame",
        enhanced(lambda n: np.r_[0:10, 14:n]),
        refused("a gap of"),
    ),
    "frames_without_places": (
        "multi-frame",
        enhanced(np.arange, no_position),
        refused("ImagePositionPatient"),
    ),
}
