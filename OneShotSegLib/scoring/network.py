"""Label-free measures of a segmentation network's result, and its 0-1 score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.boxes import label_boxes
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.networks.inference import NetworkPrediction
from OneShotSegLib.scoring.overlap import core_dice, expected_dice
from OneShotSegLib.study.quality import CaseQuality, State, StructureQuality, mean_score

EDGE_VOXELS = 1


def score_prediction(case: str, result: NetworkPrediction, structures: tuple[Segment, ...]) -> CaseQuality:
    """Measure a network's result without a reference.

    The score is the Dice that the network's own probabilities let expect of its mask: it is lower where the network is
    uncertain between classes.

    Args:
        case: The case's name.
        result: The network's prediction.
        structures: In the order of the network's channels.
    """
    sizes = np.bincount(result.labels.array.ravel(), minlength=256) * float(np.prod(result.labels.spacing)) / 1000
    ordered = np.sort(result.probabilities, axis=0)
    margin = ordered[-1] - ordered[-2]
    found = result.probabilities.argmax(axis=0)
    qualities = tuple(
        _score_structure(segment, channel, result, found == channel, margin, float(sizes[segment.value]))
        for channel, segment in enumerate(structures, 1)
    )
    return CaseQuality(
        case=case,
        score=mean_score(qualities),
        structures=qualities,
        seconds=result.seconds,
        warnings=tuple(_warnings(qualities)),
    )


def _score_structure(
    segment: Segment,
    channel: int,
    result: NetworkPrediction,
    mask: NDArray[np.bool_],
    margin: NDArray[np.float32],
    volume_ml: float,
) -> StructureQuality:
    if volume_ml == 0 or not mask.any():
        return StructureQuality(value=segment.value, name=segment.name, state="absent", score=0.0)
    expected = expected_dice(result.probabilities[channel], mask)
    state: State = "partial" if _touches_edge(result, segment.value) else "found"
    return StructureQuality(
        value=segment.value,
        name=segment.name,
        state=state,
        score=round(expected, 4),
        volume_ml=round(volume_ml, 4),
        in_view=1.0,
        agreement=round(expected, 4),
        core_dice=round(core_dice(mask, result.grid.spacing), 4),
        certainty=round(float(margin[mask].mean()), 4),
    )


def _touches_edge(result: NetworkPrediction, value: int) -> bool:
    """Whether a structure extends to the first or last slice of the scan: there may be more of it outside."""
    box = label_boxes(result.labels.array).get(value)
    if box is None:
        return False
    # Along the axis that runs most along the patient: in plane the body ends before the image does.
    axis = int(np.abs(result.labels.direction[0]).argmax())
    found: bool = box[axis].start < EDGE_VOXELS or box[axis].stop > result.labels.shape[axis] - EDGE_VOXELS
    return found


def _warnings(qualities: tuple[StructureQuality, ...]) -> list[str]:
    sentences = []
    for quality in qualities:
        if quality.state == "absent":
            sentences.append(f"{quality.name} was not found.")
        elif quality.state == "partial":
            sentences.append(f"{quality.name} reaches the end of the scan: there may be more of it.")
    return sentences
