"""The zip that hands on a review: complete, without CTs, links, logs and paths; a study again where it is unpacked."""

import shutil
import zipfile
from pathlib import Path

import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.archive import export_zip
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.inputs import Kind, LeftOut
from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.report.html import write_report
from OneShotSegLib.study.case_state import record_failure
from OneShotSegLib.study.inputs import write_inputs
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import study_results
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.small_study import small_mask, write_cts, write_small_study


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    """A study with a report, a log, a link, and a case that failed with a sentence that names its CT."""
    cts = write_cts(tmp_path / "private", ("pt_1", "pt_2", "pt_3"))
    paths = write_small_study(tmp_path / "study", cts, ("accepted", "edited", "pending"))
    write_label_map(small_mask(read_volume(cts["pt_1"])), paths.support_scribbles())
    for path in (paths.case("pt_3").quality, paths.case("pt_3").pseudo_mask):
        path.unlink()
    record_failure(paths.case("pt_3"), f"{cts['pt_3']}: expected a CT.", f"Traceback: {cts['pt_3']}")
    paths.logs.mkdir()
    (paths.logs / "run.log").write_text("a log", encoding="utf-8")
    paths.supports.mkdir()
    paths.support_link("abc", cts["pt_1"]).symlink_to(cts["pt_1"])
    write_inputs(paths, [tmp_path], [LeftOut(path=tmp_path / "A^B.csv", kind=Kind.OTHER_FILE, reason="a table")])
    write_report(paths.root)
    assert "A^B.csv" in paths.report.read_text(encoding="utf-8")
    return paths


def test_it_has_the_review_and_neither_cts_nor_logs(study: StudyPaths, tmp_path: Path) -> None:
    with zipfile.ZipFile(export_zip(study.root, tmp_path / "out.zip")) as archive:
        names = set(archive.namelist())
    assert names == {
        "study/study.json",
        "study/review.csv",
        "study/report.html",
        "study/scribbles.seg.nrrd",
        "study/cases/pt_1/pseudo.seg.nrrd",
        "study/cases/pt_1/quality.json",
        "study/cases/pt_2/pseudo.seg.nrrd",
        "study/cases/pt_2/edited.seg.nrrd",
        "study/cases/pt_2/quality.json",
        "study/cases/pt_3/failed.json",
    }


def test_no_path_of_this_machine_is_in_it(study: StudyPaths, tmp_path: Path) -> None:
    with zipfile.ZipFile(export_zip(study.root, tmp_path / "out.zip")) as archive:
        content = {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}
    assert "expected a CT" in content["study/cases/pt_3/failed.json"]
    for trace in (str(tmp_path), "private", "Traceback", "A^B"):
        assert [name for name, text in content.items() if trace in text] == []


def test_the_report_and_its_pictures_can_be_left_out(study: StudyPaths, tmp_path: Path) -> None:
    with zipfile.ZipFile(export_zip(study.root, tmp_path / "out.zip", report=False)) as archive:
        assert "study/report.html" not in archive.namelist()


def test_unpacked_with_the_cts_beside_it_the_review_goes_on(study: StudyPaths, tmp_path: Path) -> None:
    with zipfile.ZipFile(export_zip(study.root, tmp_path / "out.zip")) as archive:
        archive.extractall(tmp_path / "elsewhere")
    there = StudyPaths(tmp_path / "elsewhere" / "study")
    shutil.copytree(tmp_path / "private", there.root / "ct")
    results = list(study_results(there))
    assert [(r.case, r.state) for r in results] == [("pt_1", "accepted"), ("pt_2", "edited")]
    assert all(read_volume(r.mask).same_grid(read_volume(r.ct)) for r in results)
    assert ReviewLedger.load(there.review).counts()["edited"] == 1
    assert "data:image" in write_report(there.root).read_text(encoding="utf-8")


def test_two_exports_of_one_study_are_the_same_file(study: StudyPaths, tmp_path: Path) -> None:
    first, second = (export_zip(study.root, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()


def test_a_file_that_exists_is_left_as_it_is(study: StudyPaths, tmp_path: Path) -> None:
    (tmp_path / "out.zip").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="expected a new file"):
        export_zip(study.root, tmp_path / "out.zip")
    with pytest.raises(InputError, match=r"ends in \.zip"):
        export_zip(study.root, tmp_path / "out.tar")
    assert (tmp_path / "out.zip").read_text(encoding="utf-8") == "mine"
