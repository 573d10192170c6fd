"""The revisions of a study, on the terminal or for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from OneShotSegLib.cli.options import print_error
from OneShotSegLib.study.case_state import result_of
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.revisions import Revision


def take_back_revision(study: Path) -> None:
    """Return to the revision before, and say what came of it on standard error.

    Raises:
        InputError: If there is none, or the folder is no study.
    """
    from OneShotSegLib.runner.taking_back import take_back

    print_error(take_back(StudyPaths(study)).text)


def show_revisions(study: Path, as_json: bool) -> None:
    """Print the revisions of a study, each with what it changed and how many cases have a result of it.

    Raises:
        InputError: If the folder is no study.
    """
    paths = StudyPaths(study)
    description = StudyDescription.read(paths)
    qualities = (result_of(paths.case(case.case)) for case in description.cases)
    counts = Counter(quality.revision for quality in qualities if quality is not None)
    if as_json:
        entries = [_as_json(description, one, counts) for one in description.revisions]
        print(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    for one in description.revisions:
        mark = "*" if one.number == description.revision else " "
        count = f"{counts[one.number]} case{'' if counts[one.number] == 1 else 's'}"
        print(f"{mark} {one.number}  {one.created}  {count}  {_changes(description, one)}")


def _changes(description: StudyDescription, revision: Revision) -> str:
    before = description.revision_of(revision.before)
    if before is not None:
        return "; ".join(revision.changes_from(before)) or "nothing changed"
    supports, weights = len(revision.scribbled), revision.weights.get("name", "?")
    return (
        f"{supports} scribbled support{'' if supports == 1 else 's'}, weights {weights}" if supports else str(weights)
    )


def _as_json(description: StudyDescription, revision: Revision, counts: Mapping[int, int]) -> dict[str, object]:
    return {
        "number": revision.number,
        "created": revision.created,
        "before": revision.before,
        "present": revision.number == description.revision,
        "cases": counts[revision.number],
        "changes": _changes(description, revision),
    }
