"""From the scored candidates for a query, one or several, to its segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from OneShotSegLib.fusion.label_fusion import WeightedLabels, fuse_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.labels import paint_points
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import Candidate
from OneShotSegLib.method.structures import Structures
from OneShotSegLib.scoring.overlap import dice
from OneShotSegLib.scoring.paired_organs import UnlikeSides
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, mean_score
from OneShotSegLib.study.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class ScoredCandidate:
    """One support's candidate for a query.

    Attributes:
        candidate: The result of the method.
        quality: Its measures and scores without a reference.
        sides: Paired organs whose tissues differ.
    """

    candidate: Candidate
    quality: CaseQuality
    sides: tuple[UnlikeSides, ...] = ()

    @property
    def mask(self) -> Volume:
        """The candidate's pseudo mask on the query's own grid, without the structures that are absent."""
        return self.candidate.pseudo_mask(self.absent)

    @property
    def soft(self) -> SoftLabels:
        """That mask with its voxels' shares, on the grid on which it grew."""
        return self.candidate.soft.without(self.absent)

    @property
    def absent(self) -> list[int]:
        """Labels of the structures that are held to be absent."""
        return [structure.value for structure in self.quality.structures if structure.state == "absent"]

    @property
    def weighted(self) -> WeightedLabels:
        """Its labels for fusion, each structure weighted by the square of its score."""
        present = [s for s in self.quality.structures if s.state != "absent" and s.score > 0]
        return WeightedLabels(self.candidate.soft, {structure.value: structure.score**2 for structure in present})

    def of(self, value: int) -> StructureQuality | None:
        """The measures of a structure, if this support has it."""
        return next((structure for structure in self.quality.structures if structure.value == value), None)


def best_of(candidates: Sequence[ScoredCandidate]) -> ScoredCandidate:
    """The candidate of the best score; the first of several."""
    return max(candidates, key=lambda one: one.quality.score)


def fuse(candidates: Sequence[ScoredCandidate], structures: Structures, smooth_mm: float) -> Segmentation:
    """Take the one candidate, or fuse several: each structure is weighted by the square of its scores.

    Args:
        candidates: At least one, of the same query.
        structures: All structures of the study.
        smooth_mm: Width of the smoothing of borders on the query's own grid, mm.

    Returns:
        The mask on the query's own grid, its quality, and the kept scribbles of the candidate with the best score.
    """
    best = best_of(candidates)
    if len(candidates) == 1:
        return replace(_segmentation(best, best.mask, best.quality, structures), soft=best.soft)
    mask = fuse_labels([one.weighted for one in candidates], best.candidate.prepared.ct, smooth_mm)
    single_masks = [one.mask for one in candidates]
    scored = [_score_structure(segment, candidates, mask, single_masks) for segment in structures.foreground]
    seconds = {step: sum(o.candidate.seconds[step] for o in candidates) for step in best.candidate.seconds}
    warnings = tuple(dict.fromkeys(text for one in candidates for text in one.quality.warnings))
    quality = CaseQuality(
        case=best.quality.case,
        score=mean_score(scored),
        structures=tuple(scored),
        seconds=seconds,
        warnings=warnings,
    )
    return _segmentation(best, mask, quality, structures)


def _segmentation(best: ScoredCandidate, mask: Volume, quality: CaseQuality, structures: Structures) -> Segmentation:
    """A mask and its quality, with the scribbles of the best candidate."""
    return Segmentation(LabelMap(mask, structures.foreground), quality, propagated_scribbles(best, structures))


def propagated_scribbles(best: ScoredCandidate, structures: Structures) -> LabelMap:
    """The scribbles of a candidate that denoising kept, on the query's own grid, background stroke included."""
    ct, kept = best.candidate.prepared.ct, best.candidate.kept_scribbles
    painted = ct.with_array(paint_points(ct, kept.positions, kept.labels))
    return LabelMap(painted, (*structures.foreground, structures.background))


def _score_structure(
    segment: Segment, candidates: Sequence[ScoredCandidate], mask: Volume, single_masks: Sequence[Volume]
) -> StructureQuality:
    """The best candidate's measures of a structure, with the fused mask's own volume, consensus and score."""
    value = segment.value
    pairs = zip(candidates, single_masks, strict=True)
    known = [(found, single) for one, single in pairs if (found := one.of(value)) is not None]
    best = max((found for found, _ in known), key=lambda found: found.score)
    fused = mask.array == value
    if best.state == "absent" or not fused.any():
        return replace(best, state="absent", score=0.0, volume_ml=0.0)
    present = [(found, single) for found, single in known if found.state != "absent"]
    consensus = float(np.mean([dice(single.array == value, fused) for _, single in present]))
    mean = float(np.mean([found.score for found, _ in present]))
    volume_ml = float(fused.sum() * np.prod(mask.spacing)) / 1000
    ratio = best.volume_ratio * volume_ml / best.volume_ml if best.volume_ratio and best.volume_ml else None
    return replace(
        best,
        score=round((mean + consensus) / 2 if len(present) > 1 else mean, 4),
        volume_ml=round(volume_ml, 4),
        volume_ratio=round(ratio, 4) if ratio is not None else None,
        consensus=round(consensus, 4) if len(present) > 1 else None,
    )
