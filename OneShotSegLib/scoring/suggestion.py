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

MOST_COMPARED = 1000
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
    scaled = _scaled(qualities)
    usual = _median_distance(scaled)
    left, chosen = list(waiting), list[Suggestion]()
    nearest = np.array([_nearest(scaled[index], scaled[list(known)]) for index in left])
    while left and len(chosen) < count:
        worth = _worth(np.array([1.0 - qualities[index].score for index in left]), nearest, usual)
        best = int(worth.argmax())
        index = left.pop(best)
        chosen.append(_suggestion(qualities[index], float(nearest[best]), usual))
        nearest = np.minimum(np.delete(nearest, best), _distances(scaled[left], scaled[index]))
    return chosen


def _worth(doubt: NDArray[np.float64], nearest: NDArray[np.float64], usual: float) -> NDArray[np.float64]:
    """Doubt times novelty, to four places, of cases with these distances to the nearest one that is known."""
    return np.round(doubt * _novelty(nearest, usual), 4)


def _novelty(nearest: NDArray[np.float64], usual: float) -> NDArray[np.float64]:
    far = np.isinf(nearest)
    share = np.where(far, 1.0, nearest) / (np.where(far, 1.0, nearest) + usual) if usual > 0 else 0.5
    found: NDArray[np.float64] = np.where(far, 1.0, share)
    return found


def _suggestion(quality: CaseQuality, nearest: float, usual: float) -> Suggestion:
    """A case with its worth, given its distance to the nearest case that is reviewed or chosen."""
    novelty = float(_novelty(np.array(nearest), usual))
    doubt = 1.0 - quality.score
    worst = quality.worst.name if quality.worst else ""
    return Suggestion(
        case=quality.case,
        worth=round(doubt * novelty, 4),
        doubt=round(doubt, 4),
        novelty=round(novelty, 4),
        structure=worst,
    )


def _median_distance(scaled: NDArray[np.float64]) -> float:
    """The median distance between two cases, of many of them some; 0 for a single one."""
    some = scaled[:: max(1, -(-len(scaled) // MOST_COMPARED))]
    above = [_distances(some[index + 1 :], one) for index, one in enumerate(some)]
    return float(np.median(np.concatenate(above))) if len(some) > 1 else 0.0


def _nearest(case: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    return float(_distances(others, case).min(initial=np.inf))


def _distances(cases: NDArray[np.float64], case: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of cases (N, measures) to one of them (measures,): the root mean square over the measures, shape (N,)."""
    if not cases.shape[1]:
        return np.zeros(len(cases))
    found: NDArray[np.float64] = np.sqrt(((cases - case) ** 2).mean(axis=1))
    return found


def _scaled(qualities: Sequence[CaseQuality]) -> NDArray[np.float64]:
    """The measures of all cases in units of their spread, shape (N, measures)."""
    if not qualities:
        return np.zeros((0, 0))
    values = sorted({structure.value for quality in qualities for structure in quality.structures})
    table = np.array([_features(quality, values) for quality in qualities]).reshape(len(qualities), -1)
    middle = np.median(table, axis=0)
    spread = 1.4826 * np.median(np.abs(table - middle), axis=0)
    spread = np.where(spread > 0, spread, table.std(axis=0))
    scaled = (table - middle) / np.where(spread > 0, spread, 1.0)
    clipped: NDArray[np.float64] = np.clip(scaled, -MAX_Z, MAX_Z)
    return clipped


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
        structure.similarity or 0.0,
        structure.kept,
        math.log1p(structure.cycle_mm or 0.0),
        math.log1p(structure.volume_ml),
        structure.agreement,
        structure.core_dice,
        structure.certainty,
    )
