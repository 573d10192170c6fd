"""Consoles of other encodings, users without a name or a home, and studies that can only be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.other_user import UID, oneshotseg_as_other_user, open_folder, python_as_other_user
from Testing.helpers.shared import made_once
from Testing.helpers.small_study import small_ct, small_mask, write_cts, write_small_study

NAME = "Müller 脳"
CONSOLES = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C"},
    "C without UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of a case with an odd name, and its reference."""

    def make(folder: Path) -> Path:
        write_small_study(folder / "study 脳", write_cts(folder, [NAME]), ["pending"])
        (folder / "reference").mkdir()
        write_label_map(small_mask(small_ct(), shift=1), folder / "reference" / f"{NAME}.seg.nrrd")
        return folder

    return made_once(tmp_path_factory, "odd_names", make)


def run(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONUTF8", "PYTHONIO", "LC_", "LANG"))}
    here = {"PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    command = [sys.executable, "-m", "OneShotSegLib", *arguments]
    done = subprocess.run(command, cwd=folder, env={**kept, **here}, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("console", CONSOLES)
def test_tables_are_printed_with_letters_escaped_that_the_console_lacks(shared: Path, console: str) -> None:
    done = run(shared, CONSOLES[console], "review", "study 脳")
    assert done.returncode == 0, done.stderr
    assert b"pending" in done.stdout
    if console != "C":  # where Python takes UTF-8
        assert b"\\u8133" in done.stdout


@pytest.mark.parametrize("command", [("evaluate", "study 脳", "--reference", "reference"), ("suggest", "study 脳")])
@pytest.mark.parametrize("console", ["cp1252", "C without UTF-8"])
def test_other_commands_print_what_they_find(
    shared: Path, tmp_path: Path, console: str, command: tuple[str, ...]
) -> None:
    folder = shutil.copytree(shared, tmp_path / "copy")
    done = run(folder, CONSOLES[console], *command)
    assert done.returncode == 0, done.stderr
    assert b"\\u8133" in done.stdout


@pytest.mark.parametrize("console", ["cp1252", "ascii"])
def test_what_programs_read_is_plain_json(shared: Path, console: str) -> None:
    done = run(shared, CONSOLES[console], "suggest", "study 脳", "--json")
    assert json.loads(done.stdout.decode("ascii"))[0]["case"] == NAME


@pytest.mark.parametrize("console", ["ascii", "C without UTF-8"])
def test_exports_say_where_they_went(shared: Path, tmp_path: Path, console: str) -> None:
    target = tmp_path / "Müller 脳"
    done = run(shared, CONSOLES[console], "export", "nifti", "study 脳", str(target), "--all")
    assert done.returncode == 0, done.stderr
    assert (target / f"{NAME}.nii.gz").is_file()
    assert b"\\u8133" in done.stdout


def test_a_mistake_is_one_sentence_on_such_a_console(tmp_path: Path) -> None:
    done = run(tmp_path, CONSOLES["ascii"], "review", "脳")
    assert done.returncode == 2
    assert done.stderr.startswith(b"\\u8133: expected a study")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are rows of bytes on Linux alone")
def test_a_comment_that_is_no_utf_8_comes_back(shared: Path, tmp_path: Path) -> None:
    study = shutil.copytree(shared / "study 脳", tmp_path / "study")
    comment = os.fsdecode(b"M\xfcller")
    case = next(iter(ReviewLedger.load(StudyPaths(study).review))).case
    done = run(tmp_path, {}, "review", "study", "--accept", case, "--comment", comment)
    assert done.returncode == 0, done.stderr
    assert ReviewLedger.load(StudyPaths(study).review)[case].comment == comment
    assert b"M\\udcfcller" in (study / "review.csv").read_bytes()


@dataclass(frozen=True)
class Others:
    """What another user finds.

    Attributes:
        folder: An empty folder of theirs.
        cohort: A study and a reference that they can read alone.
    """

    folder: Path
    cohort: Path


@pytest.fixture
def others(shared: Path) -> Iterator[Others]:
    with open_folder() as folder:
        (folder / "own").mkdir()
        yield Others(folder / "own", shutil.copytree(shared, folder / "cohort"))


def test_a_user_without_name_and_home_can_work(others: Others) -> None:
    done = oneshotseg_as_other_user(
        others.folder,
        "evaluate",
        others.cohort / "study 脳",
        "--reference",
        others.cohort / "reference",
        "--csv",
        "x.csv",
    )
    assert done.returncode == 0, done.stderr
    assert (others.folder / "x.csv").is_file()
    assert not (others.folder / "~").exists()


@pytest.mark.parametrize("home", [{"HOME": "/nonexistent"}, {"HOME": "/"}, {}])
def test_libraries_keep_what_they_make_where_the_user_can_write(others: Others, home: dict[str, str]) -> None:
    libraries = "OneShotSegLib.geodesic.kernels, matplotlib"
    code = f"import {libraries}; print(matplotlib.get_cachedir())"
    done = python_as_other_user(others.folder, "-c", code, **home)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).is_relative_to(others.folder)
    assert {entry.name for entry in others.folder.iterdir()} <= {f"oneshotseg-{UID}"}


def test_a_study_that_can_only_be_read_is_shown_and_evaluated(others: Others) -> None:
    done = oneshotseg_as_other_user(others.folder, "review", others.cohort / "study 脳")
    assert done.returncode == 0, done.stderr
    assert "pending" in done.stdout
    done = oneshotseg_as_other_user(
        others.folder, "evaluate", others.cohort / "study 脳", "--reference", others.cohort / "reference"
    )
    assert done.returncode == 2
    assert "Means over 1 cases" in done.stdout
    assert done.stderr == f"{others.cohort / 'study 脳' / 'evaluation.csv'}: Permission denied.\n"


def test_what_cannot_be_written_into_such_a_study_is_one_sentence(others: Others) -> None:
    study = others.cohort / "study 脳"
    for arguments, file in ((["report"], "report.html"), (["review", "--accept", NAME], "review.csv")):
        done = oneshotseg_as_other_user(others.folder, arguments[0], study, *arguments[1:])
        assert (done.returncode, done.stderr) == (2, f"{study / file}: Permission denied.\n")


def test_such_a_study_is_exported_and_suggests_cases(others: Others) -> None:
    assert oneshotseg_as_other_user(others.folder, "suggest", others.cohort / "study 脳").returncode == 0
    for kind, target in (("nifti", "n"), ("zip", "a.zip"), ("nnunet", "raw")):
        options = [] if kind == "zip" else ["--all"]
        done = oneshotseg_as_other_user(others.folder, "export", kind, others.cohort / "study 脳", target, *options)
        assert done.returncode == 0, done.stderr
        assert (others.folder / target).exists()
