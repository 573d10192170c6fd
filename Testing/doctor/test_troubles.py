"""A usual trouble is one sentence, with what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from OneShotSegLib import build_info, cli
from OneShotSegLib.doctor import processor
from OneShotSegLib.imaging import atomic
from OneShotSegLib.troubles import file_sentence, is_held, sentence_of


def file_error(number: int, windows: int | None = None, name: str = "a.nrrd") -> OSError:
    error = OSError(number, os.strerror(number), name)
    if windows is not None:
        error.winerror = windows  # type: ignore[attr-defined,unused-ignore]
    return error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (file_error(errno.ENOSPC), "free some space"),
        (file_error(errno.EIO, 112), "free some space"),
        (file_error(errno.EACCES, 32), "antivirus"),
        (file_error(errno.ENAMETOOLONG), "shorter path"),
        (file_error(errno.ENOENT, 206), "long paths"),
        (file_error(errno.ENOENT, 3, "x" * 300), "long paths"),
    ],
)
def test_a_file_s_usual_trouble_has_advice(error: OSError, advice: str) -> None:
    sentence = file_sentence(error)
    assert sentence.startswith(f"{error.filename}: {error.strerror}: ")
    assert advice in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("error", [file_error(errno.EIO), file_error(errno.ENOENT, 3)])
def test_another_trouble_stays_as_the_system_says_it(error: OSError) -> None:
    assert file_sentence(error) == f"a.nrrd: {error.strerror}."


def test_an_error_without_a_file_has_the_place_that_is_known() -> None:
    assert file_sentence(OSError(errno.EIO, "odd"), Path("study")) == "study: odd."
    assert file_sentence(OSError("odd")) == "File: odd."


class OutOfMemoryError(RuntimeError):
    """What torch's is called."""


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OutOfMemoryError("CUDA out of memory"), "--device cpu"),
        (MemoryError(), "memory"),
        (ModuleNotFoundError("No module named 'numba'", name="numba"), "package numba is missing"),
        (ImportError("DLL load failed", name="torch._C"), "package torch does not load"),
    ],
)
def test_errors_of_the_machine_are_sentences(error: Exception, word: str) -> None:
    assert word in (sentence_of(error) or "")


@pytest.mark.parametrize(
    "error", [ValueError("a fault"), RuntimeError("another"), ModuleNotFoundError("x", name="OneShotSegLib.nothing")]
)
def test_errors_of_the_program_are_not(error: Exception) -> None:
    assert sentence_of(error) is None


def run_main(monkeypatch: pytest.MonkeyPatch, error: Exception) -> object:
    def app() -> None:
        raise error

    monkeypatch.setattr("OneShotSegLib.cli.app.app", app)
    monkeypatch.setattr("OneShotSegLib.cli.cancelling.listen", lambda: None)
    monkeypatch.setattr("OneShotSegLib.cli.console.begin_again_in_utf_8", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_command_line_prints_the_sentence_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, file_error(errno.ENOSPC)) == 2
    assert "free some space" in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a fault"):
        run_main(monkeypatch, ValueError("a fault"))


def test_a_processor_without_avx_is_said_before_a_library_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processor, "avx", lambda: {"avx": False, "avx2": False})
    run_main(monkeypatch, MemoryError())
    assert capsys.readouterr().err.startswith("Warning: this processor has no AVX")


def hold(monkeypatch: pytest.MonkeyPatch, attempts: int, error: OSError) -> list[int]:
    """Let the first attempts to rename fail; the list counts all of them."""
    real, made = Path.replace, [0]

    def replace(self: Path, target: Path) -> Path:
        made[0] += 1
        if made[0] <= attempts:
            raise error
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(atomic, "HELD_SECONDS", (0.0, 0.0, 0.0))
    return made


def write(path: Path) -> None:
    with atomic.atomic_file(path) as temporary:
        temporary.write_text("new", encoding="utf-8")


def test_a_file_that_an_antivirus_program_holds_for_a_moment_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hold(monkeypatch, 2, file_error(errno.EACCES, 32))
    write(tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "new"
    assert made == [3]


def test_a_file_that_stays_held_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(monkeypatch, 9, file_error(errno.EACCES, 32))
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the code is looked at
        write(tmp_path / "file")
    assert is_held(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_error_of_another_kind_is_raised_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hold(monkeypatch, 9, file_error(errno.EROFS))
    with pytest.raises(OSError, match="Read-only"):
        write(tmp_path / "file")
    assert made == [1]


def test_the_build_is_the_checkout_s_commit(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    assert build_info.commit_of(tmp_path) is None  # nothing committed yet
    (git / "packed-refs").write_text(f"# pack-refs\n{'a' * 40} refs/heads/main\n", encoding="utf-8")
    assert build_info.commit_of(tmp_path) == "a" * 12
    (git / "refs" / "heads" / "main").write_text(f"{'b' * 40}\n", encoding="utf-8")
    assert build_info.commit_of(tmp_path) == "b" * 12
    (git / "HEAD").write_text(f"{'c' * 40}\n", encoding="utf-8")
    assert build_info.commit_of(tmp_path) == "c" * 12


def test_the_build_of_a_further_working_tree_is_its_own_commit(tmp_path: Path) -> None:
    own = tmp_path / "main" / ".git" / "worktrees" / "other"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/other\n", encoding="utf-8")
    (own / "commondir").write_text("../..\n", encoding="utf-8")
    (own.parents[1] / "refs" / "heads").mkdir(parents=True)
    (own.parents[1] / "refs" / "heads" / "other").write_text("d" * 40, encoding="utf-8")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".git").write_text(f"gitdir: {own}\n", encoding="utf-8")
    assert build_info.commit_of(tmp_path / "tree") == "d" * 12


def test_a_wheel_knows_the_commit_that_was_written_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_info, "PACKAGE", tmp_path)
    assert build_info.build() is None
    assert "build" not in build_info.version_line()
    (tmp_path / "build.txt").write_text("0123456789abcdef\n", encoding="ascii")
    assert build_info.version_line().endswith(" (build 0123456789ab)")
