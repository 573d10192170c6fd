"""The state of a case on disk, so that a run that was killed at any moment can go on.

``quality.json``, written last, says that the case is done; ``failed.json`` why it failed; ``running.json`` that it is
being worked on, or was when its process died. A case with none of them waits.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import UNFINISHED, remove_left_behind
from OneShotSegLib.study.layout import CasePaths, StudyPaths, read_json, write_json
from OneShotSegLib.study.quality import CaseQuality, read_quality

SUDDEN_ENDS = 3


def result_of(files: CasePaths) -> CaseQuality | None:
    """The quality of a case that is done; None if it is not, or if its files were damaged or removed since."""
    if not files.is_done or not files.pseudo_mask.is_file():
        return None
    try:
        return read_quality(files.quality)
    except InputError:
        return None


def sudden_ends(files: CasePaths) -> int:
    """How many times in a row the process died while it worked on this case."""
    try:
        content: Any = read_json(files.under_way)
        return max(int(content["tries"]), 1)
    except (InputError, KeyError, TypeError, ValueError):
        return int(files.under_way.is_file())


def check_is_there(paths: StudyPaths) -> None:
    """Check that the study is still there, before anything is written.

    A share that went away may leave an empty folder in its place: what is written there is lost to the reviewer, and
    hidden when the share is back.

    Raises:
        InputError: If the study folder is gone.
    """
    if not paths.description.is_file():
        raise InputError(f"{paths.root}: expected the study folder, found that it is gone (was a network share lost?).")


def check_no_link(paths: StudyPaths, folder: Path) -> None:
    """Check that a folder of the study, there or not, is no link: a study may come from anywhere.

    Raises:
        InputError: If it leads our writing to another place.
    """
    if folder.resolve() != paths.root.resolve() / folder.relative_to(paths.root):
        raise InputError(f"{folder}: expected a folder of the study, found a link to elsewhere.")


def begin(paths: StudyPaths, files: CasePaths) -> None:
    """Record that a case is worked on; this also finds out whether the study can be written to at all.

    Raises:
        OSError: If it cannot (a full disk, a read-only folder).
        InputError: If the study folder is gone.
    """
    check_is_there(paths)
    check_no_link(paths, files.folder)
    remove_left_behind(files.folder)
    UNFINISHED.add(files.under_way)
    write_json(files.under_way, {"tries": sudden_ends(files) + 1})


def end(files: CasePaths) -> None:
    """Record that a case is no longer worked on: it is done, failed or was cancelled, which is no sudden end."""
    with contextlib.suppress(OSError):
        if files.is_done:
            files.failure.unlink(missing_ok=True)
        files.under_way.unlink(missing_ok=True)
    UNFINISHED.discard(files.under_way)


def record_failure(files: CasePaths, sentence: str, details: str = "") -> None:
    """Record why a case failed, as far as the folder can still be written to."""
    with contextlib.suppress(OSError):
        if files.folder.parent.parent.joinpath("study.json").is_file():
            write_json(files.failure, {"error": sentence, "details": details})
    end(files)


def give_up(files: CasePaths) -> str:
    """Record a case that ended its process again and again as failed; the sentence that says so."""
    sentence = (
        f"The run ended without a word {sudden_ends(files)} times in a row while it worked on this case (killed, or "
        "out of memory?); the same command tries it again."
    )
    record_failure(files, sentence)
    return sentence
