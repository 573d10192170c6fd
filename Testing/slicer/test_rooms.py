"""The rooms of OneShotSegLib/slicer import one way, and loading the module imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from Testing.helpers.rooms import imports, modules

PACKAGE = "OneShotSegLib.slicer"
ORDER = (
    {"i18n"},
    {"messages", "parameters", "segment_editor", "dicom_database"},
    {"mrml", "jobs"},
    {"sample_data"},
    {"review"},
    {"sections"},
    {"panel", "self_tests"},
)
"""The files and rooms of the package: each imports only itself and what comes before it."""
HEAVY = (
    *("torch", "numba", "scipy", "SimpleITK", "monai", "matplotlib", "rich", "typer", "jinja2"),
    *("contourpy", "PIL", "safetensors", "filelock", "distributed"),
)
BROUGHT = {
    *("slicer", "qt", "ctk", "vtk", "SampleData", "DICOMLib", "numpy", "scipy", "SimpleITK", "pydicom"),
    "packaging",  # done without where it is missing
}
"""What Slicer brings."""
RUN_ELSEWHERE = {"slicer.jobs.devices"}
"""Run in the Python that computes."""
OPEN_THE_PANEL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from standin import start
application = start()
from driving import Session
session = Session(application, Path(sys.argv[2]))
session.settle()
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[3:])))
session.close()
"""


def imported(path: Path) -> Iterator[str]:
    """The full names that a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    """The file or room of the package that a full name belongs to; '' outside the package."""
    return name.removeprefix(f"{PACKAGE}.").partition(".")[0] if name.startswith(f"{PACKAGE}.") else ""


def test_every_file_and_room_has_its_place_in_the_order(repository: Path) -> None:
    folder = repository / "OneShotSegLib" / "slicer"
    there = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert there - {"__init__"} == set().union(*ORDER)


def test_a_room_imports_only_itself_and_what_comes_before_it(repository: Path) -> None:
    place = {part: number for number, parts in enumerate(ORDER) for part in parts}
    folder = repository / "OneShotSegLib" / "slicer"
    wrong = []
    for path in folder.rglob("*.py"):
        own = path.relative_to(folder).parts[0].removesuffix(".py")
        parts = {part_of(name) for name in imported(path)} - {"", own}
        wrong += [f"{path.relative_to(folder)} imports {part}" for part in parts if place[part] >= place[own]]
    assert wrong == []


def test_only_the_slicer_rooms_import_slicer(repository: Path) -> None:
    library = repository / "OneShotSegLib"
    outside = [path for path in library.rglob("*.py") if path.relative_to(library).parts[0] != "slicer"]
    roots = {"slicer", "qt", "ctk", "vtk"}
    wrong = [
        path.name
        for path in outside
        if any(name.partition(".")[0] in roots or name.startswith(PACKAGE) for name in imported(path))
    ]
    assert wrong == []


def test_slicer_s_process_needs_nothing_that_slicer_does_not_bring() -> None:
    """Nor does the child that reads and writes files, which runs in Slicer's Python: all else runs in another one."""
    below: dict[str, set[str]] = {}
    outside: dict[str, set[str]] = {}
    for one in imports():
        (below if one.is_own else outside).setdefault(one.importer, set()).add(one.imported)
    reached = {name for name in modules() if name.startswith("slicer")}
    waiting = list(reached)
    while waiting:
        found = {name for name in below.get(waiting.pop(), ()) if name in modules()} - reached
        reached |= found
        waiting += found
    reached -= RUN_ELSEWHERE
    needed = {name.partition(".")[0] for module in reached for name in outside.get(module, ())}
    assert needed - set(sys.stdlib_module_names) <= BROUGHT


@pytest.mark.usefixtures("application")
def test_opening_the_panel_imports_nothing_heavy(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_THE_PANEL, str(Path(__file__).parent), str(tmp_path), *HEAVY]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == "[]"
