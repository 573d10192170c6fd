"""How far the readers of a study agree: Cohen's kappa of their decisions, Dice of the masks that they stand for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.readers import reader_paths, readers_of
from OneShotSegLib.study.results import counting_mask, read_mask
from OneShotSegLib.study.review import ReviewEntry, ReviewLedger

STUDY = ""
"""The study's own decisions, among the readers'."""


@dataclass(frozen=True, kw_only=True)
class ReaderAgreement:
    """Two readers.

    Attributes:
        first: A reader; '' for the study's own decisions.
        second: Another one.
        cases: How many cases both decided.
        same: How many of these they decided alike.
        kappa: Cohen's kappa of accepted, corrected and rejected; None where chance alone would agree fully.
        dice: Structure to the mean Dice over the cases that both accepted or corrected and where one of them has it.
        masks: How many cases these are.
        notes: Sentences on masks that were left out.
    """

    first: str
    second: str
    cases: int
    same: int
    kappa: float | None
    dice: Mapping[str, float]
    masks: int
    notes: tuple[str, ...] = ()


def decisions_of(study: StudyPaths) -> dict[str, dict[str, ReviewEntry]]:
    """Reader to case to what they decided; the study's own decisions under ''.

    Raises:
        InputError: If a ledger is broken.
    """
    found = {}
    for reader in (STUDY, *readers_of(study)):
        ledger = ReviewLedger.load(reader_paths(study, reader).review)
        found[reader] = {entry.case: entry for entry in ledger if entry.state != "pending"}
    return found


def agreements(study: StudyPaths) -> list[ReaderAgreement]:
    """Every two readers who decided the same cases, the study's own decisions among them.

    Raises:
        InputError: If the folder is no study, or a ledger is broken.
    """
    structures = StudyDescription.read(study).structures
    decisions = {reader: entries for reader, entries in decisions_of(study).items() if entries}
    found = []
    for first, second in combinations(decisions, 2):
        both = [case for case in decisions[first] if case in decisions[second]]
        if both:
            found.append(_agreement(study, structures, (first, second), decisions, both))
    return found


def _agreement(
    study: StudyPaths,
    structures: Sequence[Segment],
    readers: tuple[str, str],
    decisions: Mapping[str, Mapping[str, ReviewEntry]],
    both: Sequence[str],
) -> ReaderAgreement:
    pairs = [(decisions[readers[0]][case], decisions[readers[1]][case]) for case in both]
    dice: defaultdict[str, list[float]] = defaultdict(list)
    notes, masks = [], 0
    for entries in pairs:
        if not all(entry.is_trusted for entry in entries):
            continue
        try:
            for name, value in _dice_of(study, structures, readers, entries).items():
                dice[name].append(value)
            masks += 1
        except InputError as error:
            notes.append(str(error))
    return ReaderAgreement(
        first=readers[0],
        second=readers[1],
        cases=len(both),
        same=sum(a.state == b.state for a, b in pairs),
        kappa=cohens_kappa([(a.state, b.state) for a, b in pairs]),
        dice={name: fmean(values) for name, values in dice.items()},
        masks=masks,
        notes=tuple(notes),
    )


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two raters who put the same cases into classes; None where it is not defined.

    Args:
        pairs: The class that each of them chose, per case.
    """
    if not pairs:
        return None
    observed = fmean(a == b for a, b in pairs)
    classes = {one for pair in pairs for one in pair}
    shares = [[fmean(pair[rater] == one for pair in pairs) for one in classes] for rater in (0, 1)]
    expected = sum(a * b for a, b in zip(*shares, strict=True))
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def _dice_of(
    study: StudyPaths, structures: Sequence[Segment], readers: Sequence[str], entries: Sequence[ReviewEntry]
) -> dict[str, float]:
    """Structure to Dice, of those that one of the two masks has."""
    paths = _masks(study, readers, entries)
    if paths[0] == paths[1]:
        labels = read_mask(paths[0], structures).labels.volume.array
        return {segment.name: 1.0 for segment in structures if (labels == segment.value).any()}
    first, second = (read_mask(path, structures).labels.volume for path in paths)
    if not first.same_grid(second):
        raise InputError(f"{entries[0].case}: expected masks on one grid, found two grids: left out of the Dice.")
    found = {}
    for segment in structures:
        a, b = first.array == segment.value, second.array == segment.value
        total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
        if total:
            found[segment.name] = 2 * int(np.count_nonzero(a & b)) / total
    return found


def _masks(study: StudyPaths, readers: Sequence[str], entries: Sequence[ReviewEntry]) -> list[Path]:
    return [
        counting_mask(reader_paths(study, reader).case(entry.case), entry.state)
        for reader, entry in zip(readers, entries, strict=True)
    ]
