"""DICOM segmentations: read again with pydicom and highdicom, they lie where the masks lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.dicom_seg import export_dicom_seg
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import write_label_map
from Testing.helpers.dicom_series import write_series
from Testing.helpers.small_study import CORD, GLAND, small_ct, small_mask, write_cts, write_small_study

highdicom = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")

PATIENT = "Zaphod^Beeblebrox"


def turned(degrees: float) -> np.ndarray:
    """Axes z, y, x of a scan with a tilted gantry and a rolled patient."""
    tilt, roll = np.deg2rad([degrees, degrees / 2])
    about_x = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    about_z = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    return about_x @ about_z


DIRECTIONS = {"axial": None, "oblique": turned(14.0), "prone": np.diag([1.0, -1.0, -1.0])}


def segments_at(segmentation: Any, world: np.ndarray) -> list[set[int]]:
    """The segments at positions (N, 3) in LPS mm x, y, z, found from the frames' own headers alone."""
    pixels = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    along_row, along_column = orientation[:3], orientation[3:]
    down, across = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    thick = float(shared.PixelMeasuresSequence[0].SpacingBetweenSlices)
    found: list[set[int]] = [set() for _ in world]
    for frame, groups in zip(pixels, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        offset = world - corner
        inside = np.abs(offset @ np.cross(along_row, along_column)) < thick / 2
        column, row = np.round(offset @ along_row / across), np.round(offset @ along_column / down)
        for k in np.flatnonzero(inside):
            if frame[int(row[k]), int(column[k])]:
                found[k].add(number)
    return found


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    "direction", [None, turned(14.0), np.diag([1.0, -1.0, -1.0])], ids=["axial", "oblique", "prone"]
)
def test_every_voxel_lies_where_the_mask_has_it(tmp_path: Path, direction: np.ndarray | None, backwards: bool) -> None:
    ct = small_ct(direction=direction)
    source = write_series(tmp_path / "scan", ct, PATIENT, backwards)
    study = write_small_study(tmp_path / "study", {"scan": source}, ("accepted",))
    written, passed_over = export_dicom_seg(study.root, tmp_path / "seg")
    assert (written, passed_over) == ([tmp_path / "seg" / "scan.dcm"], {})
    labels = small_mask(read_volume(source)).volume
    voxels = np.argwhere(np.ones(labels.shape, dtype=bool))
    found = segments_at(pydicom.dcmread(written[0]), labels.to_world(voxels)[:, ::-1])
    expected = [{CORD: {1}, GLAND: {2}}.get(value, set()) for value in labels.array[tuple(voxels.T)]]
    assert found == expected


def test_it_names_the_structures_and_refers_to_the_patient_s_series(tmp_path: Path) -> None:
    source = write_series(tmp_path / "scan", small_ct(), PATIENT)
    study = write_small_study(tmp_path / "study", {"scan": source}, ("edited",))
    (path,), _ = export_dicom_seg(study.root, tmp_path / "seg")
    slices = [pydicom.dcmread(name, stop_before_pixels=True) for name in sorted(source.iterdir())]
    seg = highdicom.seg.segread(path)
    assert (seg.Modality, str(seg.PatientName)) == ("SEG", PATIENT)
    assert seg.StudyInstanceUID == slices[0].StudyInstanceUID
    assert seg.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    assert seg.SeriesInstanceUID != slices[0].SeriesInstanceUID
    cord, gland = (seg.get_segment_description(number) for number in (1, 2))
    assert (cord.segment_label, gland.segment_label) == ("Cord", "Drüse links")
    assert (cord.segmented_property_type.value, cord.segmented_property_type.scheme_designator) == ("2748008", "SCT")
    assert gland.segmented_property_type.meaning == "Tissue"
    referred = {
        item.ReferencedSOPInstanceUID
        for groups in seg.PerFrameFunctionalGroupsSequence
        for derivation in groups.DerivationImageSequence
        for item in derivation.SourceImageSequence
    }
    assert referred
    assert referred <= {data.SOPInstanceUID for data in slices}
    expected = small_mask(read_volume(source), shift=1).volume.array
    assert seg.get_volume(combine_segments=True).array.sum() == (expected == CORD).sum() + 2 * (expected == GLAND).sum()


def test_cases_without_a_series_or_a_structure_are_left_out_by_name(tmp_path: Path) -> None:
    sources = write_cts(tmp_path / "ct", ("plain",))
    for name in ("scan", "bare"):
        sources[name] = write_series(tmp_path / name, small_ct(), PATIENT)
    study = write_small_study(tmp_path / "study", sources, ("accepted",) * 3)
    empty = small_mask(small_ct())
    empty.volume.array[:] = 0
    write_label_map(empty, study.case("bare").pseudo_mask)
    written, passed_over = export_dicom_seg(study.root, tmp_path / "seg")
    assert [path.name for path in (tmp_path / "seg").iterdir()] == ["scan.dcm"]
    assert [path.name for path in written] == ["scan.dcm"]
    assert set(passed_over) == {"plain", "bare"}


def test_a_study_of_nifti_files_is_refused(tmp_path: Path) -> None:
    study = write_small_study(tmp_path / "study", write_cts(tmp_path / "ct", ("pt_1",)), ("accepted",))
    with pytest.raises(InputError, match="expected cases whose CT is a folder with a DICOM series, found none"):
        export_dicom_seg(study.root, tmp_path / "seg")
    assert not (tmp_path / "seg").exists()
