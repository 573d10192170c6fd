"""Volumes and a trainer small enough for tests of the training; also used by the processes that these tests start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.checkpoint import PRNetInfo
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.training.parallel import Ranks
from OneShotSegLib.training.prnet.trainer import PRNetTrainer, TrainingSettings
from OneShotSegLib.training.prnet.volumes import TrainingVolume

INFO = PRNetInfo(
    stage="coarse",
    base_channels=4,
    patch_size=(32, 32, 32),
    spacing=(6.0, 6.0, 6.0),
    position_range=(300.0, 300.0, 300.0),
)
SETTINGS = TrainingSettings(steps=6, volumes_per_step=1, patches_per_volume=3, validate_every=3, learning_rate=5e-3)


def make_training_volumes(count: int = 2) -> list[TrainingVolume]:
    """Smooth volumes whose intensities differ along every axis, so that places can be told apart."""
    made = []
    for seed in range(count):
        z, y, x = np.indices((24, 26, 28)) / 27
        noise = np.random.default_rng(seed).normal(0, 0.02, z.shape)
        array = np.clip(0.2 + 0.5 * z + 0.2 * np.sin(5 * y) + 0.2 * x**2 + noise, 0.01, 1).astype(np.float32)
        source = PatchSource.from_volume(Volume.create(array, (6, 6, 6), (5, -20, 40)))
        made.append(TrainingVolume.from_source(source))
    return made


def make_trainer(
    volumes: Sequence[TrainingVolume],
    output: Path,
    ranks: Ranks | None = None,
    start_from: Path | None = None,
    **changes: Any,
) -> PRNetTrainer:
    """A trainer on all volumes but the last."""
    settings = replace(SETTINGS, **changes)
    return PRNetTrainer(
        INFO, settings, volumes[:-1], volumes[-1:], output, start_from=start_from, ranks=ranks or Ranks()
    )
