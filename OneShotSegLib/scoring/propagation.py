"""Label-free measures of a propagated result, and the 0-1 score that predicts its Dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method.pipeline import Candidate
from OneShotSegLib.method.propagation import LocatedPlaces, locate, propagate_from_starts
from OneShotSegLib.method.scribbles import thin
from OneShotSegLib.networks.weights import Weights
from OneShotSegLib.scoring.overlap import core_dice
from OneShotSegLib.scoring.paired_organs import UnlikeSides, unlike_sides
from OneShotSegLib.study.quality import CaseQuality, State, StructureQuality, mean_score

CYCLE_POINTS_PER_LABEL = 24
ABSENT_BELOW_IN_VIEW = 0.25
PARTIAL_BELOW_IN_VIEW = 0.9
ABSENT_BELOW_VOLUME = 0.1
HALF_TRUSTED_CYCLE_MM = 40.0
LEAST_SIMILARITY = 0.05
TYPICAL_SIMILARITY = 0.6  # geometric mean over train and validation cases, where it is not computed
# Chosen on train cases of the head-and-neck cohort; docs/accuracy.md has what it predicts on the validation cases.
SCORE_EXPONENTS = {"agreement": 0.75, "core_dice": 0.75, "cycle": 0.5, "volume": 0.25, "similarity": 0.05}


@dataclass(frozen=True)
class CandidateScore:
    """What a candidate measures.

    Attributes:
        quality: Its measures and scores.
        sides: Paired organs whose tissues differ.
    """

    quality: CaseQuality
    sides: tuple[UnlikeSides, ...]


def score_candidate(case: str, candidate: Candidate, weights: Weights, *, hold_missing: bool = True) -> CandidateScore:
    """Score a candidate without a reference.

    Args:
        case: The case's name.
        candidate: A support's result for the query.
        weights: Both networks; the coarse one leads back from query to support.
        hold_missing: Whether a side in whose place fat lies is held to be absent; else the fusion decides, which sees
            whether it was looked for in the right place.
    """
    cycle = cycle_distances(candidate, weights)
    scored = [_score_structure(segment, candidate, cycle) for segment in candidate.support.structures.foreground]
    sides = _unlike_sides(scored, candidate)
    missing = {pair.suspect.value for pair in sides if pair.is_missing and hold_missing}
    structures = tuple(held_absent(structure) if structure.value in missing else structure for structure in scored)
    quality = CaseQuality(
        case=case,
        score=mean_score(structures),
        structures=structures,
        seconds=candidate.seconds,
        warnings=tuple(warnings_of(structures, sides)),
    )
    return CandidateScore(quality, tuple(sides))


def _unlike_sides(scored: Sequence[StructureQuality], candidate: Candidate) -> list[UnlikeSides]:
    """Pairs that are wholly in view and whose tissues differ."""
    support = candidate.support
    found = {structure.value for structure in scored if structure.state == "found"}
    segments = [segment for segment in support.structures.foreground if segment.value in found]
    query, own = (candidate.refined, candidate.prepared.ct), (support.expansion.labels, support.prepared.ct)
    return unlike_sides(segments, query, own)


def cycle_distances(candidate: Candidate, weights: Weights) -> dict[int, float]:
    """Cycle consistency: whether the coarse network leads back to where fit and alignment say that a place came from.

    The places are those of the query at which the last pass looked, and the way back starts at the support's scribbles:
    what the network makes of both is known from the way there, so that no patch goes through it again.

    Returns:
        Median distance, mm, between the two, for each label.
    """
    encoded, propagation = candidate.support.scribbles, candidate.propagation
    chosen = encoded.points.select(encoded.chosen)
    some = thin(chosen, CYCLE_POINTS_PER_LABEL)
    painted = LocatedPlaces(chosen.positions[some], encoded.coarse[some])
    if propagation.located is None:
        places = propagation.points.positions[encoded.chosen][some]
        latent = locate(weights.coarse, candidate.prepared.coarse, places)
    else:
        places, latent = propagation.located.positions[some], propagation.located.latent[some]
    back = propagate_from_starts(latent, weights.coarse, painted, "median")
    distance, labels = np.linalg.norm(back - candidate.placement.to_support(places), axis=1), chosen.labels[some]
    return {int(value): float(np.median(distance[labels == value])) for value in np.unique(labels)}


def agreement(candidate: Candidate, value: int) -> float:
    """Dice of a structure's mask with the support's own expansion, propagated by fit and alignment, 0-1.

    The overlap is counted at the voxels of the support's own mask, so that no map has to be inverted.
    """
    own, mask = candidate.support.expansion.labels, candidate.refined
    positions = own.to_world(np.argwhere(own.array == value))
    index = np.rint(mask.to_index(candidate.placement.to_query(positions))).astype(np.int64)
    inside = np.all((index >= 0) & (index < mask.shape), axis=1)
    shared = int((mask.array[tuple(index[inside].T)] == value).sum())
    # Both volumes in the query, in voxels of the support's own mask.
    scale = float(np.prod(mask.spacing) / np.prod(own.spacing)) / candidate.placement.affine.volume_change
    total = len(index) + scale * int((mask.array == value).sum())
    return min(2 * shared / total, 1.0) if total else 0.0


def _score_structure(segment: Segment, candidate: Candidate, cycle: dict[int, float]) -> StructureQuality:
    value = segment.value
    labels, denoised = candidate.propagation.points.labels, candidate.denoised
    mine, similarity = labels == value, denoised.similarity
    mask = candidate.refined.array == value
    volume = float(mask.sum() * np.prod(candidate.refined.spacing)) / 1000
    expected = candidate.support.expansion.volumes_ml.get(value, 0.0) * candidate.placement.affine.volume_change
    in_view = float(denoised.in_view[mine].mean())
    quality = StructureQuality(
        value=value,
        name=segment.name,
        state=state_of(in_view, volume / expected if expected else volume),
        score=0.0,
        similarity=None if similarity is None else _rounded(np.clip(similarity[mine], 0, 1).mean()),
        kept=_rounded(denoised.kept_share(labels, value)),
        cycle_mm=_rounded(cycle[value]),
        volume_ml=_rounded(volume),
        volume_ratio=_rounded(volume / expected) if expected else None,
        in_view=_rounded(in_view),
        agreement=_rounded(agreement(candidate, value)),
        core_dice=_rounded(core_dice(mask, candidate.refined.spacing)),
        certainty=_rounded(candidate.expansion.certainty[mask].mean()) if mask.any() else 0.0,
    )
    return quality.with_score(0.0 if quality.state == "absent" else structure_score(quality))


def state_of(in_view: float, volume_ratio: float) -> State:
    """A structure's state: "absent" if it is out of view or nearly without volume, "partial" if part of it is in view.

    Args:
        in_view: Share of its scribbles in view.
        volume_ratio: Its volume over the expected one.
    """
    if in_view < ABSENT_BELOW_IN_VIEW or volume_ratio < ABSENT_BELOW_VOLUME:
        return "absent"
    return "partial" if in_view < PARTIAL_BELOW_IN_VIEW else "found"


def held_absent(structure: StructureQuality) -> StructureQuality:
    """The measures of a structure that is held to be absent."""
    return replace(structure, state="absent", score=0.0, volume_ml=0.0, volume_ratio=0.0)


def structure_score(quality: StructureQuality) -> float:
    """The score of a structure that is present, 0-1: the product of its measures, each mapped to 0-1 and weighted.

    On cases that go well, agreement and core_dice rank the results; the other measures hardly vary among them and are
    there to pull the score down where something went wrong.
    """
    measures = {
        "agreement": quality.agreement,
        "core_dice": quality.core_dice,
        "cycle": 1 / (1 + ((quality.cycle_mm or 0.0) / HALF_TRUSTED_CYCLE_MM) ** 2),
        "volume": float(np.exp(-abs(np.log(max(quality.volume_ratio or 0.0, 1e-3))))),
        "similarity": TYPICAL_SIMILARITY if quality.similarity is None else max(quality.similarity, LEAST_SIMILARITY),
    }
    return _rounded(np.prod([measures[name] ** weight for name, weight in SCORE_EXPONENTS.items()]))


def warnings_of(structures: Sequence[StructureQuality], sides: Sequence[UnlikeSides] = ()) -> list[str]:
    """One sentence for each structure that is cut, absent or unlike its other side, for the reviewer."""
    missing = {pair.suspect.value: pair for pair in sides if pair.is_missing}
    sentences = []
    for structure in structures:
        if structure.state == "absent":
            reason = _why_missing(missing[structure.value]) if structure.value in missing else _why_absent(structure)
            sentences.append(f"{structure.name} is held to be absent: {reason}.")
        elif structure.state == "partial":
            sentences.append(f"{structure.name} is cut by the field of view: {structure.in_view:.0%} of it is in view.")
    sentences += [
        f"{pair.suspect.name} and {pair.other.name} differ by {pair.difference_hu:.0f} HU: is one of them diseased?"
        for pair in sides
        if not pair.is_missing
    ]
    return sentences


def _why_missing(pair: UnlikeSides) -> str:
    return f"fatty tissue lies in its place, {pair.difference_hu:.0f} HU from what {pair.other.name} is of"


def _why_absent(structure: StructureQuality) -> str:
    if structure.in_view < ABSENT_BELOW_IN_VIEW:
        return f"{structure.in_view:.0%} of its scribbles are in view"
    return f"hardly anything of it was found ({structure.volume_ml:.1f} ml)"


def _rounded(value: float | Vector) -> float:
    return round(float(value), 4)
