"""Beginning a study or continuing one: checks of its folder, and its description."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.study.description import StudyCase, StudyDescription, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.naming import check_lengths
from OneShotSegLib.study.replacement import forget_replaced
from OneShotSegLib.study.revisions import merged_labels, numbered


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

    What differs from the study that is there makes a new revision of it; the results that the last one replaced are
    then removed.

    Args:
        paths: The study.
        wanted: What it is to be, without cases.
        cts: The CTs asked for.
        known: The cases of the study that is there, with new sources where CTs moved; as it has them if left out.

    Returns:
        What was written to study.json.

    Raises:
        InputError: If the study that is there was made by other means (a network instead of a propagation).
    """
    if paths.description.exists():
        there = StudyDescription.read(paths)
        kept = tuple(known) or there.cases
        described = continued(paths, there, wanted)
        wanted = replace(described, cases=(*kept, *name_cases(cts, kept)))
        if described.revision != there.revision:
            # Before the description: what they replace is of the revision that it still names.
            forget_replaced(paths)
    else:
        wanted = replace(wanted, cases=name_cases(cts))
    check_lengths(paths.root, (case.case for case in wanted.cases))
    wanted.write(paths)
    return wanted


def continued(paths: StudyPaths, there: StudyDescription, wanted: StudyDescription) -> StudyDescription:
    """A study with a new revision if a run wants anything else than its present one computes; else as it is.

    Raises:
        InputError: If it was made by other means.
    """
    if there.is_of_network != wanted.is_of_network:
        means = ("a propagation", "a network")
        raise InputError(
            f"{paths.root}: expected a study of {means[wanted.is_of_network]} or an empty folder, found one of "
            f"{means[there.is_of_network]}."
        )
    if wanted.present.computes_like(there.present):
        return there
    revision = numbered(wanted.present, there.revisions, there.revision)
    return replace(there.at(revision), labels=merged_labels(there.labels, revision.labels))
