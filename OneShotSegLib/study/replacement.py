"""New results in the place of old ones, so that a case is whole however a run ends, and the old ones can come back.

New results are first written whole next to the cases, in ``unfinished/<case>``, the quality last. Then the old ones are
kept in ``replaced/<case>``, and the new ones are moved over them, the pseudo mask first and the quality last. A process
that is killed before the new quality is in ``unfinished`` leaves the old result; one that is killed after it leaves
what the next run completes.
"""

from __future__ import annotations

import contextlib
import shutil

from OneShotSegLib.imaging.atomic import link_or_copy, move_file
from OneShotSegLib.study.case_state import check_no_link
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.results import is_decided
from OneShotSegLib.study.review import ReviewLedger


def place_result(paths: StudyPaths, case: str) -> None:
    """Put the whole result in ``unfinished/<case>`` in the place of the case's own, which is kept.

    What the present revision replaced before stays kept: it is what a return to the revision before is to give.

    Raises:
        InputError: If the study has a link in the place of a folder.
        OSError: If a file cannot be written; the result stays where it is, for the next run to place it.
    """
    files, fresh, kept = paths.case(case), paths.unfinished(case), paths.replaced(case)
    for place in (files, fresh, kept):
        check_no_link(paths, place.folder)
    if files.is_done and not kept.is_done:
        copy_result(files, kept)
    if fresh.pseudo_mask.is_file():  # nothing was moved yet
        for file, old in zip(fresh.results, files.results, strict=True):
            if not file.is_file():
                old.unlink(missing_ok=True)
    for file, old in zip(fresh.results, files.results, strict=True):
        if file.is_file():
            move_file(file, old)
    discard(fresh)


def finish_replacements(paths: StudyPaths) -> None:
    """Complete what a killed process left in ``unfinished``; what is not whole there is removed.

    Of a case that was decided since, the mask stays that lay there to decide on. Only while no other process works on
    the study.

    Raises:
        InputError: If the ledger is broken, or the study has a link in the place of a folder.
        OSError: If a file cannot be written.
    """
    own_folders = paths.unfinished_folder, paths.replaced_folder, paths.supports, paths.mask_supports, paths.placements
    for own in own_folders:
        check_no_link(paths, own)
    if not paths.unfinished_folder.is_dir():
        return
    ledger = ReviewLedger.load(paths.review)
    for folder in sorted(paths.unfinished_folder.iterdir()):
        fresh, files = paths.unfinished(folder.name), paths.case(folder.name)
        decided = is_decided(files, ledger.state_of(files.name), ledger.structures_of(files.name))
        # Where its pseudo mask, which is moved first, is no longer there, the new result is what was decided on.
        if fresh.is_done and files.folder.is_dir() and not (decided and fresh.pseudo_mask.is_file()):
            place_result(paths, files.name)
        discard(fresh)
    remove_empty(paths)


def forget_replaced(paths: StudyPaths) -> None:
    """Remove the results that the present revision replaced: they cannot come back then."""
    if paths.replaced_folder.is_dir() and not paths.replaced_folder.is_symlink():
        for folder in paths.replaced_folder.iterdir():
            discard(CasePaths(folder))
        remove_empty(paths)


def copy_result(source: CasePaths, target: CasePaths) -> None:
    """Keep a case's result under another folder too, its quality last.

    Raises:
        OSError: If a file cannot be written.
    """
    discard(target)
    for file, copy in zip(source.results, target.results, strict=True):
        if file.is_file():
            link_or_copy(file, copy)


def discard(files: CasePaths) -> None:
    """Remove a result that is kept next to the cases; its quality first, for it says that the result is whole."""
    if files.folder.is_symlink():
        files.folder.unlink()
        return
    with contextlib.suppress(OSError):
        files.quality.unlink(missing_ok=True)
    shutil.rmtree(files.folder, ignore_errors=True)


def remove_empty(paths: StudyPaths) -> None:
    """Remove the folders of this module that are empty; only while no process works on cases."""
    for folder in (paths.unfinished_folder, paths.replaced_folder):
        with contextlib.suppress(OSError):
            folder.rmdir()
