import os
from dataclasses import replace
from pathlib import Path

import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.study.description import StudyCase, StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.naming import safe_name

DESCRIPTION = StudyDescription(
    supports=({"ct": "/a/ct.nii.gz", "scribbles": "scribbles.seg.nrrd", "fingerprint": "abc"},),
    labels=({"value": 1, "name": "Heart", "color": [1.0, 0.0, 0.0]},),
    background_label=9,
    settings={"name": "default"},
    weights={"name": "headneck", "fingerprint": "w"},
    cases=(StudyCase("one", "/data/one.nii.gz"),),
)


def test_a_study_description_comes_back_as_it_was_written(tmp_path: Path) -> None:
    DESCRIPTION.write(StudyPaths(tmp_path))
    assert StudyDescription.read(StudyPaths(tmp_path)) == DESCRIPTION


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "expected a JSON file"),
        ("[]", "expected an OneShotSeg study"),
        ('{"format": "OneShotSeg study", "version": 99}', "expected a study of version 1, 2, 3, found 99"),
        ('{"format": "OneShotSeg study", "version": 1, "cases": 3}', "gaps or unknown entries"),
    ],
)
def test_a_broken_study_file_is_named_in_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "study.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        StudyDescription.read(StudyPaths(tmp_path))


def test_a_folder_without_a_study_is_distinguished_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        StudyDescription.read(StudyPaths(tmp_path))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/a.nii.gz", "/x/b.nrrd"], ["a", "b"]),
        (["/x/a/ct.nii.gz", "/x/b/CT.mha"], ["a", "b"]),
        (["/x/a/1.nii", "/x/b/1.nii"], ["a_1", "b_1"]),
        (["/x/a.nii", "/x/a.nii"], ["a"]),
        (["/x/a.nii", "/x/A.nrrd", "/x/b.nii"], ["a", "A-2", "b"]),
        (["/x/con.nii"], ["_con"]),
        (["/x/..nii"], ["case"]),
    ],
)
def test_cases_get_names_that_are_unique_and_safe_everywhere(paths: list[str], names: list[str]) -> None:
    assert [case.case for case in name_cases(map(Path, paths))] == names


def test_a_name_never_leaves_its_folder() -> None:
    assert "/" not in safe_name("../../etc/passwd")
    assert "\\" not in safe_name("..\\windows")
    assert len(safe_name("x" * 300)) <= 80


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/P1", "/x/P2/study/series"], ["P1", "P2"]),
        (["/x/scan_1", "/x/scan_2/DICOM"], ["scan_1", "scan_2"]),
        (["/x/P1/series 1", "/x/P1/series 2", "/x/P2/series 1"], ["P1_series 1", "P1_series 2", "P2"]),
        (["/site1/P1/CT", "/site2/P1/CT", "/x/b.nii"], ["site1_P1", "site2_P1", "b"]),
        (["/x/P1/images/ct.nii.gz", "/x/P2/images/ct.nii.gz"], ["P1", "P2"]),
        (["/x/LIDC-0001/01-01-2000-30178/3000566.000000-03192"], ["LIDC-0001"]),
        (["/x/P1/1.2.840.113619.2.55/DICOM", "/x/P2/0123456789abcdef0123456789abcdef/IM"], ["P1", "P2"]),
        (["/dicom/series"], ["series"]),
        (["/x/a/1.nii", "/x/b/1.nii", "/x/b/1.nrrd", "/x/2.nii"], ["a_1", "b_1", "b_1-2", "2"]),
    ],
)
def test_cases_are_named_after_the_folder_that_says_something(paths: list[str], names: list[str]) -> None:
    assert [case.case for case in name_cases(map(Path, paths))] == names


def test_known_cases_keep_their_names_and_new_ones_are_told_apart_from_them() -> None:
    known = (StudyCase("1", "/x/a/1.nii"), StudyCase("old", "/x/old.nii"))
    fresh = name_cases([Path("/x/a/1.nii"), Path("/x/b/1.nii"), Path("/y/old.nii")], known)
    assert [(case.case, case.source) for case in fresh] == [("b_1", "/x/b/1.nii"), ("y_old", "/y/old.nii")]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_to_cts_keep_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "P7").mkdir()
    (tmp_path / "store" / "0a1b2c3d4e5f.nii.gz").write_bytes(b"")
    (tmp_path / "P7" / "ct.nii.gz").symlink_to(tmp_path / "store" / "0a1b2c3d4e5f.nii.gz")
    (case,) = name_cases([tmp_path / "P7" / "ct.nii.gz", tmp_path / "P7" / ".." / "P7" / "ct.nii.gz"])
    assert (case.case, case.source) == ("P7", str(tmp_path / "P7" / "ct.nii.gz"))


def test_series_of_one_folder_are_named_by_their_descriptions(tmp_path: Path) -> None:
    cts = [FoundCT(path=tmp_path / "P1", series=f"1.2.{n}", description=d) for n, d in enumerate(("soft", "lung"))]
    cases = name_cases(cts)
    assert [case.case for case in cases] == ["P1_soft", "P1_lung"]
    described = replace(DESCRIPTION, cases=cases)
    described.write(StudyPaths(tmp_path))
    assert StudyDescription.read(StudyPaths(tmp_path)).cases == cases
