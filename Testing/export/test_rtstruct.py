"""Structure sets: read again with pydicom and matplotlib alone, or by us, the voxels inside are those of the masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import OneShotSegLib
from OneShotSegLib.cli.app import app
from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation import evaluate
from OneShotSegLib.export.contours import closed_contours
from OneShotSegLib.export.dicom_codes import roi_names
from OneShotSegLib.export.rtstruct import export_rtstruct, structure_set
from OneShotSegLib.imaging.ct_series import read_ct_series
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.polygons import fill_polygons
from OneShotSegLib.imaging.rtstruct import read_rtstruct
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.supports import read_supports
from OneShotSegLib.study.correction import write_correction
from Testing.helpers.small_study import CORD, GLAND, small_ct, small_mask, write_cts, write_small_study

pydicom = pytest.importorskip("pydicom")

from Testing.helpers.dicom_series import write_series  # noqa: E402

PATIENT = "Zaphod^Beeblebrox"
CLINICAL_VOXEL_MM = (3.0, 1.0, 1.0)
CLINICAL_PIXELS = 512


def turned(degrees: float) -> np.ndarray:
    """Axes z, y, x of a scan with a tilted gantry and a rolled patient."""
    tilt, roll = np.deg2rad([degrees, degrees / 2])
    about_x = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    about_z = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    return about_x @ about_z


DIRECTIONS = {"axial": None, "oblique": turned(14.0), "prone": np.diag([1.0, -1.0, -1.0])}


def independently_read(path: Path, scan: Path) -> dict[str, set[tuple[str, int, int]]]:
    """Each structure's pixels as (SOP instance UID, row, column), from headers and contours alone."""
    from matplotlib.path import Path as Outline

    slices = {data.SOPInstanceUID: data for data in map(pydicom.dcmread, sorted(scan.iterdir()))}
    data = pydicom.dcmread(path)
    names = {roi.ROINumber: roi.ROIName for roi in data.StructureSetROISequence}
    found: dict[str, set[tuple[str, int, int]]] = {name: set() for name in names.values()}
    for roi in data.ROIContourSequence:
        for contour in roi.ContourSequence:
            image = slices[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            across, down = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
            offset = np.array(contour.ContourData, dtype=float).reshape(-1, 3) - np.array(image.ImagePositionPatient)
            assert np.abs(offset @ np.cross(across, down)).max() < 2e-3
            spacing = [float(value) for value in image.PixelSpacing]
            outline = np.stack([offset @ down / spacing[0], offset @ across / spacing[1]], axis=1)
            centres = np.moveaxis(np.indices((image.Rows, image.Columns)), 0, -1).reshape(-1, 2)
            inside = Outline(np.vstack([outline, outline[:1]]), closed=True).contains_points(centres)
            pixels = {(image.SOPInstanceUID, int(r), int(c)) for r, c in centres[inside]}
            found[names[roi.ReferencedROINumber]] ^= pixels
    return found


def voxels(labels: LabelMap, value: int, scan: Path) -> set[tuple[str, int, int]]:
    uids = read_ct_series(scan).instances
    return {(uids[k], int(row), int(column)) for k, row, column in np.argwhere(labels.volume.array == value)}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_every_voxel_lies_where_the_mask_has_it(tmp_path: Path, direction: np.ndarray | None, backwards: bool) -> None:
    scan = write_series(tmp_path / "scan", small_ct(direction=direction), PATIENT, backwards)
    study = write_small_study(tmp_path / "study", {"scan": scan}, ("accepted",))
    written, passed_over = export_rtstruct(study.root, tmp_path / "rt")
    assert (written, passed_over) == ([tmp_path / "rt" / "scan.dcm"], {})
    labels = small_mask(read_volume(scan))
    found = independently_read(written[0], scan)
    assert found == {"Cord": voxels(labels, CORD, scan), "Drüse links": voxels(labels, GLAND, scan)}
    back = read_rtstruct(written[0], scan)
    assert back.volume.same_grid(labels.volume)
    for segment, value in zip(back.segments, (CORD, GLAND), strict=True):
        assert np.array_equal(back.volume.array == segment.value, labels.volume.array == value)


def test_it_names_the_structures_and_refers_to_the_patient_s_series(tmp_path: Path) -> None:
    scan = write_series(tmp_path / "scan", small_ct(), PATIENT)
    study = write_small_study(tmp_path / "study", {"scan": scan}, ("edited",))
    (path,), _ = export_rtstruct(study.root, tmp_path / "rt")
    slices = [pydicom.dcmread(name, stop_before_pixels=True) for name in sorted(scan.iterdir())]
    data, ct = pydicom.dcmread(path), slices[0]
    assert (data.Modality, data.SOPClassUID.name) == ("RTSTRUCT", "RT Structure Set Storage")
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        assert data[name].value == ct[name].value
    assert data.SeriesInstanceUID != ct.SeriesInstanceUID
    assert (data.Manufacturer, data.SoftwareVersions) == ("OneShotSeg", OneShotSegLib.__version__)
    assert data.SpecificCharacterSet == "ISO_IR 192"
    assert data.ApprovalStatus == "UNAPPROVED"
    (frame,) = data.ReferencedFrameOfReferenceSequence
    (of_study,) = frame.RTReferencedStudySequence
    (series,) = of_study.RTReferencedSeriesSequence
    assert frame.FrameOfReferenceUID == ct.FrameOfReferenceUID
    assert of_study.ReferencedSOPInstanceUID == ct.StudyInstanceUID
    assert series.SeriesInstanceUID == ct.SeriesInstanceUID
    uids = {image.ReferencedSOPInstanceUID for image in series.ContourImageSequence}
    assert uids == {one.SOPInstanceUID for one in slices}
    assert [roi.ROIName for roi in data.StructureSetROISequence] == ["Cord", "Drüse links"]
    assert {roi.ReferencedFrameOfReferenceUID for roi in data.StructureSetROISequence} == {ct.FrameOfReferenceUID}
    assert [list(roi.ROIDisplayColor) for roi in data.ROIContourSequence] == [[230, 153, 0], [76, 178, 230]]
    codes = [item.RTROIIdentificationCodeSequence[0].CodeValue for item in data.RTROIObservationsSequence]
    assert codes == ["2748008", "85756007"]
    assert {item.RTROIInterpretedType for item in data.RTROIObservationsSequence} == {"ORGAN"}
    assert "Drüse links".encode() in path.read_bytes()


def test_cases_without_a_series_are_passed_over_and_a_study_of_nifti_files_is_told_so(tmp_path: Path) -> None:
    sources = write_cts(tmp_path / "ct", ("plain",))
    only = write_small_study(tmp_path / "plain", dict(sources), ("accepted",))
    with pytest.raises(InputError, match="expected cases whose CT is a folder with a DICOM series, found none"):
        export_rtstruct(only.root, tmp_path / "rt")
    sources["scan"] = write_series(tmp_path / "scan", small_ct(), PATIENT)
    study = write_small_study(tmp_path / "study", sources, ("accepted",) * 2)
    result = CliRunner().invoke(app, ["export", "rtstruct", str(study.root), str(tmp_path / "rt")])
    assert result.exit_code == 0
    assert "plain: its CT is no DICOM series, passed over." in result.stderr
    assert [path.name for path in (tmp_path / "rt").iterdir()] == ["scan.dcm"]


def test_names_are_at_most_64_characters_without_backslashes_and_each_once() -> None:
    names = roi_names(["Cord", "cord", "A\\B\tC", "", "漢" * 70, "漢" * 80])
    assert names == ["Cord", "cord (2)", "A B C", "Structure", "漢" * 64, "漢" * 60 + " (2)"]


def test_a_series_without_a_frame_of_reference_is_refused(tmp_path: Path) -> None:
    scan = write_series(tmp_path / "scan", small_ct(), PATIENT)
    for path in scan.iterdir():
        data = pydicom.dcmread(path)
        del data.FrameOfReferenceUID
        data.save_as(path)
    study = write_small_study(tmp_path / "study", {"scan": scan}, ("accepted",))
    with pytest.raises(InputError, match="found none of its FrameOfReferenceUID"):
        export_rtstruct(study.root, tmp_path / "rt")
    assert not (tmp_path / "rt").exists()


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.05, 0.95), smooth=st.sampled_from([0.0, 0.7, 2.0]))
def test_the_pixels_in_the_contours_are_those_of_the_mask_with_holes_threads_and_borders(
    seed: int, share: float, smooth: float
) -> None:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).random((24, 30)), smooth)
    mask = noise > np.quantile(noise, share)
    assert np.array_equal(fill_polygons([np.round(ring, 3) for ring in closed_contours(mask)], mask.shape), mask)


def test_contours_are_smooth_and_enclose_the_mask_s_area() -> None:
    row, column = np.indices((60, 60))
    mask = np.hypot(row - 29.6, column - 30.3) < 20
    (ring,) = closed_contours(mask)
    y, x = ring.T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert area == pytest.approx(mask.sum(), rel=0.01)
    assert np.abs(np.hypot(y - 29.6, x - 30.3) - 20).max() < 0.7
    assert len(ring) < 100


def test_an_exported_set_is_a_reference_with_dice_1_and_structures_are_matched_by_name(tmp_path: Path) -> None:
    scan = write_series(tmp_path / "scan", small_ct(), PATIENT)
    study = write_small_study(tmp_path / "study", {"scan": scan}, ("accepted",))
    (path,), _ = export_rtstruct(study.root, tmp_path / "rt")
    nested = tmp_path / "nested" / "scan"
    nested.mkdir(parents=True)
    (nested / "RS.1.2.3.dcm").write_bytes(path.read_bytes())
    for folder in (tmp_path / "rt", tmp_path / "nested"):
        found = evaluate(folder, study.root)
        assert [(figure.name, figure.dice) for figure in found.figures] == [("Cord", 1.0), ("Drüse links", 1.0)]
        assert found.notes == ()
    with pytest.raises(InputError, match="expected a study, whose CTs the structure sets"):
        evaluate(tmp_path / "rt", tmp_path / "rt")


def test_an_edited_set_becomes_the_case_s_correction(tmp_path: Path) -> None:
    scan = write_series(tmp_path / "scan", small_ct(), PATIENT)
    study = write_small_study(tmp_path / "study", {"scan": scan}, ("pending",))
    edited = small_mask(read_volume(scan), shift=1)
    path = tmp_path / "rs.dcm"
    structure_set(read_ct_series(scan), edited).save_as(path, enforce_file_format=True)
    target = write_correction(study, "scan", path)
    assert target == study.case("scan").edited_mask
    written = read_label_map(target)
    assert np.array_equal(written.volume.array, edited.volume.array)
    assert [(s.value, s.name) for s in written.segments] == [(CORD, "Cord"), (GLAND, "Drüse links")]
    with pytest.raises(InputError, match="expected a case of the study"):
        write_correction(study, "nobody", path)


def test_a_set_with_a_structure_named_background_is_a_support_s_scribbles(tmp_path: Path) -> None:
    scan = write_series(tmp_path / "scan", small_ct(), PATIENT)
    ct = read_volume(scan)
    labels = np.zeros(ct.shape, np.uint8)
    labels[2, 2:4, 2:6], labels[3, 6:8, 1:7] = 1, 2
    strokes = LabelMap(
        ct.with_array(labels),
        tuple(Segment(value=v, name=n, color=(1, 0, 0)) for v, n in ((1, "Cord"), (2, "BACKground"))),
    )
    path = tmp_path / "strokes.dcm"
    structure_set(read_ct_series(scan), strokes).save_as(path, enforce_file_format=True)
    request = PropagationRequest(supports=[scan], scribbles=[path], queries=[], output=tmp_path / "study")
    (support,) = read_supports(request)
    assert np.array_equal(support.scribbles.volume.array, labels)
    assert [segment.is_background_stroke for segment in support.scribbles.segments] == [False, True]


def test_a_set_belongs_to_the_series_that_was_chosen_of_a_folder(tmp_path: Path) -> None:
    scan = write_series(tmp_path / "scan", small_ct(), PATIENT)
    other = write_series(tmp_path / "other", small_ct(1), PATIENT)
    for file in other.iterdir():
        file.rename(scan / f"b{file.name}")
    uid = str(pydicom.dcmread(scan / "000.dcm").SeriesInstanceUID)
    mask = small_mask(read_volume(scan, uid), shift=1)
    path = tmp_path / "rt" / "scan.dcm"
    path.parent.mkdir()
    structure_set(read_ct_series(scan, series=uid), mask).save_as(path, enforce_file_format=True)
    request = PropagationRequest(
        supports=[scan], scribbles=[path], queries=[], output=tmp_path / "s", background_label=GLAND, series=(uid,)
    )
    (support,) = read_supports(request)
    assert np.array_equal(support.scribbles.volume.array > 0, mask.volume.array > 0)

    (tmp_path / "single").mkdir()
    for file in scan.glob("0*.dcm"):
        (tmp_path / "single" / file.name).write_bytes(file.read_bytes())
    study = write_small_study(tmp_path / "study", {"scan": tmp_path / "single"}, ("pending",))
    content = json.loads(study.description.read_text(encoding="utf-8"))
    content["cases"] = [{"case": "scan", "source": str(scan), "series": uid}]
    study.description.write_text(json.dumps(content), encoding="utf-8")
    write_correction(study, "scan", path)
    assert np.array_equal(read_label_map(study.case("scan").edited_mask).volume.array, mask.volume.array)
    write_label_map(mask, tmp_path / "mask.seg.nrrd")
    write_correction(study, "scan", tmp_path / "mask.seg.nrrd")
    assert [figure.dice for figure in evaluate(tmp_path / "rt", study.root, edited=True).figures] == [1.0, 1.0]


def test_real_organs_at_clinical_voxels_come_back_voxel_by_voxel(tmp_path: Path, cohort: Path) -> None:
    """512 x 512 pixels of 1 mm, slices of 3 mm; Dice over 0.98 for each structure is what is promised."""
    source = read_label_map(cohort / "cases" / "pt_100" / "seg.nii.gz").volume
    depth = int(source.size_mm[0] // CLINICAL_VOXEL_MM[0])
    grid = Volume.create(np.zeros((depth, CLINICAL_PIXELS, CLINICAL_PIXELS), np.uint8), CLINICAL_VOXEL_MM)
    middle = source.to_world((np.array(source.shape) - 1) / 2)
    origin = middle - grid.to_world((np.array(grid.shape) - 1) / 2)
    organs = resample_labels(source, Volume.create(grid.array, grid.spacing, origin), smooth_mm=2.0)
    scan = write_series(tmp_path / "scan", organs.with_array(organs.array.astype(np.int16)), PATIENT)
    series = read_ct_series(scan)
    labels = LabelMap(series.grid.with_array(organs.array), tuple(Segment.numbered(value) for value in range(1, 8)))
    path = tmp_path / "rs.dcm"
    structure_set(series, labels).save_as(path, enforce_file_format=True)
    back = read_rtstruct(path, series)
    assert len(back.segments) == len(np.unique(organs.array)) - 1
    for segment in back.segments:
        (value,) = [known.value for known in labels.segments if known.name == segment.name]
        one, other = organs.array == value, back.volume.array == segment.value
        assert 2 * np.count_nonzero(one & other) / (one.sum() + other.sum()) > 0.98
    assert path.stat().st_size < 2e6
