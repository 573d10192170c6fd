"""Where the CT of each case lies, from what the study says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.layout import StudyPaths, read_json

PATH_KEYS = ("path", "query", "image", "volume", "source", "file")


def read_case_volumes(study: StudyPaths) -> dict[str, Path]:
    """Case name to the file or folder of its CT; empty if the study does not say.

    Paths within the study folder may be written relative to it, so that the folder can be moved.
    """
    if not study.description.is_file():
        return {}
    try:
        content = read_json(study.description)
    except InputError:
        return {}
    found = content.get("cases") if isinstance(content, Mapping) else None
    return {name: _resolve(study.root, path) for name, path in _entries(found)}


def _entries(cases: Any) -> Iterator[tuple[str, str]]:
    if isinstance(cases, Mapping):
        for name, entry in cases.items():
            path = _path_in(entry)
            if path:
                yield str(name), path
    elif isinstance(cases, list):
        for entry in cases:
            path = _path_in(entry)
            name = entry.get("name", entry.get("case")) if isinstance(entry, Mapping) else None
            if path and name:
                yield str(name), path


def _path_in(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, Mapping):
        return next((str(entry[key]) for key in PATH_KEYS if entry.get(key)), "")
    return ""


def _resolve(root: Path, text: str) -> Path:
    path = Path(text)
    return path if path.is_absolute() else root / path
