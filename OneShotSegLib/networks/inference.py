"""Inference with a trained segmentation network: one CT in, labels on the CT's own grid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from OneShotSegLib.imaging.boxes import cropped
from OneShotSegLib.imaging.components import fill_holes, keep_largest
from OneShotSegLib.imaging.ct import body_box, prepare_ct
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.probabilities import most_likely
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.device import is_fast_in_bfloat16
from OneShotSegLib.networks.segmentation_checkpoint import MODEL_FILE, SegmentationInfo, load_segmentation
from OneShotSegLib.networks.sliding import predict_probabilities, with_offsets
from OneShotSegLib.timer import OnStep, StepTimer, ignore_steps

STEPS = ("prepare", "predict", "resample", "tidy")


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """How a network is used.

    Attributes:
        overlap: Share of a window that the next one covers again, 0 to below 1.
        flips: Average over flips along z and y; never left-right, which would swap paired organs.
        largest_component: Values of the structures of which only the largest component is kept.
        fill_holes: Values of the structures whose holes are filled.
    """

    overlap: float = 0.5
    flips: bool = False
    largest_component: tuple[int, ...] = ()
    fill_holes: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmenter:
    """A segmentation network on a device.

    Attributes:
        file: The checkpoint it was read from.
        network: Ready for inference.
        info: Its description.
        device: Where it runs.
    """

    file: Path
    network: nn.Module
    info: SegmentationInfo
    device: torch.device

    @classmethod
    def load(cls, model: Path, device: torch.device) -> Segmenter:
        """Read a model: its file, or the folder that ``train-seg`` wrote.

        Raises:
            InputError: If it is no segmentation network.
        """
        file = model / MODEL_FILE if model.is_dir() else model
        network, info = load_segmentation(file, device)
        return cls(file=file, network=network, info=info, device=device)


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkPrediction:
    """The result of a network for one CT.

    Attributes:
        labels: Label values on the CT's own grid, uint8.
        probabilities: Class probabilities, shape (classes, D, H, W), float32, on the working grid around the body.
        grid: That grid, shape (D, H, W); its voxels are the CT's in 0-1.
        seconds: Time of each step, by name.
    """

    labels: Volume
    probabilities: NDArray[np.float32]
    grid: Volume
    seconds: Mapping[str, float] = field(default_factory=dict)


def segment_ct(
    segmenter: Segmenter,
    ct: Volume,
    options: SegmentOptions | None = None,
    on_step: OnStep = ignore_steps,
    name: str = "The CT",
) -> NetworkPrediction:
    """Segment one CT.

    Args:
        segmenter: The network.
        ct: HU, any grid and orientation.
        options: How to use it.
        on_step: Called with each step's name as it begins.
        name: The CT's name, for messages.

    Raises:
        InputError: If it cannot be a CT.
    """
    options = options or SegmentOptions()
    timer = StepTimer(on_step)
    info = segmenter.info
    with timer("prepare"):
        ct = as_hounsfield(ct, name)
        prepared = prepare_ct(ct, info.spacing, info.window)
        grid = cropped(prepared, body_box(prepared.array))
    with timer("predict"):
        image = torch.as_tensor(np.ascontiguousarray(grid.array), device=segmenter.device)
        with torch.autocast(segmenter.device.type, torch.bfloat16, enabled=is_fast_in_bfloat16(segmenter.device)):
            found = predict_probabilities(segmenter.network, image, info.patch_size, options.overlap, options.flips)
        probabilities = with_offsets(found, info.offsets).cpu().numpy()
    with timer("resample"):
        values = np.array([0, *(structure.value for structure in info.structures)], dtype=np.uint8)
        labels = values[most_likely(probabilities, grid, ct)]
    with timer("tidy"):
        labels = fill_holes(keep_largest(labels, options.largest_component), options.fill_holes)
    return NetworkPrediction(
        labels=ct.with_array(labels), probabilities=probabilities, grid=grid, seconds=timer.seconds
    )
