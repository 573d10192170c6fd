"""A trained segmentation network as one more candidate in the label fusion."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.fusion.mask_fusion import PredictedMasks
from OneShotSegLib.imaging.boxes import cropped
from OneShotSegLib.imaging.labelmaps import Segment, name_key
from OneShotSegLib.imaging.probabilities import foreground_box
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.inference import Segmenter, segment_ct
from OneShotSegLib.scoring.network import check_region
from OneShotSegLib.timer import StepTimer

log = logging.getLogger(__name__)


class NetworkCandidate:
    """Predicts masks of a study's structures.

    Args:
        segmenter: The network.
        structures: The study's structures; the network's are matched by name.

    Raises:
        InputError: If the network knows none of them.
    """

    def __init__(self, segmenter: Segmenter, structures: Sequence[Segment]) -> None:
        values = {name_key(segment.name): segment.value for segment in structures}
        own = segmenter.info.structures
        self._values = [values.get(name_key(segment.name)) for segment in own]
        if not any(self._values):
            raise InputError(
                f"{segmenter.file}: expected a network of some of the study's structures "
                f"({', '.join(segment.name for segment in structures)}), found one of "
                f"{', '.join(segment.name for segment in own)}."
            )
        unused = [segment.name for segment, value in zip(own, self._values, strict=True) if value is None]
        if unused:
            log.warning("%s: not in the study, and not used of the network: %s.", segmenter.file, ", ".join(unused))
        self._segmenter = segmenter

    def masks_in(self, case: str, ct: Volume, timer: StepTimer) -> PredictedMasks | None:
        """The network's masks in a query; None, and a warning, where it shows no region that the network learnt.

        Args:
            case: The query's name.
            ct: The query in HU, on any grid.
            timer: Takes the time of the prediction.
        """
        with timer("predict"):
            prediction = segment_ct(self._segmenter, ct, name=case)
            try:
                check_region(prediction, self._segmenter.info)
            except InputError as error:
                log.warning("%s: the network is not used: %s", case, error)
                return None
            labels = soft_labels(prediction.probabilities, prediction.grid, self._values)
        return PredictedMasks(labels=labels, values=frozenset(value for value in self._values if value))


def soft_labels(probabilities: NDArray[np.float32], grid: Volume, values: Sequence[int | None]) -> SoftLabels:
    """The two most likely classes of each voxel, as labels with shares.

    Args:
        probabilities: Shape (classes, D, H, W); channel 0 is the background.
        grid: Where they lie, shape (D, H, W).
        values: Label of each further channel; None for one that counts as background.
    """
    table = np.array([0, *(value or 0 for value in values)], dtype=np.uint8)
    box = foreground_box(probabilities)
    if box is None:
        return SoftLabels.hard(grid.with_array(np.zeros(grid.shape, dtype=np.uint8)))
    part = probabilities[(slice(None), *box)]
    order = np.argpartition(part, -2, axis=0)[-2:]
    second, first = np.take_along_axis(part, order, axis=0)
    swapped = second > first
    best, rest = np.where(swapped, order[0], order[1]), np.where(swapped, order[1], order[0])
    most, less = np.maximum(first, second), np.minimum(first, second)
    share = (most / np.maximum(most + less, np.finfo(np.float32).tiny)).astype(np.float32)
    return SoftLabels(cropped(grid, box).with_array(table[best]), table[rest], share)
