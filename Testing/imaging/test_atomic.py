"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from OneShotSegLib.imaging import atomic
from OneShotSegLib.imaging.atomic import atomic_file, remove_left_behind, remove_unfinished


def test_a_block_that_raises_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_file(tmp_path / "new" / "a.txt") as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_is_replaced_only_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with atomic_file(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("number", "is_raised"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EINVAL, False)])
def test_a_disk_that_could_not_take_the_file_is_an_error_and_a_share_that_cannot_sync_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_raised: bool
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    try:
        with atomic_file(path) as temporary:
            temporary.write_text("new", encoding="utf-8")
    except OSError:
        assert is_raised
    assert path.read_text(encoding="utf-8") == ("old" if is_raised else "new")
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    script = f"""
        import os, pathlib
        from OneShotSegLib.imaging.atomic import atomic_file
        with atomic_file(pathlib.Path({str(tmp_path)!r}) / "a.seg.nrrd", ".seg.nrrd") as temporary:
            temporary.write_bytes(b"half")
            os._exit(9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    kept = {".hidden", ".0123.seg.nrrd", "0123456789abcdef0123456789abcdef.nrrd"}
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / ".0123456789abcdef0123456789abcdef").mkdir()
    assert len(list(tmp_path.iterdir())) == 5
    remove_left_behind(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept | {".0123456789abcdef0123456789abcdef"}
    remove_left_behind(tmp_path / "nowhere")


def test_a_process_that_is_ended_by_force_takes_its_half_files_along(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_file(tmp_path / "a.txt") as temporary:
            temporary.write_text("half", encoding="utf-8")
            remove_unfinished()
            assert list(tmp_path.iterdir()) == []

    with pytest.raises(FileNotFoundError):
        write()
    assert not atomic.UNFINISHED
