"""A study as one zip file without its CTs, so that somebody else can go on with the review."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.selection import OnFailure, log_failure
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.files import suffix_of
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths, read_json
from OneShotSegLib.study.naming import safe_name

TEXTS = (".json", ".html", ".csv")
NOT_USED = re.compile(rb"<!-- not used: begin -->.*?<!-- not used: end -->\n?", re.DOTALL)
CT_FOLDER = "ct"
"""The folder of the unpacked study in which the receiver puts the CTs."""


def export_zip(study: Path, file: Path, report: bool = True, on_failure: OnFailure = log_failure) -> Path:
    """Write the zip, whole or not at all.

    It holds the description, the ledger, scribbles and strokes, the masks, the measures and, if asked for, the report,
    whose pictures show slices of the CTs. It holds no CT, link or log, and no path of this machine: each is replaced by
    ``ct/<case>`` in the study itself, where the receiver may put the CTs to go on with the review. A file that cannot
    be read is left out.

    Args:
        study: The study folder.
        file: The zip file.
        report: Put the report in too.
        on_failure: Told of each file that could not be read; by default that is logged as a warning.

    Raises:
        InputError: If the folder is no study, or the file exists.
    """
    if file.suffix.lower() != ".zip":
        raise InputError(f"{file}: expected a file name that ends in .zip.")
    if file.exists():
        raise InputError(f"{file}: expected a new file to export to, found one that exists.")
    paths = StudyPaths(study)
    description = StudyDescription.read(paths)
    hidden = private_paths(paths, description)
    with atomic_file(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for path in _members(paths, description, report):
            inner = path.relative_to(paths.root).as_posix()
            try:
                content = _content(path, paths, description, hidden)
            except (InputError, OSError) as error:
                on_failure(inner, str(error))
            else:
                _add(archive, f"{safe_name(paths.root.resolve().name)}/{inner}", content)
    return file


def private_paths(paths: StudyPaths, description: StudyDescription) -> dict[str, str]:
    """Each path of this machine that the study names, to what replaces it in the zip."""
    hidden = {str(paths.root.resolve()): paths.root.resolve().name}
    supports = [support["ct"] for revision in description.revisions for support in revision.supports if "ct" in support]
    for number, ct in enumerate(dict.fromkeys([*_supports_of(description), *supports]), 1):
        hidden[ct] = _in_study("support" if number == 1 else f"support-{number}", ct)
    hidden |= {case.source: _in_study(case.case, case.source) for case in description.cases}
    hidden.pop("", None)
    return hidden


def _supports_of(description: StudyDescription) -> list[str]:
    """The CTs of the present revision's scribbled supports."""
    return [support["ct"] for support in description.supports if "ct" in support]


def _in_study(name: str, path: str) -> str:
    """Where the receiver puts that CT: a file named after the case, or a folder where it was one."""
    return f"{CT_FOLDER}/{name}{suffix_of(Path(path))}"


def _members(paths: StudyPaths, description: StudyDescription, report: bool) -> Iterator[Path]:
    """The study's files that exist; links are left out, for they lead out of the study."""
    scribbles = [paths.support_scribbles(support) for support in description.present.scribbled]
    files = [paths.description, paths.review, *(paths.report_pages() if report else []), *scribbles]
    for case in description.cases:
        own = paths.case(case.case)
        if not own.folder.is_symlink():
            files += [own.pseudo_mask, own.shares, own.edited_mask, own.strokes, own.scribbles]
            files += [own.quality, own.failure]
    return (path for path in files if path.is_file() and not path.is_symlink())


def _content(path: Path, paths: StudyPaths, description: StudyDescription, hidden: Mapping[str, str]) -> bytes:
    if path == paths.description:
        return _description(description, hidden)
    if path.name == CasePaths(path.parent).failure.name:
        # Its details are a traceback, which is of use on this machine alone.
        return _without_paths(_json({**read_json(path), "details": ""}), hidden)
    content = path.read_bytes()
    if path in paths.report_pages():
        content = NOT_USED.sub(b"", content)  # it names files that no case was made of
    return _without_paths(content, hidden) if path.suffix in TEXTS else content


def _description(description: StudyDescription, hidden: Mapping[str, str]) -> bytes:
    def without_paths(supports: Sequence[Mapping[str, str]]) -> tuple[Mapping[str, str], ...]:
        return tuple({**s, "ct": hidden[s["ct"]]} if s.get("ct") else s for s in supports)

    shared = replace(
        description,
        cases=tuple(replace(case, source=hidden[case.source]) for case in description.cases),
        supports=without_paths(description.supports),
        revisions=tuple(replace(one, supports=without_paths(one.supports)) for one in description.revisions),
    )
    return _json(shared.as_json())


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _without_paths(content: bytes, hidden: Mapping[str, str]) -> bytes:
    """The text without the paths, in all forms in which reports and messages write them."""
    text = content.decode("utf-8", "surrogateescape")
    short = {"/".join(Path(path).parts[-2:]): name for path, name in hidden.items() if suffix_of(Path(path))}
    for known in (hidden, short):
        for path in sorted(known, key=len, reverse=True):
            for written in (path, html.escape(path), json.dumps(path, ensure_ascii=False)[1:-1]):
                text = text.replace(written, known[path])
    return text.encode("utf-8", "surrogateescape")


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # Masks are compressed already; a fixed time makes equal content an equal file.
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(".nrrd") else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
