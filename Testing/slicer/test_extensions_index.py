"""The entry of Slicer's Extensions Index: its rules, and its own check script where that is at hand.

SLICER_EXTENSIONS_INDEX is the folder of a checkout of github.com/Slicer/ExtensionsIndex.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest

ENTRY = "OneShotSeg.json"
EXTENSION = "OneShotSeg"
NEWEST_SCHEMA = "slicer-extension-catalog-entry-schema-v1.0.2.json"
SCHEMA_FIELDS = {
    *("$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "dicom_support_rule"),
    *("build_subdirectory", "enabled", "tier"),
}
MOST_MB = 100
SCRIPT = Path("scripts") / "check_description_files.py"
PRINTS_CATEGORIES = re.compile(r"^    print\(f\"\[.*$", re.M)
OWN_FILES = re.compile(r"https://raw\.githubusercontent\.com/[\w-]+/([\w-]+)/main/(\S+)")


@pytest.fixture
def entry(repository: Path) -> dict[str, object]:
    read: dict[str, object] = json.loads((repository / ENTRY).read_text(encoding="utf-8"))
    return read


def cmake(repository: Path) -> str:
    return (repository / "CMakeLists.txt").read_text(encoding="utf-8")


def urls(repository: Path) -> list[str]:
    return re.findall(r"https://[^\s\"]+", cmake(repository))


def repository_name(entry: dict[str, object]) -> str:
    return Path(urlsplit(str(entry["scm_url"])).path).stem


def test_the_entry_is_of_the_newest_schema(entry: dict[str, object]) -> None:
    assert str(entry["$schema"]).partition("#")[0].endswith(f"/Slicer/main/Schemas/{NEWEST_SCHEMA}")
    assert {"$schema", "category", "scm_url"} <= set(entry) <= SCHEMA_FIELDS
    assert entry["tier"] in range(1, 6)
    assert entry["category"] == "Segmentation"


def test_the_entry_s_lines_end_as_the_index_asks(repository: Path) -> None:
    assert b"\r" not in (repository / ENTRY).read_bytes()


def test_the_extension_s_name_does_not_begin_with_slicer_and_its_repository_s_does(
    repository: Path, entry: dict[str, object]
) -> None:
    assert Path(ENTRY).stem == EXTENSION
    assert not EXTENSION.lower().startswith("slicer")
    assert repository_name(entry) == f"Slicer{EXTENSION}"
    assert re.search(r"project\s*\(\s*(\w+)", cmake(repository))[1] == EXTENSION  # type: ignore[index]
    assert urlsplit(str(entry["scm_url"])).scheme == "https"


def test_all_addresses_are_of_that_repository(repository: Path, entry: dict[str, object]) -> None:
    found = urls(repository)
    assert len(found) >= 5
    assert all(f"/OneShotSeg/{repository_name(entry)}" in url for url in found), found


def test_icon_and_screenshots_are_pictures_that_are_there(repository: Path) -> None:
    pictures = [OWN_FILES.fullmatch(url) for url in urls(repository) if "raw.githubusercontent" in url]
    assert len(pictures) >= 2
    for found in pictures:
        assert found is not None
        assert (repository / found[2]).read_bytes().startswith(b"\x89PNG"), found[0]


def test_the_first_page_says_what_the_index_asks_for(repository: Path) -> None:
    """Name, a picture, a sentence for each module, the publication, the licence, and the topic to set."""
    page = (repository / "README.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {EXTENSION}\n")
    assert re.search(r"!\[[^\]]+\]\(Resources/Screenshots/", page)
    for module in re.findall(r"add_subdirectory\((\w+)\)", cmake(repository)):
        assert re.search(rf"^- \*\*{module}\*\*: [^\n]+", page, re.M), module
    assert "arxiv.org/abs/2111.10773" in page
    assert "(LICENSE)" in page
    assert (repository / "LICENSE").is_file()
    assert "3d-slicer-extension" in (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")


def tracked(repository: Path) -> list[Path]:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [repository / name.decode() for name in done.stdout.split(b"\0") if name]


def test_the_repository_is_not_larger_than_the_index_takes(repository: Path) -> None:
    assert sum(file.stat().st_size for file in tracked(repository) if file.is_file()) < MOST_MB * 2**20


@pytest.fixture
def script() -> ModuleType:
    folder = os.environ.get("SLICER_EXTENSIONS_INDEX")
    if not folder or not (Path(folder) / SCRIPT).is_file():
        pytest.skip("SLICER_EXTENSIONS_INDEX is not a checkout of the Extensions Index")
    source = (Path(folder) / SCRIPT).read_text(encoding="utf-8")
    if sys.version_info < (3, 12):  # the line that prints the categories, which no check needs, is for Python 3.12
        source = PRINTS_CATEGORIES.sub("    pass", source)
    module = ModuleType("check_description_files")
    try:
        exec(compile(source, str(SCRIPT), "exec"), module.__dict__)
    except SyntaxError as error:
        pytest.skip(f"the index's script is for a newer Python than {sys.version.split()[0]}: {error}")
    return module


CHECKS = (
    *("check_extension_name", "check_category", "check_git_repository_name", "check_scm_url_syntax"),
    *("check_cmakelists_content", "check_license_file", "check_repository_size", "check_json_file_format"),
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_index_s_own_check_passes(
    check: str,
    script: ModuleType,
    entry: dict[str, object],
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All but what asks GitHub: the clone, the topics, the schema; pictures are looked for in the checkout."""
    for file in tracked(repository):
        if file.is_file():
            target = tmp_path / file.relative_to(repository)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)

    def picture(url: str, kind: str, extension: str, name: str) -> None:
        found = OWN_FILES.fullmatch(url)
        if found is None or not (tmp_path / found[2]).is_file():
            raise script.ExtensionCheckError(extension, name, f"{kind} {url} is not there")

    monkeypatch.setattr(script, "validate_image_url", picture)
    options: dict[str, object] = {}
    if check in ("check_cmakelists_content", "check_license_file", "check_repository_size"):
        options["cloned_repository_folder"] = str(tmp_path)
    if check == "check_json_file_format":
        options["extension_file_path"] = str(tmp_path / ENTRY)
    getattr(script, check)(EXTENSION, entry, **options)
