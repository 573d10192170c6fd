"""Two runs on one study exclude each other, and a crash leaves no lock."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.locking import exclusive


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    paths = StudyPaths(tmp_path / "study")
    paths.root.mkdir()
    paths.description.write_text("{}", encoding="utf-8")
    return paths


def holder(paths: StudyPaths) -> subprocess.Popen[str]:
    """Another process that holds the study until it is killed."""
    script = f"""
        import pathlib, time
        from OneShotSegLib.study.layout import StudyPaths
        from OneShotSegLib.study.locking import exclusive
        with exclusive(StudyPaths(pathlib.Path({str(paths.root)!r}))):
            print("held", flush=True)
            time.sleep(60)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, encoding="utf-8")
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_run_is_refused_in_a_sentence_and_a_killed_one_leaves_no_lock(study: StudyPaths) -> None:
    with holder(study) as child:
        with pytest.raises(InputError, match="another run"), exclusive(study):
            pass
        child.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        child.wait()
    assert study.lock.exists()
    with exclusive(study):
        pass


def test_two_runs_in_one_process_exclude_each_other_too(study: StudyPaths) -> None:
    with exclusive(study):
        with pytest.raises(InputError, match="another run"), exclusive(study):
            pass
        with pytest.raises(InputError, match="another run"), exclusive(study):
            pass
    with exclusive(study):
        pass


def test_studies_do_not_exclude_each_other(study: StudyPaths, tmp_path: Path) -> None:
    with exclusive(study), exclusive(StudyPaths(tmp_path / "other")):
        pass


@pytest.mark.parametrize("was_there", [True, False])
def test_a_run_that_began_no_study_leaves_nothing(tmp_path: Path, was_there: bool) -> None:
    paths = StudyPaths(tmp_path / "deep" / "study")
    if was_there:
        paths.root.mkdir(parents=True)
    with pytest.raises(InputError, match="bad"), exclusive(paths):
        raise InputError("bad")
    assert paths.root.exists() is was_there
    if was_there:
        assert list(paths.root.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_lock_that_is_a_link_to_elsewhere_is_not_followed(study: StudyPaths, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious", encoding="utf-8")
    study.lock.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"), exclusive(study):
        pass
    assert target.read_text(encoding="utf-8") == "precious"
