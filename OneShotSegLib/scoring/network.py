"""Label-free measures of a segmentation network's result, and its 0-1 score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import label_boxes
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.networks.anatomy import count_whole, placements
from OneShotSegLib.networks.inference import NetworkPrediction
from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo
from OneShotSegLib.scoring.overlap import core_dice, expected_dice
from OneShotSegLib.study.quality import CaseQuality, State, StructureQuality, mean_score

EDGE_VOXELS = 1
# Measured between both cohorts with a network of each (docs/decisions/016-region.md).
OTHER_REGION_MM = 60.0
UNUSUAL_MM = 20.0
UNUSUAL_VOLUME = 2.0


def check_region(result: NetworkPrediction, info: SegmentationInfo) -> tuple[str, ...]:
    """Check that a CT shows the part of the body that the network learnt, by how its masks lie to one another.

    Args:
        result: The network's prediction.
        info: Its description; one without what it has seen of the anatomy is not checked.

    Returns:
        Sentences for the reviewer, where that cannot be told or the masks are of other sizes than those seen.

    Raises:
        InputError: If the masks lie as in no case of the training.
    """
    seen = info.anatomy
    if seen is None:
        return ("The network does not say what it has seen: whether it learnt this part of the body was not checked.",)
    case = placements(result.probabilities.argmax(axis=0), result.grid.spacing, len(info.structures))
    distance, factor = seen.distance_mm(case), seen.volume_factor(case)
    if distance is not None and distance > OTHER_REGION_MM:
        raise InputError(
            "Expected the part of the body that the network learnt, found another one: its structures would lie "
            f"{distance:.0f} mm further from one another's places than in any case that it learnt from."
        )
    sentences = []
    if distance is not None and distance > UNUSUAL_MM:
        sentences.append(
            f"The structures lie {distance:.0f} mm further from one another's places than in any case of the training."
        )
    if seen.whole > 1 and count_whole(case) <= seen.whole / 2:
        sentences.append(
            f"{count_whole(case)} of {len(case)} structures {'is' if count_whole(case) == 1 else 'are'} there as a "
            "whole: too few to tell whether the CT shows the part of the body that the network learnt."
        )
    if factor is not None and factor > UNUSUAL_VOLUME:
        sentences.append(f"The structures are {factor:.1f} times larger or smaller than in any case of the training.")
    return tuple(sentences)


def score_prediction(
    case: str, result: NetworkPrediction, structures: tuple[Segment, ...], warnings: tuple[str, ...] = ()
) -> CaseQuality:
    """Measure a network's result without a reference.

    The score is the Dice that the network's own probabilities let expect of its mask: it is lower where the network is
    uncertain between classes.

    Args:
        case: The case's name.
        result: The network's prediction.
        structures: In the order of the network's channels.
        warnings: What is to be said of the case besides.
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
        warnings=(*warnings, *_warnings(qualities)),
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
