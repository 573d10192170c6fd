"""Training volumes, resident on the device for the whole training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.checkpoint import PRNetInfo
from OneShotSegLib.networks.patches import PatchSource

READERS = 4


@dataclass(frozen=True)
class TrainingVolume:
    """A resident volume and the voxels around which patches may be cut.

    Attributes:
        source: The volume on the device.
        body: Flat indices of its body voxels, shape (N,), int32, on the CPU.
    """

    source: PatchSource
    body: Tensor

    @classmethod
    def from_source(cls, source: PatchSource) -> TrainingVolume:
        """Take every voxel above the window's floor as body."""
        return cls(source, (source.image > 0).flatten().nonzero()[:, 0].int().cpu())

    def draw_places(self, count: int, generator: torch.Generator) -> Tensor:
        """Positions of random body voxels, mm, shape (count, 3), on the CPU."""
        flat = self.body[torch.randint(len(self.body), (count,), generator=generator)].long()
        index = torch.stack(torch.unravel_index(flat, self.source.image.shape), dim=1).float()
        return index * self.source.spacing.cpu() + self.source.origin.cpu()


def load_training_volumes(
    paths: Sequence[Path], infos: Sequence[PRNetInfo], device: torch.device
) -> list[list[TrainingVolume]]:
    """Read each CT once, and keep it on every stage's working grid on the device.

    Args:
        paths: The CTs.
        infos: The stages.
        device: Where to keep them.

    Returns:
        For each stage, its volumes in the order of the paths.

    Raises:
        InputError: If one cannot be a CT, or shows air alone.
    """

    def load(path: Path) -> list[TrainingVolume]:
        ct = as_hounsfield(read_volume(path), str(path))
        volumes = [_resident(prepare_ct(ct, info.spacing, info.window), device) for info in infos]
        if not all(len(volume.body) for volume in volumes):
            raise InputError(f"{path}: expected a CT with a body in it, found air alone.")
        return volumes

    # Unpacking and resampling leave Python to others, so a few threads read a few files at a time.
    with ThreadPoolExecutor(min(READERS, os.cpu_count() or 1)) as pool:
        loaded = list(pool.map(load, paths))
    return [list(stage) for stage in zip(*loaded, strict=True)]


def _resident(prepared: Volume, device: torch.device) -> TrainingVolume:
    return TrainingVolume.from_source(PatchSource.from_volume(prepared, device))
