"""One case that cannot be exported: the others are, it is named with the reason, and the exit status is 1."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.multival import MultiValue

from OneShotSegLib.cli import main
from OneShotSegLib.errors import InputError
from OneShotSegLib.export.dicom_codes import dicom_text, text_of
from OneShotSegLib.export.dicom_seg import export_dicom_seg
from OneShotSegLib.export.nifti import export_nifti
from OneShotSegLib.export.rtstruct import export_rtstruct
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.study.csv_table import read_table
from OneShotSegLib.study.layout import StudyPaths
from Testing.helpers.dicom_series import write_series
from Testing.helpers.small_study import small_ct, write_small_study

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

CASES = ("bad", "good")
CHARACTER_SETS = {
    "ISO_IR 100": "Müller^Jürgen",
    "ISO_IR 192": "Βασιλείου^Ελένη",
    "GB18030": "王^小东",
    "ISO_IR 144": "Люкceмбypг",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎",
}


def edit(series: Path, **values: object) -> None:
    """Set entries in the headers of all slices; None removes one."""
    for path in series.iterdir():
        data = pydicom.dcmread(path)
        for name, value in values.items():
            if value is None:
                delattr(data, name)
            else:
                setattr(data, name, value)
        data.save_as(path)


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    sources = {name: write_series(tmp_path / "ct" / name, small_ct(), name) for name in CASES}
    return write_small_study(tmp_path / "study", sources, ("accepted",) * 2)


def export(monkeypatch: pytest.MonkeyPatch, kind: str, study: StudyPaths, target: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["oneshotseg", "export", kind, str(study.root), str(target)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("kind", ["nnunet", "nifti", "dicom-seg", "rtstruct"])
def test_a_broken_mask_costs_its_own_case_alone(
    study: StudyPaths,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study.case("bad").pseudo_mask.write_bytes(b"nothing of the kind")
    assert export(monkeypatch, kind, study, tmp_path / "out") == 1
    names = {path.name.removesuffix(".dcm").split(".")[0] for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "good" in names
    assert not any("bad" in name for name in names)
    said = capsys.readouterr().err
    assert f"bad: not exported: {study.case('bad').pseudo_mask}: expected a readable image" in said
    tables = list((tmp_path / "out").rglob("cases.csv"))
    assert all([row["case"] for _, row in read_table(table, ["case"]).rows] == ["good"] for table in tables)
    for dataset in (tmp_path / "out").rglob("dataset.json"):
        assert json.loads(dataset.read_text(encoding="utf-8"))["numTraining"] == 1


@pytest.mark.parametrize("kind", ["nnunet", "dicom-seg", "rtstruct"])
def test_so_does_a_series_that_is_gone(
    study: StudyPaths, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tmp_path / "ct" / "bad")
    assert export(monkeypatch, kind, study, tmp_path / "out") == 1
    assert any("good" in path.name for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct"])
@pytest.mark.parametrize("missing", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_so_does_a_series_without_what_is_referred_to(
    study: StudyPaths, tmp_path: Path, kind: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(tmp_path / "ct" / "bad", **{missing: None})
    assert export(monkeypatch, kind, study, tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.dcm"]


@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct"])
def test_what_an_anonymised_series_lacks_is_empty(
    study: StudyPaths, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    edit(tmp_path / "ct" / "bad", **dict.fromkeys((*lacking, "AccessionNumber", "ReferringPhysicianName"), None))
    assert export(monkeypatch, kind, study, tmp_path / "out") == 0
    data = pydicom.dcmread(tmp_path / "out" / "bad.dcm")
    assert all(not data[name].value for name in lacking)


def test_where_none_can_be_exported_nothing_is_written(study: StudyPaths, tmp_path: Path) -> None:
    for name in CASES:
        study.case(name).pseudo_mask.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="expected a readable image"):
        export_nifti(study.root, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_broken_measures_cost_the_score_alone(
    study: StudyPaths, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study.case("bad").quality.write_text("{", encoding="utf-8")
    table = read_table(export_nifti(study.root, tmp_path / "out") / "cases.csv", ["case", "score"])
    assert [(row["case"], bool(row["score"])) for _, row in table.rows] == [("bad", False), ("good", True)]
    assert "bad: its measures are left out" in caplog.text


def test_a_file_that_cannot_be_read_is_left_out_of_the_zip(
    study: StudyPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study.case("bad").failure.write_text("{", encoding="utf-8")
    assert export(monkeypatch, "zip", study, tmp_path / "out.zip") == 1
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = archive.namelist()
    assert "study/cases/bad/pseudo.seg.nrrd" in names
    assert "study/cases/bad/failed.json" not in names
    assert "cases/bad/failed.json: not exported: " in capsys.readouterr().err


def test_an_export_into_the_present_folder(study: StudyPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export_nifti(study.root, Path())
    assert (tmp_path / "here" / "good.nii.gz").is_file()


@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct"])
@pytest.mark.parametrize("character_set", CHARACTER_SETS)
def test_names_stay_right_whatever_the_ct_s_character_set(
    study: StudyPaths, tmp_path: Path, kind: str, character_set: str
) -> None:
    name = CHARACTER_SETS[character_set]
    sets = character_set.split("\\")
    edit(
        tmp_path / "ct" / "good",
        SpecificCharacterSet=sets if len(sets) > 1 else sets[0],
        PatientName=name,
        ReferringPhysicianName=name,
        StudyDescription=name.split("=")[-1],
    )
    write = export_dicom_seg if kind == "dicom-seg" else export_rtstruct
    write(study.root, tmp_path / "out")
    data = pydicom.dcmread(tmp_path / "out" / "good.dcm")
    assert data.SpecificCharacterSet == "ISO_IR 192"
    assert (str(data.PatientName), str(data.ReferringPhysicianName)) == (name, name)
    if "StudyDescription" in data:
        assert data.StudyDescription == name.split("=")[-1]


@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct"])
def test_structures_of_any_name_are_named_in_utf_8(tmp_path: Path, kind: str) -> None:
    source = write_series(tmp_path / "scan", small_ct(), "A")
    study = write_small_study(tmp_path / "study", {"scan": source}, ("accepted",))
    names = {"Cord": "脊髄 " + "漢" * 90, "Drüse links": "Gauche Σ"}
    content = json.loads(study.description.read_text(encoding="utf-8"))
    for label in content["labels"]:
        label["name"] = names.get(label["name"], label["name"])
    study.description.write_text(json.dumps(content), encoding="utf-8")
    mask = read_label_map(study.case("scan").pseudo_mask)
    renamed = tuple(replace(segment, name=names[segment.name], tags="") for segment in mask.segments)
    write_label_map(LabelMap(mask.volume, renamed), study.case("scan").pseudo_mask)
    write = export_dicom_seg if kind == "dicom-seg" else export_rtstruct
    write(study.root, tmp_path / "out")
    data = pydicom.dcmread(tmp_path / "out" / "scan.dcm")
    if kind == "dicom-seg":
        found = [item.SegmentLabel for item in data.SegmentSequence]
    else:
        found = [item.ROIName for item in data.StructureSetROISequence]
    assert found == [name[:64] for name in names.values()]


def test_texts_hold_what_dicom_allows() -> None:
    assert dicom_text("a\\b\tc\x07\x85d\ud800 ") == "a b c d"
    assert len(dicom_text("漢" * 90)) == 64
    assert text_of(MultiValue(str, ["a", "b"])) == "a\\b"
    assert text_of(None) == ""


@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct"])
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"SOPInstanceUID": "1.2.3"}, "a UID of its own for each slice"),
        ({"StudyInstanceUID": ""}, "none of its StudyInstanceUID"),
        ({"FrameOfReferenceUID": ""}, "none of its FrameOfReferenceUID"),
        ({"SOPClassUID": ""}, "none of its SOPClassUID"),
    ],
)
def test_slices_that_nothing_can_refer_to_get_no_object(
    study: StudyPaths,
    tmp_path: Path,
    kind: str,
    values: dict[str, str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(tmp_path / "ct" / "bad", **values)
    assert export(monkeypatch, kind, study, tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.dcm"]
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientBirthDate", "1990-02-31"), ("StudyDate", "ANON"), ("StudyTime", "25:99"), ("PatientSex", "WEIBLICH!")],
)
def test_dates_and_the_like_that_an_anonymiser_wrote_are_left_empty(
    study: StudyPaths, tmp_path: Path, keyword: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="Invalid value"):
        edit(tmp_path / "ct" / "bad", **{keyword: value})
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*Invalid value")  # nor does pydicom's word on it reach the user
        assert export(monkeypatch, "dicom-seg", study, tmp_path / "out") == 0
    written = pydicom.dcmread(tmp_path / "out" / "bad.dcm")
    assert not written.get(keyword)
    assert written.PatientID == "ID-bad"
