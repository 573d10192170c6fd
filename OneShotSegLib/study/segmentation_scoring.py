"""The label-free measures of a network's result, and its 0-1 score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.resampling import label_boxes
from OneShotSegLib.segmenting import Segmented
from OneShotSegLib.study.quality import CaseQuality, State, StructureQuality
from OneShotSegLib.study.scoring import solidity

EDGE_VOXELS = 1


def judge_segmented(case: str, result: Segmented, structures: tuple[Segment, ...]) -> CaseQuality:
    """Measure a network's result without a reference.

    The score is the Dice that the network itself expects: that of its mask with its probabilities. Where it hesitates,
    or sees two structures in one place, that falls.

    Args:
        case: The case's name.
        result: What the network made.
        structures: In the order of the network's channels.
    """
    sizes = np.bincount(result.labels.array.ravel(), minlength=256) * float(np.prod(result.labels.spacing)) / 1000
    ordered = np.sort(result.probabilities, axis=0)
    margin = ordered[-1] - ordered[-2]
    found = result.probabilities.argmax(axis=0)
    qualities = tuple(
        _judge(segment, channel, result, found == channel, margin, float(sizes[segment.value]))
        for channel, segment in enumerate(structures, 1)
    )
    there = [quality.score for quality in qualities if quality.state != "absent"]
    score = round(float(np.mean(there)), 4) if there else 0.0
    return CaseQuality(case, score, qualities, result.seconds, tuple(_warnings(qualities)))


def _judge(
    segment: Segment,
    channel: int,
    result: Segmented,
    mask: NDArray[np.bool_],
    margin: NDArray[np.float32],
    volume_ml: float,
) -> StructureQuality:
    if volume_ml == 0 or not mask.any():
        return StructureQuality(segment.value, segment.name, "absent", 0.0)
    expected = expected_dice(result.probabilities[channel], mask)
    state: State = "partial" if _touches_edge(result, segment.value) else "found"
    return StructureQuality(
        segment.value,
        segment.name,
        state,
        round(expected, 4),
        volume_ml=round(volume_ml, 4),
        in_view=1.0,
        agreement=round(expected, 4),
        solidity=round(solidity(mask, result.grid.spacing), 4),
        certainty=round(float(margin[mask].mean()), 4),
    )


def expected_dice(probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """The Dice of a mask that probabilities lead one to expect: 2 sum(p in the mask) / (sum(p) + size of the mask)."""
    total = float(probability.sum()) + int(mask.sum())
    return 2 * float(probability[mask].sum()) / total if total else 0.0


def _touches_edge(result: Segmented, value: int) -> bool:
    """Whether a structure reaches the first or last slice of the scan: there is more of it outside."""
    box = label_boxes(result.labels.array).get(value)
    if box is None:
        return False
    # Along the axis that runs most along the patient: in plane the body ends before the image does.
    axis = int(np.abs(result.labels.direction[0]).argmax())
    return box[axis].start < EDGE_VOXELS or box[axis].stop > result.labels.shape[axis] - EDGE_VOXELS


def _warnings(qualities: tuple[StructureQuality, ...]) -> list[str]:
    sentences = []
    for quality in qualities:
        if quality.state == "absent":
            sentences.append(f"{quality.name} was not found.")
        elif quality.state == "partial":
            sentences.append(f"{quality.name} reaches the end of the scan: there may be more of it.")
    return sentences
