"""What one support, or the vote of several, makes of a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.imaging.voting import Ballot, vote
from OneShotSegLib.pipeline import QueryResult, Support
from OneShotSegLib.steps.scribbles import ScribblePoints, Structures
from OneShotSegLib.study.quality import CaseQuality, StructureQuality
from OneShotSegLib.study.scoring import dice


@dataclass(frozen=True, eq=False)
class Opinion:
    """One support's result for a query, and what is to be thought of it."""

    support: Support
    result: QueryResult
    quality: CaseQuality

    def of(self, value: int) -> StructureQuality | None:
        """The quality of a structure, if this support has it."""
        return next((structure for structure in self.quality.structures if structure.value == value), None)


@dataclass(frozen=True, eq=False)
class Segmented:
    """What is kept of a query.

    Attributes:
        mask: The pseudo mask on the query's own grid, without structures judged absent.
        scribbles: The propagated scribbles after denoising; of several supports those of the best.
        quality: Measures without a reference.
    """

    mask: Volume
    scribbles: ScribblePoints
    quality: CaseQuality


def settle(opinions: Sequence[Opinion], structures: Structures, smooth_mm: float) -> Segmented:
    """Take the one opinion, or let several vote: each structure by the squares of its scores.

    Args:
        opinions: At least one, of the same query.
        structures: All structures of the study.
        smooth_mm: How the borders are smoothed on the query's own grid.
    """
    best = max(opinions, key=lambda opinion: opinion.quality.score)
    if len(opinions) == 1:
        return Segmented(best.result.pseudo_mask(_absent(best.quality)), best.result.kept_scribbles, best.quality)
    ballots = [Ballot(opinion.result.soft, _say(opinion)) for opinion in opinions]
    ct = best.result.prepared.ct
    mask = vote(ballots, ct, smooth_mm)
    alone = [opinion.result.pseudo_mask(_absent(opinion.quality)) for opinion in opinions]
    judged = [_judge(segment, opinions, mask, alone) for segment in structures.foreground]
    there = [structure.score for structure in judged if structure.state != "absent"]
    seconds = {step: sum(o.result.seconds[step] for o in opinions) for step in best.result.seconds}
    warnings = tuple(dict.fromkeys(text for opinion in opinions for text in opinion.quality.warnings))
    score = round(float(np.mean(there)), 4) if there else 0.0
    quality = CaseQuality(best.quality.case, score, tuple(judged), seconds, warnings)
    return Segmented(mask, best.result.kept_scribbles, quality)


def _absent(quality: CaseQuality) -> list[int]:
    return [structure.value for structure in quality.structures if structure.state == "absent"]


def _say(opinion: Opinion) -> dict[int, float]:
    return {s.value: s.score**2 for s in opinion.quality.structures if s.state != "absent" and s.score > 0}


def _judge(segment: Segment, opinions: Sequence[Opinion], mask: Volume, alone: Sequence[Volume]) -> StructureQuality:
    """The best opinion's measures of a structure, with the vote's own volume, consensus and score."""
    value = segment.value
    known = [(found, single) for o, single in zip(opinions, alone, strict=True) if (found := o.of(value)) is not None]
    best = max((found for found, _ in known), key=lambda found: found.score)
    voted = mask.array == value
    if best.state == "absent" or not voted.any():
        return replace(best, state="absent", score=0.0, volume_ml=0.0)
    there = [(found, single) for found, single in known if found.state != "absent"]
    consensus = float(np.mean([dice(single.array == value, voted) for _, single in there]))
    mean = float(np.mean([found.score for found, _ in there]))
    volume_ml = float(voted.sum() * np.prod(mask.spacing)) / 1000
    ratio = best.volume_ratio * volume_ml / best.volume_ml if best.volume_ratio and best.volume_ml else None
    return replace(
        best,
        score=round((mean + consensus) / 2 if len(there) > 1 else mean, 4),
        volume_ml=round(volume_ml, 4),
        volume_ratio=round(ratio, 4) if ratio is not None else None,
        consensus=round(consensus, 4) if len(there) > 1 else None,
    )
