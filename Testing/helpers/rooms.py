"""The rooms of the library and what they import, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "OneShotSegLib"
BEGIN, END = "<!-- rooms: begin -->", "<!-- rooms: end -->"

# From the ground up: a room imports lower floors only, and on its own floor nothing but itself.
FLOORS: tuple[dict[str, str], ...] = (
    {
        "base": "the one error for users, the one protocol of events, exit statuses, fingerprints, the step timer, "
        "the usual troubles in a sentence each, the build",
        "geodesic": "exact geodesic distances: costs, compiled kernels; the published raster scan, for `paper`",
    },
    {
        "imaging": "volumes in physical space: files, DICOM series, RTSTRUCT, integrity, resampling, label maps, HU "
        "windows, boxes, atomic writing",
    },
    {
        "study": "the format of a study on disk, and nothing else: layout, description, quality, review",
        "networks": "PRNet and U-Net, weights, checkpoints, their import, patches, a segmentation network's inference",
    },
    {"method": "the steps of the method, one per file, their settings and their order"},
    {"scoring": "quality without a reference, paired organs, the region, what to correct first"},
    {"fusion": "label fusion of several candidates, support selection"},
    {
        "inference": "what segments a query, with CPU fallback when GPU memory runs out",
        "evaluation": "Dice and surface distances against references",
        "report": "the HTML report of a study: content, figures, template",
        "phantom": "the procedural CT phantom of the demo and the tests",
    },
    {
        "runner": "a batch: requests, cases, reviewed cases as supports, prefetch, Dask, log; into a study",
        "training": "PRNet without labels, segmentation networks from noisy labels, and what they share",
        "export": "nnU-Net, NIfTI, DICOM SEG, RTSTRUCT, a zip of the review",
    },
    {
        "api": "the Python interface",
        "doctor": "what is there of what the computation needs: machine, packages, libraries, weights",
        "worker": "the live worker: a process that holds one case or support, its requests, and its client",
    },
    {"backend": "the environment that the Slicer module computes in: which one, its installation and repair"},
    {
        "interface": "what the Slicer panel and the page share: the review without a window, child processes, "
        "checks of strokes",
    },
    {"browser": "the page in a browser: its server on this machine alone, and its files"},
    {
        "cli": "`oneshotseg`: thin; each command imports what it needs",
        "slicer": "the Slicer module's rooms: mrml (nodes, volumes), jobs (child processes), review, sections, panel",
    },
)
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
BASE_MODULES = {"build_info", "errors", "events", "exit_status", "fingerprint", "surroundings", "timer", "troubles"}


@dataclass(frozen=True)
class Import:
    """One import statement of the library.

    Attributes:
        importer: Module that imports, dotted, without the package's name.
        imported: What it imports: a module of the library, or a package from outside.
        is_own: Whether that is the library's own.
        line: Where.
    """

    importer: str
    imported: str
    is_own: bool
    line: int

    @property
    def rooms(self) -> tuple[str, str]:
        """The rooms of both, for an import of the library's own."""
        return room_of(self.importer), room_of(self.imported)


def room_of(module: str) -> str:
    """The room of a module of the library; '' for the package itself."""
    first = module.split(".")[0]
    return "base" if first in BASE_MODULES else "" if first in ("", "__main__") else first


def modules() -> dict[str, Path]:
    """Every module of the library by its dotted name without the package's; '' for the package itself."""
    found = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> list[Import]:
    """All imports of the library, those inside functions too, those for type checkers alone left out."""
    known = modules()
    return [found for name, path in known.items() for found in _imports_of(name, path, known)]


def _imports_of(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    for node in _run_time_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _import(name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("OneShotSegLib.") in known
                yield _import(name, whole if is_module else node.module, node.lineno)


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _run_time_nodes(node)


def _import(importer: str, imported: str, line: int) -> Import:
    is_own = imported == "OneShotSegLib" or imported.startswith("OneShotSegLib.")
    return Import(
        importer, imported.removeprefix("OneShotSegLib").removeprefix(".") if is_own else imported, is_own, line
    )


def arrows() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    found: dict[str, set[str]] = {room: set() for room in FLOOR_OF}
    for one in imports():
        if one.is_own:
            importer, imported = one.rooms
            if importer and imported and importer != imported:
                found[importer].add(imported)
    return found


def table() -> str:
    """The rooms and their arrows as Markdown, from the ground up."""
    lines = ["| room | what | imports |", "| --- | --- | --- |"]
    found = arrows()
    for floor in FLOORS:
        for room, what in floor.items():
            below = sorted(found[room], key=lambda name: (FLOOR_OF[name], name))
            lines.append(f"| `{room}` | {what} | {', '.join(below) or '-'} |")
    return "\n".join(lines)
