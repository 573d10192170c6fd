"""Beginning a study or continuing one: checks of its folder, and its description."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.study.description import StudyCase, StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.naming import check_lengths


def check_output(paths: StudyPaths) -> None:
    """Refuse an output folder that holds something that is no study.

    Raises:
        InputError: If so.
    """
    if paths.root.is_file():
        raise InputError(f"{paths.root}: expected a folder for the study, found a file.")
    if paths.description.exists() or not paths.root.is_dir():
        return
    if any(entry != paths.lock for entry in paths.root.iterdir()):
        raise InputError(f"{paths.root}: expected an empty folder or a study, found a folder with other files.")


def open_study(
    paths: StudyPaths, wanted: StudyDescription, cts: Iterable[FoundCT], known: Iterable[StudyCase] = ()
) -> StudyDescription:
    """Begin a study, or continue the one that is there; new cases come after the old ones.

    Args:
        paths: The study.
        wanted: What it is to be, without cases.
        cts: The CTs asked for.
        known: The cases of the study that is there, with new sources where CTs moved; as it has them if left out.

    Returns:
        What was written to study.json.

    Raises:
        InputError: If the study that is there is another one.
    """
    if paths.description.exists():
        there = StudyDescription.read(paths)
        difference = wanted.differs_from(there)
        if difference:
            raise InputError(f"{paths.root}: expected this study or an empty folder, found a study with {difference}.")
        kept = tuple(known) or there.cases
        wanted = replace(there, cases=(*kept, *name_cases(cts, kept)))
    else:
        wanted = replace(wanted, cases=name_cases(cts))
    check_lengths(paths.root, (case.case for case in wanted.cases))
    wanted.write(paths)
    return wanted
