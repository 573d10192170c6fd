"""Writes OneShotSegLibFiles.cmake anew: the files of OneShotSegLib and the shipped weights.

Usage: python CMake/list_library_files.py
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LIST = REPOSITORY / "CMake" / "OneShotSegLibFiles.cmake"
LEFT_OUT = ("__pycache__", ".DS_Store")


def files_below(folder: str) -> list[str]:
    """The files below a folder of the repository, relative to the repository."""
    found = sorted((REPOSITORY / folder).rglob("*"))
    return [
        path.relative_to(REPOSITORY).as_posix()
        for path in found
        if path.is_file() and not any(part in LEFT_OUT or part.startswith(".") for part in path.parts[-3:])
    ]


def library_files() -> tuple[list[str], list[str]]:
    """Scripts, and everything else."""
    library = files_below("OneShotSegLib")
    scripts = [name for name in library if name.endswith(".py")]
    others = [name for name in library if not name.endswith(".py")]
    return scripts, [*others, *files_below("Resources/Weights")]


def as_cmake(scripts: Iterable[str], resources: Iterable[str]) -> str:
    """The text of the list."""
    head = "# Written by list_library_files.py; a test fails if it is not up to date.\n"
    return head + _set("OneShotSegLib_SCRIPTS", scripts) + _set("OneShotSegLib_RESOURCES", resources)


def _set(name: str, files: Iterable[str]) -> str:
    lines = "".join(f'  "{file}"\n' if " " in file else f"  {file}\n" for file in files)
    return f"\nset({name}\n{lines}  )\n"


def main() -> None:
    """Write the list."""
    LIST.write_text(as_cmake(*library_files()), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
