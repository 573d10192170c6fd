"""Suggestion of the cases to correct first: doubtful ones that differ from those corrected already.

Of two cases that fail in the same way, correcting one is enough. So cases are chosen one by one, each time the one with
the greatest product of doubt (1 - score) and distance to the cases that are reviewed or chosen already. Cases are
compared by the label-free measures of each structure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality
from OneShotSegLib.study.results import study_results

MAX_Z = 4.0
"""Z-scores are clipped here, so that one extreme measure does not outweigh all others."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A case worth correcting.

    Attributes:
        case: The case's name.
        worth: Doubt times novelty, 0-1.
        doubt: 1 - its score.
        novelty: Distance to the reviewed cases and the suggestions before it, mapped to 0-1; 0.5 for a usual one.
        structure: Name of the structure to look at first, '' if there is none.
    """

    case: str
    worth: float
    doubt: float
    novelty: float
    structure: str


def suggest(study: Path, count: int = 5) -> list[Suggestion]:
    """The cases of a study whose correction helps the batch most, best first; fewer if fewer wait for review.

    Raises:
        InputError: If the folder is no study, or the count is not positive.
    """
    if count < 1:
        raise InputError(f"--count: expected 1 or more cases, found {count}.")
    results = [(r.quality, r.state) for r in study_results(StudyPaths(study), True) if r.quality is not None]
    qualities = [quality for quality, _ in results]
    waiting = [number for number, (_, state) in enumerate(results) if state == "pending"]
    known = [number for number, (_, state) in enumerate(results) if state in ("accepted", "edited")]
    return choose(qualities, waiting, known, count)


def choose(
    qualities: Sequence[CaseQuality], waiting: Sequence[int], known: Sequence[int], count: int
) -> list[Suggestion]:
    """Choose among the cases that wait for review; see `suggest`.

    Args:
        qualities: The measures of all cases.
        waiting: Indices of those that wait for review.
        known: Indices of those that a reviewer accepted or corrected.
        count: How many to choose at most.
    """
    distances = _distances(qualities)
    usual = _median_distance(distances)
    left, covered, chosen = list(waiting), list(known), list[Suggestion]()
    while left and len(chosen) < count:
        options = [_suggestion(qualities[index], distances[index, covered], usual) for index in left]
        best = max(range(len(left)), key=lambda k: (options[k].worth, -k))
        chosen.append(options[best])
        covered.append(left.pop(best))
    return chosen


def _suggestion(quality: CaseQuality, distances: NDArray[np.float64], usual: float) -> Suggestion:
    """A case with its worth, given its distances to the cases that are reviewed or chosen."""
    nearest = float(distances.min()) if distances.size else math.inf
    novelty = 1.0 if math.isinf(nearest) else nearest / (nearest + usual) if usual > 0 else 0.5
    doubt = 1.0 - quality.score
    worst = quality.worst.name if quality.worst else ""
    return Suggestion(
        case=quality.case,
        worth=round(doubt * novelty, 4),
        doubt=round(doubt, 4),
        novelty=round(novelty, 4),
        structure=worst,
    )


def _median_distance(distances: NDArray[np.float64]) -> float:
    """The median distance between two cases; 0 for a single one."""
    above = distances[np.triu_indices(len(distances), 1)]
    return float(np.median(above)) if above.size else 0.0


def _distances(qualities: Sequence[CaseQuality]) -> NDArray[np.float64]:
    """Distances between all cases, shape (N, N): root mean square over the measures in units of their spread."""
    if not qualities:
        return np.zeros((0, 0))
    values = sorted({structure.value for quality in qualities for structure in quality.structures})
    table = np.array([_features(quality, values) for quality in qualities]).reshape(len(qualities), -1)
    middle = np.median(table, axis=0)
    spread = 1.4826 * np.median(np.abs(table - middle), axis=0)
    spread = np.where(spread > 0, spread, table.std(axis=0))
    scaled = (table - middle) / np.where(spread > 0, spread, 1.0)
    scaled = np.clip(scaled, -MAX_Z, MAX_Z)
    if not scaled.shape[1]:
        return np.zeros((len(scaled),) * 2)
    # Case by case: the differences of all measures of all pairs would be many times as much.
    squares = np.stack([((scaled - one) ** 2).mean(axis=1) for one in scaled])
    found: NDArray[np.float64] = np.sqrt(squares)
    return found


def _features(quality: CaseQuality, values: Sequence[int]) -> list[float]:
    """The measures of a case's structures of these label values, in one list."""
    by_value = {structure.value: structure for structure in quality.structures}
    return [number for value in values for number in _structure_features(by_value.get(value))]


def _structure_features(structure: StructureQuality | None) -> tuple[float, ...]:
    """A structure's measures as numbers of similar spread; all 0 for an absent one."""
    if structure is None or structure.state == "absent":
        return (0.0,) * 9
    return (
        1.0,
        structure.score,
        structure.similarity,
        structure.kept,
        math.log1p(structure.cycle_mm or 0.0),
        math.log1p(structure.volume_ml),
        structure.agreement,
        structure.core_dice,
        structure.certainty,
    )
