"""What a training of a segmentation network is asked to do; light to import, for the command line's help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class CorrectionName(StrEnum):
    """The ways of dealing with noisy labels."""

    none = "none"
    paper = "paper"
    ensemble = "ensemble"


@dataclass(frozen=True, kw_only=True)
class SegmentationTrainingRequest:
    """What `oneshotseg train-seg` is asked to do.

    Attributes:
        study: The study folder.
        output: The model folder.
        correction: What is done about noisy labels.
        network: Architecture's name.
        base_channels: Its width.
        patch_size: Voxels [z, y, x].
        spacing: Working voxel size, mm [z, y, x]; None for what suits the CTs.
        structures: Names or values of the structures to learn; empty for all.
        steps: Optimiser steps.
        batch_size: Patches per step.
        rounds: Rounds of label correction.
        hold_out: Share of the cases on which the model is chosen, by their own pseudo labels.
        learning_rate: Peak learning rate.
        seed: Seed of everything random.
        device: Where to train.
        precision: "auto", "float32" or "bfloat16"; auto takes bfloat16 where the device has it in hardware.
        start_from: A trained network (its file or folder) to go on from, as more cases were reviewed; architecture,
            voxel size and structures are then its own. None for fresh weights.
    """

    study: Path
    output: Path
    correction: CorrectionName = CorrectionName.none
    network: str = "unet"
    base_channels: int = 12
    patch_size: tuple[int, int, int] = (32, 48, 48)
    spacing: tuple[float, float, float] | None = None
    structures: Sequence[str] = ()
    steps: int = 2000
    batch_size: int = 2
    rounds: int = 5
    hold_out: float = 0.1
    learning_rate: float = 2e-3
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    start_from: Path | None = None
