"""inputs.json: what the latest run searched for CTs, and what it did not use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.inputs import Kind, LeftOut, absolute
from OneShotSegLib.study.layout import STUDY_FORMAT, StudyPaths, read_json, write_json


def is_study(paths: StudyPaths) -> bool:
    """Whether a folder is a study of ours, of any version."""
    if not paths.description.is_file():
        return False
    try:
        content = read_json(paths.description)
    except InputError:
        return False
    return isinstance(content, dict) and content.get("format") == STUDY_FORMAT


def write_inputs(paths: StudyPaths, searched: Iterable[Path], left_out: Sequence[LeftOut]) -> None:
    """Write inputs.json.

    Raises:
        OSError: If it cannot be written.
    """
    entries = [{name: value for name, value in one.fields.items() if name != "text"} for one in left_out]
    write_json(paths.inputs, {"searched": [str(absolute(path)) for path in searched], "left_out": entries})


def read_left_out(paths: StudyPaths) -> tuple[LeftOut, ...]:
    """What the latest run did not use; nothing where that is not known."""
    with suppress(InputError):
        content = read_json(paths.inputs)
        entries = content.get("left_out") if isinstance(content, dict) else None
        return tuple(_left_out(entry) for entry in entries or () if _is_entry(entry))
    return ()


def _is_entry(entry: Any) -> bool:
    texts = ("path", "kind", "reason")
    return isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in texts)


def _left_out(entry: Mapping[str, Any]) -> LeftOut:
    kind = entry["kind"] if entry["kind"] in set(Kind) else Kind.OTHER_FILE
    count = entry.get("count")
    return LeftOut(
        path=Path(entry["path"]),
        kind=Kind(kind),
        reason=entry["reason"],
        count=count if isinstance(count, int) and count > 0 else 1,
    )
