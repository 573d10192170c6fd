"""`oneshotseg revisions`: what it lists, and what it says of a run that is taken back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from OneShotSegLib.cli.revisions import show_revisions, take_back_revision
from OneShotSegLib.errors import InputError
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.opening import continued
from OneShotSegLib.study.quality import read_quality, write_quality
from OneShotSegLib.study.replacement import copy_result
from Testing.helpers.small_study import write_cts, write_small_study


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    """A study of two revisions, the second of which recomputed the first case."""
    paths = write_small_study(tmp_path / "study", write_cts(tmp_path, ["pt_1", "pt_2"]), ["pending", "accepted"])
    there = StudyDescription.read(paths)
    wanted = replace(there, weights={"name": "mine", "fingerprint": "f"}, revision=1, revisions=(), cases=())
    replace(continued(paths, there, wanted), cases=there.cases).write(paths)
    files = paths.case("pt_1")
    copy_result(files, paths.replaced("pt_1"))
    write_quality(replace(read_quality(files.quality), score=0.9, revision=2), files.quality)
    return paths


def test_revisions_are_listed_with_what_they_changed(study: StudyPaths, capsys: pytest.CaptureFixture[str]) -> None:
    show_revisions(study.root, as_json=False)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("  1  ")
    assert second.startswith("* 2  ")
    assert second.endswith("1 case  other weights (mine)")
    show_revisions(study.root, as_json=True)
    entries = json.loads(capsys.readouterr().out)
    assert [(entry["number"], entry["cases"], entry["present"]) for entry in entries] == [(1, 1, False), (2, 1, True)]
    assert entries[1]["changes"] == "other weights (mine)"


def test_a_run_that_is_taken_back_is_said_in_words(study: StudyPaths, capsys: pytest.CaptureFixture[str]) -> None:
    take_back_revision(study.root)
    assert "The study is of revision 1 again: 1 case got the result of before" in capsys.readouterr().err
    assert read_quality(study.case("pt_1").quality).score == 0.5
    with pytest.raises(InputError, match="expected a revision to return to"):
        take_back_revision(study.root)
