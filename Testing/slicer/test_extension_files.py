"""The extension's build files name what is on disk, and nothing heavy is imported at file scope."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

IN_A_FRESH_SLICER = {"slicer", "vtk", "qt", "ctk", "numpy", "SimpleITK", "scipy", "OneShotSegLib"}
IN_PROCESS_ROOMS = ("slicer", "imaging")


def cmake_list(text: str, name: str) -> list[str]:
    match = re.search(rf"set\({name}\n(.*?)\)", text, re.DOTALL)
    assert match is not None
    return [line.strip().strip('"') for line in match[1].splitlines() if line.strip()]


def test_the_build_lists_every_file_of_the_library(repository: Path) -> None:
    sys.path.insert(0, str(repository / "CMake"))
    from list_library_files import as_cmake, library_files

    there = (repository / "CMake" / "OneShotSegLibFiles.cmake").read_text(encoding="utf-8")
    assert there == as_cmake(*library_files()), "run: python CMake/list_library_files.py"


def test_the_build_lists_every_file_of_the_module(repository: Path) -> None:
    folder = repository / "OneShotSeg"
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8").replace("${MODULE_NAME}", "OneShotSeg")
    listed = cmake_list(text, "MODULE_PYTHON_SCRIPTS") + cmake_list(text, "MODULE_PYTHON_RESOURCES")
    on_disk = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    ours = [name for name in on_disk if name != "CMakeLists.txt" and "__pycache__" not in name]
    assert sorted(listed) == sorted(ours)


@pytest.mark.parametrize("field", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"])
def test_the_extension_describes_itself_in_single_lines(repository: Path, field: str) -> None:
    match = re.search(
        rf'^set\(EXTENSION_{field} "([^"\n]+)"\)$', (repository / "CMakeLists.txt").read_text(encoding="utf-8"), re.M
    )
    assert match is not None
    for url in re.findall(r"https://raw\.githubusercontent\.com/\S+?/main/(\S+)", match[1]):
        assert (repository / url).is_file(), url


def test_the_index_entry_depends_on_what_the_extension_depends_on(repository: Path) -> None:
    entry = json.loads((repository / "OneShotSeg.json").read_text(encoding="utf-8"))
    depends = re.search(r'EXTENSION_DEPENDS "([^"]+)"', (repository / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert depends is not None
    assert entry["build_dependencies"] == ([] if depends[1] == "NA" else depends[1].split())
    assert set(entry) >= {"$schema", "category", "scm_url"}


def test_the_environment_has_what_pyproject_asks_for(repository: Path) -> None:
    from OneShotSegLib.doctor.requirements import NEEDED, OF_SLICER

    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert list(NEEDED) == project["dependencies"]
    assert {name: list(texts) for name, texts in OF_SLICER.items()} == {name: extras[name] for name in OF_SLICER}
    assert extras["slicer"] == [f"OneShotSegLib[{','.join(OF_SLICER)}]"]


def file_scope_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found - set(sys.stdlib_module_names)


def test_nothing_is_imported_at_file_scope_that_a_fresh_slicer_lacks(repository: Path) -> None:
    files = [repository / "OneShotSeg" / "OneShotSeg.py"]
    for room in IN_PROCESS_ROOMS:
        files += (repository / "OneShotSegLib" / room).rglob("*.py")
    wrong = {path.name: file_scope_imports(path) - IN_A_FRESH_SLICER for path in files}
    assert {name: what for name, what in wrong.items() if what} == {}


def test_every_node_box_of_the_panel_follows_the_scene(repository: Path) -> None:
    root = ET.parse(repository / "OneShotSeg" / "Resources" / "UI" / "OneShotSeg.ui").getroot()
    boxes = {widget.get("name") for widget in root.iter("widget") if widget.get("class") == "qMRMLNodeComboBox"}
    followers = {c.findtext("receiver") for c in root.iter("connection") if "setMRMLScene" in c.findtext("slot", "")}
    assert boxes == followers


def test_the_package_lies_where_the_module_looks_for_it(repository: Path) -> None:
    code = "import OneShotSegLib; print(OneShotSegLib.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=repository / "OneShotSeg"
    )
    assert Path(run.stdout.strip()).is_relative_to(repository)


def test_everything_that_can_be_used_says_what_it_is(repository: Path) -> None:
    root = ET.parse(repository / "OneShotSeg" / "Resources" / "UI" / "OneShotSeg.ui").getroot()
    plain = {"QWidget", "QLabel", "QFrame", "qMRMLWidget"}
    used = [widget for widget in root.iter("widget") if widget.get("class") not in plain]
    without = [
        widget.get("name")
        for widget in used
        if not any(entry.get("name") == "toolTip" for entry in widget.findall("property"))
    ]
    assert not without
