"""Names and paths as Windows takes them, whatever system the tests run on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.request import plain
from OneShotSegLib.study import naming
from OneShotSegLib.study.description import located, name_cases
from OneShotSegLib.study.naming import LONGEST_ON_WINDOWS, check_lengths, longest_path, safe_name, unique_names

FORBIDDEN = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
ODD = (
    "CON",
    "nul",
    "aux",
    "com1",
    "LPT¹",
    "aux.seg",
    "con .x",
    "name. . .",
    " name ",
    "a:b",
    "C:ct",
    "x|y?z*",
    "a\tb",
    "..",
    "",
    "脳" * 90,
    "CONIN$",
    "NUL:",
)


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize(
    "named", [safe_name, lambda text: safe_name(plain(text)), lambda text: unique_names([text])[0]]
)
def test_names_can_be_those_of_files_on_windows(text: str, named: Callable[[str], str]) -> None:
    name = named(text)
    assert name == name.strip(" .")
    assert not FORBIDDEN & set(name)
    for suffix in ("", ".nii.gz", ".dcm"):
        assert not PureWindowsPath(name + suffix).is_reserved()
        assert PureWindowsPath(name + suffix).name == name + suffix
    assert 0 < len(name) <= 81


def test_names_that_differ_in_case_alone_are_two_folders() -> None:
    names = unique_names(["Case1", "case1", "CASE1 ", "Straße", "STRASSE"])
    assert len({PureWindowsPath(name) for name in names}) == len(names)


def test_a_reserved_file_name_is_a_case(tmp_path: Path) -> None:
    cases = name_cases([tmp_path / "aux.nii.gz", tmp_path / "AUX.nrrd"])
    assert cases[0].case != "aux"
    assert len({case.case.casefold() for case in cases}) == 2


@pytest.mark.parametrize(
    "source", [r"C:\cts\a.nii.gz", r"\\server\share\a.nii.gz", r"\\?\C:\cts\a.nii.gz", "C:/cts/a.nii"]
)
def test_a_path_of_windows_is_no_path_within_the_study(source: str) -> None:
    assert located(Path("study"), source) == Path(source)


def test_the_longest_path_is_that_of_a_temporary_file() -> None:
    found = longest_path(PureWindowsPath(r"\\server\share\study"), ["a", "long name"])
    assert str(found).startswith(r"\\server\share\study\unfinished\long name\.")
    assert len(found.name) == 42


def test_a_study_too_deep_for_windows_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = Path("/" + "x" * (LONGEST_ON_WINDOWS - 60))
    check_lengths(deep, ["a" * 40])
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(naming, "_allows_long_paths", lambda: False)
    check_lengths(deep, ["a"])
    with pytest.raises(InputError, match="at most 259 characters"):
        check_lengths(deep, ["a" * 40])
