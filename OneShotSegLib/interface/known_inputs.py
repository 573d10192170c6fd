"""What a study that is opened again goes on with: its supports and its CTs."""

from __future__ import annotations

from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.description import StudyDescription, located, support_cases
from OneShotSegLib.study.layout import StudyPaths


def known_supports(study: StudyPaths) -> list[tuple[Path, Path]]:
    """CT and strokes of the scribbled supports that a study keeps; none of a folder that is no study yet."""
    try:
        present = StudyDescription.read(study).present
    except InputError:
        return []
    return [(located(study.root, support["ct"]), study.support_scribbles(support)) for support in present.scribbled]


def known_queries(study: StudyPaths) -> tuple[list[Path], tuple[str, ...]]:
    """The CTs of a study's cases but the supports, and the series of those in folders with several.

    None of a folder that is no study yet.
    """
    try:
        description = StudyDescription.read(study)
    except InputError:
        return [], ()
    supports = set(support_cases(study, description))
    cases = [case for case in description.cases if case.case not in supports]
    return [Path(case.source) for case in cases], tuple(dict.fromkeys(case.series for case in cases if case.series))
