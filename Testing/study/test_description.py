from pathlib import Path

import pytest

from OneShotSegLib.errors import InputError
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
        ('{"format": "OneShotSeg study", "version": 99}', "expected a study of version 1, 2, found 99"),
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
