"""DICOM series of any geometry: read where they lie, or refused in one sentence that says what is wrong."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, RTDoseStorage, RTStructureSetStorage, generate_uid
from scipy.spatial.transform import Rotation

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.rtstruct import structure_set
from OneShotSegLib.imaging.ct_series import read_ct_series
from OneShotSegLib.imaging.dicom.search import scan_files
from OneShotSegLib.imaging.dicom.series import read_series
from OneShotSegLib.imaging.dicom_series import series_files, series_slices
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.synthetic_scans import (
    CENTRE,
    RADIUS,
    Edit,
    Scan,
    ball_dice,
    ball_labels,
    dice,
    hounsfield,
    write_enhanced,
    write_scan,
)

STRAIGHT = Scan()
TILTED = replace(STRAIGHT, drift=(0.0, np.tan(np.deg2rad(15))))
OTHER_VIEW = replace(STRAIGHT, axes=np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), along=np.zeros(1), size=(60, 50))


def sentence_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_volume(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert text.endswith(".")
    return text


def read_with_warnings(path: Path, caplog: pytest.LogCaptureFixture) -> tuple[float, str]:
    """World Dice of the ball found in a series, and what was logged about the series."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "OneShotSegLib"):
        ct = read_volume(path)
    return ball_dice(ball_labels(ct)), caplog.text


def field(keyword: str, value: Callable[[int], object], first: int = 0) -> Callable[[Dataset, int], None]:
    """An edit: this element gets these values from one slice on."""

    def edit(data: Dataset, number: int) -> None:
        if number >= first:
            setattr(data, keyword, value(number))

    return edit


def lacking(keyword: str, only: int | None = None) -> Callable[[Dataset, int], None]:
    def edit(data: Dataset, number: int) -> None:
        if only is None or number == only:
            delattr(data, keyword)

    return edit


# Any geometry


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    """Slices along any axis of the patient or askew, with any pixels and gaps, tilted or not, evenly spaced or not."""
    straight = Rotation.create_group("O")[draw(st.integers(0, 23))]
    turn = draw(st.sampled_from([(0, 0, 0), (5, -8, 11)]) | st.tuples(*[st.floats(-45, 45)] * 3))
    axes = (Rotation.from_euler("xyz", turn, degrees=True) * straight).as_matrix()
    gap = draw(st.floats(1.5, 4))
    along = np.arange(-30, 30 + gap, gap)
    if draw(st.booleans()):
        seed = draw(st.integers(0, 99))
        along = along + np.random.default_rng(seed).uniform(-0.25, 0.25, len(along)) * gap
    drift = draw(st.sampled_from([(0.0, 0.0), (0.0, 0.27), (0.0, -0.4), (0.2, 0.1)]))
    pixel = (draw(st.floats(1.3, 2.5)), draw(st.floats(1.3, 2.5)))
    size = (int(64 / pixel[0]) + draw(st.integers(0, 3)), int(64 / pixel[1]))
    scales = draw(st.sampled_from([((1.0, -1024.0),), ((1.0, -1000.0), (0.5, -1024.0))]))
    return Scan(axes=axes, pixel=pixel, size=size, along=along, drift=drift, scales=scales)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(scan=scans(), seed=st.integers(0, 99), kind=st.sampled_from(["files", "backwards", "frames", "own groups"]))
def test_the_ball_is_where_it_is_in_the_ct_and_in_the_segmentation(
    tmp_path_factory: pytest.TempPathFactory, scan: Scan, seed: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("scan")
    count = len(scan.along)
    order = np.random.default_rng(seed).permutation(count)
    if kind in ("files", "backwards"):
        write_scan(folder, scan, order=range(count) if kind == "files" else range(count - 1, -1, -1))
    else:
        write_enhanced(folder, scan, [int(k) for k in order], shared=kind == "frames")
    ct = read_volume(folder)
    labels = ball_labels(ct)
    assert ball_dice(labels) > 0.93
    assert set(np.unique(ct.array[labels.array > 0] > 150)) == {True}
    check_segmentation(folder, scan, labels)


def check_segmentation(folder: Path, scan: Scan, labels: Volume) -> None:
    """The frames of the segmentation lie on the slices, refer to them, and have the ball where it is."""
    pytest.importorskip("highdicom")
    from OneShotSegLib.export.dicom_seg import segmentation

    result = SimpleNamespace(ct=folder, case="case", series="")
    path = folder.parent / f"{folder.name}-seg.dcm"
    segmentation(result, labels, [Segment.numbered(1)]).save_as(path)  # type: ignore[arg-type]
    seg = pydicom.dcmread(path)
    frames = seg.pixel_array.reshape(-1, *scan.size)
    sources = {}
    for file in folder.iterdir():
        data = pydicom.dcmread(file)
        groups = data.get("PerFrameFunctionalGroupsSequence")
        for number, group in enumerate(groups or [None], 1):
            at = data.ImagePositionPatient if group is None else group.PlanePositionSequence[0].ImagePositionPatient
            sources[data.SOPInstanceUID, number if group is not None else None] = np.array(at, dtype=float)
    found = np.zeros((len(scan.along), *scan.size), dtype=bool)
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        at = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        referred = sources[source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber")]
        np.testing.assert_allclose(referred, at, atol=1e-4)
        distances = np.linalg.norm(scan.positions - at, axis=1)
        assert distances.min() < 1e-4
        found[int(distances.argmin())] = frame > 0
    pixels = np.stack([scan.pixels_of(number) for number in range(len(scan.along))])
    assert dice(found, np.linalg.norm(pixels - CENTRE, axis=-1) < RADIUS) > 0.93


def test_evenly_spaced_straight_slices_are_not_touched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scan(tmp_path / "ct", STRAIGHT, order=range(20, -1, -1))
    with caplog.at_level(logging.WARNING, "OneShotSegLib"):
        ct = read_volume(tmp_path / "ct")
    assert not caplog.text
    assert ct.array.dtype == np.int32
    np.testing.assert_array_equal(ct.array, np.stack([np.round(hounsfield(STRAIGHT.pixels_of(k))) for k in range(21)]))
    np.testing.assert_allclose(ct.origin[::-1], STRAIGHT.positions[0])
    np.testing.assert_allclose(ct.spacing, (3, 1.5, 1.5))
    assert [Path(name).name for name in series_files(tmp_path / "ct")] == [f"IM{20 - k:04d}.dcm" for k in range(21)]


# Read onto a regular grid, and said


@pytest.mark.parametrize(
    ("scan", "said"),
    [
        (TILTED, "slices are tilted by 15 degrees: read onto a regular grid"),
        (replace(STRAIGHT, drift=(0.0, -0.15)), "tilted by 8.53 degrees"),
        (replace(TILTED, along=STRAIGHT.along[::-1]), "tilted by 15 degrees"),
        (replace(STRAIGHT, along=np.r_[-30:-10:2.5, -10:31:5.0]), "unevenly spaced (2.5 to 5 mm)"),
        (STRAIGHT.without(7), "1 slice is missing (at "),
        (TILTED.without(7), "1 slice is missing (at "),
        (STRAIGHT.without(3, 12), "2 slices are missing"),
        (replace(STRAIGHT, scales=((1.0, -1024.0), (2.0, -500.0))), "2 different rescalings"),
        (replace(STRAIGHT, scales=((1.0, -1024.0), (1.0, -1000.0))), "2 different rescalings"),
    ],
)
@pytest.mark.parametrize("kind", ["files", "frames"])
def test_what_can_be_read_rightly_is_read_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, scan: Scan, said: str, kind: str
) -> None:
    (write_scan if kind == "files" else write_enhanced)(tmp_path / "ct", scan)
    found, text = read_with_warnings(tmp_path / "ct", caplog)
    assert found > 0.95
    assert said in text
    check_segmentation(tmp_path / "ct", scan, ball_labels(read_volume(tmp_path / "ct")))


@pytest.mark.parametrize("drift", [0.0, 0.2])
@pytest.mark.parametrize("along", [np.r_[-30:-10:2.5, -10:31:5.0], np.delete(STRAIGHT.along, 9)])
def test_contours_of_a_structure_set_lie_on_the_slices_that_they_refer_to(
    tmp_path: Path, along: NDArray[Any], drift: float
) -> None:
    scan = replace(STRAIGHT, along=along, drift=(drift, 0.0))
    write_scan(tmp_path / "ct", scan)
    series = read_ct_series(tmp_path / "ct")
    labels = LabelMap(ball_labels(read_volume(tmp_path / "ct")), (Segment.numbered(1),))
    (region,) = structure_set(series, labels).ROIContourSequence
    places = {
        data.SOPInstanceUID: np.array(data.ImagePositionPatient, dtype=float)
        for data in (pydicom.dcmread(file, stop_before_pixels=True) for file in (tmp_path / "ct").iterdir())
    }
    referred = set()
    for contour in region.ContourSequence:
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        np.testing.assert_allclose(points[:, 2], places[uid][2], atol=1e-2)
        distance = np.linalg.norm(points - CENTRE, axis=1)
        assert (distance < RADIUS + 4).all()
        referred.add(uid)
    assert len(referred) == int((np.abs(along) < RADIUS - 0.5).sum())


def test_a_slice_with_a_small_step_sideways_is_put_in_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    positions = STRAIGHT.positions + np.array([[0, 1.2 if k % 2 else 0, 0] for k in range(21)])
    write_scan(tmp_path / "ct", STRAIGHT, field("ImagePositionPatient", lambda k: [f"{v:.6f}" for v in positions[k]]))
    assert "sideways of the first: read onto a regular grid" in read_with_warnings(tmp_path / "ct", caplog)[1]


def test_a_slice_that_is_there_twice_is_used_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scan(tmp_path / "ct", STRAIGHT)
    shutil.copy(tmp_path / "ct" / "IM0010.dcm", tmp_path / "ct" / "IM0010 (1).dcm")
    write_scan(tmp_path / "plain", STRAIGHT)
    found, text = read_with_warnings(tmp_path / "ct", caplog)
    assert "1 slice is there more than once: each was used once" in text
    assert found > 0.95
    assert read_volume(tmp_path / "ct").same_grid(read_volume(tmp_path / "plain"))
    check_segmentation(tmp_path / "ct", STRAIGHT, ball_labels(read_volume(tmp_path / "ct")))


@pytest.mark.parametrize("named", [True, False], ids=["LOCALIZER", "by its direction"])
def test_a_localizer_among_the_slices_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, named: bool
) -> None:
    uids = write_scan(tmp_path / "ct", STRAIGHT)
    view = field("ImageType", lambda _: ["ORIGINAL", "PRIMARY", "LOCALIZER"]) if named else None
    write_scan(tmp_path / "ct", OTHER_VIEW, view, uids=uids)
    found, text = read_with_warnings(tmp_path / "ct", caplog)
    assert found > 0.95
    assert "left out 1" in text
    assert "IM0021.dcm" in text
    assert read_volume(tmp_path / "ct").shape == (21, 48, 48)


# Refused


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lacking("PixelSpacing"), "(PixelSpacing), found none in 21 of 21"),
        (lacking("PixelSpacing", 4), "(PixelSpacing), found none in 1 of 21"),
        (field("PixelSpacing", lambda _: None), "(PixelSpacing), found none in 21 of 21"),
        (lacking("ImagePositionPatient"), "(ImagePositionPatient), found none in 21 of 21"),
        (lacking("ImagePositionPatient", 20), "(ImagePositionPatient), found none in 1 of 21"),
        (lacking("ImageOrientationPatient"), "(ImageOrientationPatient), found none in 21"),
        (lacking("RescaleIntercept", 3), "RescaleIntercept in all slices or in none, found none in 1 of 21"),
        (lacking("RescaleSlope", 3), "RescaleSlope in all slices or in none"),
        (field("RescaleSlope", lambda _: "0"), "a RescaleSlope other than 0"),
        (field("PixelSpacing", lambda _: ["0", "1.5"]), "over 0 (PixelSpacing)"),
        (field("PixelSpacing", lambda _: ["1.5", "-1.5"]), "over 0 (PixelSpacing)"),
        (field("PixelSpacing", lambda _: ["0.001", "0.001"]), "expected voxels of 0.05 to 50 mm"),
        (field("PixelSpacing", lambda _: ["1.5", "1.6"], 10), "one distance between pixels in all slices"),
        (field("PixelSpacing", lambda k: [str(1.5 + k / 10)] * 2), "one distance between pixels in all slices"),
        (
            field("ImageOrientationPatient", lambda _: ["0.99", "0.14", "0", "-0.14", "0.99", "0"], 10),
            "found 10 of 21 turned by up to 8.05 degrees",
        ),
        (
            field("ImageOrientationPatient", lambda _: ["1", "0", "0", "1", "0", "0"]),
            "rows and columns at right angles",
        ),
        (field("ImageOrientationPatient", lambda _: ["0"] * 6), "rows and columns at right angles"),
        (field("FrameOfReferenceUID", lambda _: "1.2.3", 10), "one frame of reference, found 2"),
        (field("PatientID", lambda _: "8", 10), "slices of one patient"),
        (field("AcquisitionNumber", lambda k: k % 2 + 1), "2 passes or reconstructions between one another"),
        (field("ConvolutionKernel", lambda k: "BS"[k % 2]), "(ConvolutionKernel B, S)"),
        (field("InstanceNumber", lambda k: k // 2 + 100 * (k % 2)), "2 passes between one another (InstanceNumber"),
        (
            field("AcquisitionTime", lambda k: f"1000{k % 2}{k // 10}.{k % 10}"),
            "2 passes between one another (AcquisitionT",
        ),
        (field("ContentTime", lambda k: f"10{k % 3}000"), "3 passes between one another (ContentTime"),
        (field("ImagePositionPatient", lambda _: ["0", "0", "0"]), "with different contents"),
        (field("ImagePositionPatient", lambda k: ["0", "0", str(3 * k + 60 * (k > 9))]), "a gap of up to 63 mm"),
        (field("ImagePositionPatient", lambda k: ["0", str(90 * (k > 9)), str(3 * k)]), "sideways of the others"),
        (field("ImagePositionPatient", lambda k: ["0", str(9 * k), str(3 * k)]), "drift sideways by 71.6 degrees"),
        (field("ImagePositionPatient", lambda k: ["0", "0", str(k % 2 + 6 * (k // 2))]), "2 evenly spaced sets"),
        (field("ImagePositionPatient", lambda k: ["0", "0", str(60 * k)]), "expected voxels of 0.05 to 50 mm"),
    ],
)
def test_what_is_no_one_volume_is_refused(tmp_path: Path, edit: Edit, said: str) -> None:
    write_scan(tmp_path / "ct", STRAIGHT, edit)
    assert said in sentence_of(tmp_path / "ct")


def test_two_slices_missing_in_a_row_are_refused_with_where(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", STRAIGHT.without(7, 8))
    assert "3 mm from slice to slice and a gap of up to 9 mm (from 719 to 728 mm" in sentence_of(tmp_path / "ct")


def test_two_phases_at_one_position_are_refused(tmp_path: Path) -> None:
    uids = write_scan(tmp_path / "ct", STRAIGHT)
    write_scan(tmp_path / "ct", replace(STRAIGHT, scales=((1.0, -1000.0),)), uids=uids)
    shifted = field("RescaleIntercept", lambda _: "-900")
    assert read_volume(tmp_path / "ct").shape == (21, 48, 48)  # the same values, stored otherwise
    write_scan(tmp_path / "ct", STRAIGHT, shifted, uids=uids)
    assert "63 images at 21 positions, with different contents (two phases" in sentence_of(tmp_path / "ct")


@pytest.mark.parametrize("offset", [0.1, 1.0, 1.5])
def test_two_phases_between_one_another_are_refused(tmp_path: Path, offset: float) -> None:
    uids = write_scan(tmp_path / "ct", STRAIGHT)
    write_scan(tmp_path / "ct", replace(STRAIGHT, along=STRAIGHT.along + offset), uids=uids)
    text = sentence_of(tmp_path / "ct")
    assert "two phases in one series" in text


def test_slices_of_another_matrix_are_refused(tmp_path: Path) -> None:
    uids = write_scan(tmp_path / "ct", STRAIGHT.without(*range(10, 21)))
    write_scan(tmp_path / "ct", replace(STRAIGHT, size=(40, 48)).without(*range(10)), uids=uids)
    assert "found 40 x 48 and 48 x 48" in sentence_of(tmp_path / "ct")


def test_a_truncated_slice_is_named(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", STRAIGHT)
    third = tmp_path / "ct" / "IM0003.dcm"
    whole = third.read_bytes()
    for length in (140, 400, len(whole) - 2000, len(whole) - 100):
        third.write_bytes(whole[:length])
        assert "IM0003.dcm" in sentence_of(tmp_path / "ct")


# Multi-frame


def without_position(frame: Dataset, number: int) -> None:
    if number == 4:
        del frame.PlanePositionSequence


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (without_position, "(ImagePositionPatient), found none in 1 of 21"),
        (lambda frame, _: delattr(frame, "PlanePositionSequence"), "found none in 21 of 21"),
    ],
)
def test_frames_without_a_place_are_refused(tmp_path: Path, edit: Edit, said: str) -> None:
    write_enhanced(tmp_path / "ct", STRAIGHT, edit=edit)
    assert said in sentence_of(tmp_path / "ct")


def test_a_multi_frame_file_without_the_frames_positions_is_refused(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "ct", STRAIGHT)
    data = pydicom.dcmread(path)
    del data.PerFrameFunctionalGroupsSequence
    data.save_as(path)
    assert "position of each frame" in sentence_of(tmp_path / "ct")


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_truncated_multi_frame_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write_enhanced(tmp_path / "ct", STRAIGHT)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "found" in sentence_of(tmp_path / "ct")


def test_a_compressed_multi_frame_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "plain", STRAIGHT, order=[*range(0, 21, 2), *range(1, 21, 2)])
    data = pydicom.dcmread(path)
    data.compress("1.2.840.10008.1.2.5")
    (tmp_path / "rle").mkdir()
    data.save_as(tmp_path / "rle" / "a.dcm")
    plain, packed = read_volume(tmp_path / "plain"), read_volume(tmp_path / "rle")
    np.testing.assert_array_equal(plain.array, packed.array)
    assert plain.same_grid(packed)


# Folders


def add_other_object(folder: Path, sop_class: UID, modality: str) -> None:
    write_scan(folder / "tmp", STRAIGHT.without(*range(1, 21)))
    data = pydicom.dcmread(folder / "tmp" / "IM0000.dcm")
    shutil.rmtree(folder / "tmp")
    data.SOPClassUID, data.Modality = sop_class, modality
    data.SeriesInstanceUID, data.SOPInstanceUID = generate_uid(), generate_uid()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = sop_class, data.SOPInstanceUID
    if modality == "RTSTRUCT":
        del data.PixelData, data.Rows, data.Columns
    data.save_as(folder / f"{modality}.dcm", enforce_file_format=True)


def test_of_an_export_for_radiotherapy_the_ct_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scan(tmp_path / "ct", STRAIGHT)
    add_other_object(tmp_path / "ct", RTDoseStorage, "RTDOSE")
    add_other_object(tmp_path / "ct", RTStructureSetStorage, "RTSTRUCT")
    write_scan(tmp_path / "ct", OTHER_VIEW, field("ImageType", lambda _: ["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    (tmp_path / "ct" / "notes.txt").write_text("notes", encoding="utf-8")
    found, text = read_with_warnings(tmp_path / "ct", caplog)
    assert found > 0.95
    assert not text
    series = {one.modality: one for one in scan_files(tmp_path / "ct")[0] if not one.is_localizer}
    assert {name: one.slices for name, one in series.items()} == {"CT": 21, "RTDOSE": 1, "RTSTRUCT": 0}
    ct = series["CT"]
    assert (ct.patient_id, ct.study_date, len(ct.files), ct.image_type) == (
        "7",
        "20200102",
        21,
        ("ORIGINAL", "PRIMARY", "AXIAL"),
    )
    assert read_series(ct.files[::-1], "ct").same_grid(read_volume(tmp_path / "ct"))


def test_screens_that_were_captured_are_no_second_ct(tmp_path: Path) -> None:
    def screen(data: Dataset, number: int) -> None:
        data.ImageType = ["DERIVED", "SECONDARY", "REF_SURVIEW"]
        if number % 2:
            del data.ImagePositionPatient, data.ImageOrientationPatient

    write_scan(tmp_path / "ct", STRAIGHT)
    write_scan(tmp_path / "ct", STRAIGHT.without(*range(6, 21)), screen)
    assert read_volume(tmp_path / "ct").shape == (21, 48, 48)


def test_a_folder_with_a_localizer_alone_is_refused(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", OTHER_VIEW, field("ImageType", lambda _: ["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    assert "found 'series 3' (CT, 1 slice, a localizer)" in sentence_of(tmp_path / "ct")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5"])
def test_compressed_slices_are_read_like_plain_ones(tmp_path: Path, syntax: str) -> None:
    write_scan(tmp_path / "plain", TILTED)
    (tmp_path / "packed").mkdir()
    for file in (tmp_path / "plain").iterdir():
        data = pydicom.dcmread(file)
        data.compress(syntax)
        data.save_as(tmp_path / "packed" / file.name)
    plain, packed = read_volume(tmp_path / "plain"), read_volume(tmp_path / "packed")
    np.testing.assert_array_equal(plain.array, packed.array)


def test_a_legacy_converted_multi_frame_ct_is_read_like_its_slices(tmp_path: Path) -> None:
    legacy = pytest.importorskip("highdicom.legacy")
    write_scan(tmp_path / "ct", STRAIGHT)
    slices = [pydicom.dcmread(file) for file in sorted((tmp_path / "ct").iterdir())]
    converted = legacy.LegacyConvertedEnhancedCTImage(slices, generate_uid(), 5, generate_uid(), 1)
    (tmp_path / "legacy").mkdir()
    converted.save_as(tmp_path / "legacy" / "a.dcm")
    plain, one = read_volume(tmp_path / "ct"), read_volume(tmp_path / "legacy")
    assert one.same_grid(plain)
    np.testing.assert_array_equal(one.array, plain.array)


def test_several_ct_series_are_listed(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", STRAIGHT, field("SeriesDescription", lambda _: "Neck 3.0 B30"))
    write_scan(tmp_path / "ct", STRAIGHT.without(0), field("SeriesDescription", lambda _: "Neck 3.0 B70"))
    text = sentence_of(tmp_path / "ct")
    assert "found 2: 'Neck 3.0 B30' (CT, 21 slices), 'Neck 3.0 B70' (CT, 20 slices)" in text


def test_files_of_two_series_are_not_read_as_one(tmp_path: Path) -> None:
    write_scan(tmp_path / "a", STRAIGHT)
    write_scan(tmp_path / "b", STRAIGHT)
    files = [*(tmp_path / "a").iterdir(), *(tmp_path / "b").iterdir()]
    with pytest.raises(InputError, match=r"^Neck: expected the files of one DICOM series, found those of 2\.$"):
        read_series(files, "Neck")
    (tmp_path / "a" / "x.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.txt: expected a DICOM file, found another file\.$"):
        read_series(list((tmp_path / "a").iterdir()), "Neck")


# Damaged files beside a series


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize("length", [0, 140, 300, 700], ids=["empty", "preamble", "no series", "with series"])
@pytest.mark.parametrize("number", [0, 9, 20])
def test_a_damaged_slice_is_a_gap_wherever_it_was(tmp_path: Path, number: int, length: int) -> None:
    write_scan(tmp_path / "ct", STRAIGHT)
    cut(tmp_path / "ct" / f"IM{number:04d}.dcm", length)
    text = sentence_of(tmp_path / "ct")
    assert f"damaged ones (IM{number:04d}.dcm)" in text or "without gaps" in text
    assert f"IM{number:04d}.dcm" in text


def test_a_damaged_slice_of_uneven_ones_is_refused_though_nothing_ties_it_to_them(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", STRAIGHT.without(4))
    (tmp_path / "ct" / "odd name.dcm").write_bytes(b"")
    assert "missing or unevenly spaced slices, and damaged DICOM files" in sentence_of(tmp_path / "ct")


def damaged_copy(folder: Path) -> None:
    shutil.copy(folder / "IM0009.dcm", folder / "IM0021.dcm")
    cut(folder / "IM0021.dcm", 700)


def damaged_stranger(folder: Path) -> None:
    write_scan(folder.parent / "other", STRAIGHT)
    shutil.copy(folder.parent / "other" / "IM0009.dcm", folder / "IM0021.dcm")
    cut(folder / "IM0021.dcm", 900)


def zeros(folder: Path) -> None:
    (folder / "export.dcm").write_bytes(bytes(3000))


@pytest.mark.parametrize("damage", [damaged_copy, damaged_stranger, zeros])
def test_a_damaged_file_that_the_series_does_not_lack_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    write_scan(tmp_path / "ct", STRAIGHT)
    damage(tmp_path / "ct")
    found, text = read_with_warnings(tmp_path / "ct", caplog)
    assert found > 0.95
    assert "is a damaged DICOM file that the series does not lack: left out" in text
    assert len(scan_files(tmp_path / "ct")[1]) == 1


def test_a_folder_of_damaged_files_alone_says_so(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", STRAIGHT.without(*range(3, 21)))
    for path in (tmp_path / "ct").iterdir():
        cut(path, 300)
    assert "found none and damaged files (IM0000.dcm, IM0001.dcm, IM0002.dcm)" in sentence_of(tmp_path / "ct")


def test_the_slices_of_a_series_are_known_without_their_pixels(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", TILTED)
    stack = series_slices(tmp_path / "ct")
    assert not stack.is_straight
    assert stack.is_even
    assert stack.is_rescaled
    write_scan(tmp_path / "raw", STRAIGHT, lacking("RescaleIntercept"))
    assert not series_slices(tmp_path / "raw").is_rescaled
