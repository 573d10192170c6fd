"""`oneshotseg train-prnet`: both stages from a folder of CTs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.files import find_volumes, read_volume
from OneShotSegLib.imaging.intensity import check_ct
from OneShotSegLib.networks.checkpoint import PRNetInfo
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE, resolve_weights
from OneShotSegLib.study.events import Listener, silent
from OneShotSegLib.training.prnet import COARSE, FINE, PRNetTrainer, Progress, TrainingSettings, TrainingVolume


@dataclass(frozen=True)
class PRNetRequest:
    """What `oneshotseg train-prnet` is asked to do.

    Attributes:
        volumes: CTs, or folders of them.
        output: The weights folder.
        steps: Optimiser steps a stage.
        base_channels: Width of the networks.
        hold_out: Volumes, the last ones, on which the error is measured.
        seed: Seed of everything random.
        device: Where to train.
        learning_rate: Peak learning rate.
        start_from: A weights folder to go on from; None for fresh weights.
        fine_steps: Optimiser steps of the fine stage; None for as many as ``steps``.
    """

    volumes: Sequence[Path]
    output: Path
    steps: int = 5000
    base_channels: int = 8
    hold_out: int = 4
    seed: int = 0
    device: str = "auto"
    learning_rate: float = 2e-3
    start_from: Path | None = None
    fine_steps: int | None = None


def train_weights(request: PRNetRequest, listener: Listener = silent) -> None:
    """Train the coarse, then the fine stage, each going on where an earlier run was cut off.

    Raises:
        InputError: If there are too few volumes, or one cannot be used.
    """
    paths = [path for volume in request.volumes for path in find_volumes(volume)]
    if len(paths) <= request.hold_out:
        raise InputError(f"Expected more than {request.hold_out} CTs (so many are kept out), found {len(paths)}.")
    settings = TrainingSettings(steps=request.steps, seed=request.seed, learning_rate=request.learning_rate)
    fine = replace(settings, steps=request.fine_steps or request.steps, reach_mm=28.0, position_scale_mm=4.0)
    listener("started", cases=[COARSE.stage, FINE.stage], study=str(request.output))
    for info, how, name in ((COARSE, settings, COARSE_FILE), (FINE, fine, FINE_FILE)):
        _train_stage(replace(info, base_channels=request.base_channels), how, paths, request, name, listener)
    listener("finished", done=2, failed=0)


def _train_stage(
    info: PRNetInfo,
    settings: TrainingSettings,
    paths: Sequence[Path],
    request: PRNetRequest,
    name: str,
    listener: Listener,
) -> None:
    file = request.output / name
    listener("case_started", case=info.stage)
    if file.exists() and not file.with_suffix(".state").exists():
        listener("case_done", case=info.stage, score=1.0, resumed=True)
        return
    device = choose_device(request.device)
    volumes = load_training_volumes(paths, info, device)
    first = None if request.start_from is None else resolve_weights(str(request.start_from)) / name
    held_out = request.hold_out
    trainer = PRNetTrainer(info, settings, volumes[:-held_out], volumes[-held_out:], file, device, first)

    def tell(progress: Progress) -> None:
        listener(
            "step",
            case=info.stage,
            step=f"step {progress.step} of {progress.steps}, error {progress.error_mm:.1f} mm",
            fraction=round(progress.step / progress.steps, 3),
            loss=progress.loss,
            error_mm=progress.error_mm,
            seconds_left=round(progress.seconds_left),
        )

    trained = trainer.run(tell)
    listener("case_done", case=info.stage, score=1.0, **trained.metrics)


def load_training_volumes(paths: Sequence[Path], info: PRNetInfo, device: torch.device) -> list[TrainingVolume]:
    """Read CTs onto a stage's working grid and keep them on the device.

    Raises:
        InputError: If one cannot be a CT.
    """
    volumes = []
    for path in paths:
        ct = read_volume(path)
        check_ct(ct.array, str(path))
        source = PatchSource.from_volume(prepare_ct(ct, info.spacing, info.window), device)
        volumes.append(TrainingVolume.from_source(source))
    return volumes
