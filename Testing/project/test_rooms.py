"""The house stands: imports run one way, from higher rooms to lower ones, and the architecture page shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from Testing.helpers.rooms import (
    BASE_MODULES,
    BEGIN,
    END,
    FLOOR_OF,
    LIBRARY,
    ROOT,
    Import,
    imports,
    modules,
    room_of,
    table,
)

ARCHITECTURE = ROOT / "docs" / "architecture.md"
SLICER_ONLY = {"slicer", "qt", "ctk", "vtk", "mrml"}


def own_imports() -> list[Import]:
    return [one for one in imports() if one.is_own]


def test_every_module_is_in_a_room_that_has_its_floor() -> None:
    rooms = {room_of(name) for name in modules()} - {""}
    assert rooms == set(FLOOR_OF)
    assert {path.stem for path in LIBRARY.glob("*.py")} == {"__init__", "__main__", "api", *BASE_MODULES}


def test_no_room_imports_a_higher_one_or_a_neighbour() -> None:
    wrong = []
    for one in own_imports():
        importer, imported = one.rooms
        if importer and imported and importer != imported and FLOOR_OF[imported] >= FLOOR_OF[importer]:
            wrong.append(f"{one.importer}:{one.line} imports {one.imported}")
    assert not wrong


def test_no_module_imports_itself_by_way_of_others() -> None:
    below: dict[str, set[str]] = {name: set() for name in modules()}
    for one in own_imports():
        if one.imported in below and one.importer != one.imported:
            below[one.importer].add(one.imported)
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        # A package's own __init__ may name what is in it: that is its public face, not a circle.
        if name in path and not any(
            name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in path[-1:]
        ):
            pytest.fail(" -> ".join((*path[path.index(name) :], name)))
        if name in done or name in path:
            return
        for other in sorted(below[name]):
            visit(other, (*path, name))
        done.add(name)

    for name in below:
        visit(name, ())


def test_nothing_but_the_slicer_rooms_imports_slicer_qt_or_vtk() -> None:
    outside = [
        f"{one.importer}:{one.line} imports {one.imported}"
        for one in imports()
        if not one.is_own and one.imported.split(".")[0] in SLICER_ONLY and room_of(one.importer) != "slicer"
    ]
    assert not outside


def test_the_geodesic_room_stands_alone() -> None:
    assert {one.rooms[1] for one in own_imports() if room_of(one.importer) == "geodesic"} == {"geodesic"}


def test_the_architecture_page_shows_the_rooms_and_their_arrows() -> None:
    """To bring the page up to date: ``UPDATE_DOCS=1 python -m pytest Testing/project/test_rooms.py``."""
    page = ARCHITECTURE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    shown, after = rest.split(END)
    if os.environ.get("UPDATE_DOCS"):
        write(ARCHITECTURE, f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")
        return
    print(table())
    assert shown.strip() == table()


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
