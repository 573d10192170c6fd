"""Checkpoints as safetensors files: weights with all that is needed to use them. Nothing is ever unpickled."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.utf8_names import readable, writable
from OneShotSegLib.networks.checkpoint_checks import (
    are_finite,
    described_values,
    description_errors,
    is_positive_triple,
    is_whole,
    network_with,
    require,
    require_named_values,
)
from OneShotSegLib.networks.prnet import PRNet

FORMAT = "OneShotSeg checkpoint 1"
STAGES = ("coarse", "fine")
MAX_BASE_CHANNELS = 64
MAX_PATCH_VOXELS = 2**22
Vector3 = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class PRNetInfo:
    """What is needed to use a PRNet, and where it comes from.

    Attributes:
        stage: "coarse" or "fine".
        base_channels: Width C.
        patch_size: Voxels [z, y, x].
        spacing: Working voxel size, mm [z, y, x].
        position_range: The range r, mm [z, y, x].
        window: HU to 0-1.
        training: What it was trained on and how.
        step: Optimiser steps done.
        metrics: Figures on the held-out volumes.
        official_wiring: Whether the weights belong to the published code's wiring (see `PRNet`).

    Raises:
        ValueError: If a value cannot be (a width of thousands, a spacing of 0); the message names it.
    """

    stage: str
    base_channels: int
    patch_size: tuple[int, int, int]
    spacing: Vector3
    position_range: Vector3
    window: HUWindow = field(default_factory=HUWindow)
    training: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    official_wiring: bool = False

    def __post_init__(self) -> None:
        require(self.stage in STAGES, f"a stage of {' or '.join(STAGES)}", self.stage)
        require(
            is_whole(self.base_channels, 1, MAX_BASE_CHANNELS),
            f"1 to {MAX_BASE_CHANNELS} base channels",
            self.base_channels,
        )
        require(
            is_positive_triple(self.patch_size)
            and all(is_whole(n, 1) for n in self.patch_size)
            and math.prod(self.patch_size) <= MAX_PATCH_VOXELS,
            f"a patch size of three whole numbers and at most {MAX_PATCH_VOXELS} voxels",
            self.patch_size,
        )
        require(is_positive_triple(self.spacing), "a spacing of three numbers over 0 mm", self.spacing)
        require(is_positive_triple(self.position_range), "a range of three numbers over 0 mm", self.position_range)
        require(is_whole(self.step, 0), "a step from 0", self.step)
        require_named_values(self.training, self.metrics)
        require(isinstance(self.official_wiring, bool), "true or false as official_wiring", self.official_wiring)

    def build(self) -> PRNet:
        """A network of this architecture with fresh weights."""
        return PRNet(self.base_channels, self.patch_size, self.official_wiring)


def save_prnet(path: Path, network: PRNet, info: PRNetInfo, half: bool = False) -> None:
    """Write a network's weights and its description as one safetensors file, whole or not at all.

    Args:
        path: The file.
        network: Its weights, which must be numbers.
        info: Its description.
        half: Store 16 bits per weight, half the size; reading gives 32 bits again.

    Raises:
        ValueError: If a weight is NaN or infinite.
        OSError: If the file could not be written.
    """
    kind = torch.float16 if half else torch.float32
    tensors = {name: value.detach().cpu().to(kind).contiguous() for name, value in network.state_dict().items()}
    if not are_finite(tensors):
        raise ValueError(f"{path}: expected weights that are numbers in {kind}; found NaN or infinite ones.")
    save_tensors(path, tensors, {"kind": "prnet", **asdict(info)})


def load_prnet(path: Path, device: torch.device | str = "cpu") -> tuple[PRNet, PRNetInfo]:
    """Read a PRNet, ready for inference.

    Raises:
        InputError: If the file is missing, broken, or holds another kind of weights.
    """
    tensors, description = load_tensors(path)
    if description.pop("kind", None) != "prnet":
        raise InputError(f"{path}: expected PRNet weights, found weights of another kind.")
    with description_errors(path):
        info = PRNetInfo(**described_values(description))
    weights = {name: value.to(torch.float32, copy=True) for name, value in tensors.items()}
    return network_with(path, info.build, weights).to(device), info


def save_tensors(path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write tensors and a JSON description as one safetensors file, whole or not at all.

    Raises:
        OSError: If it could not be written (a full disk, a folder that is read-only).
    """
    with atomic_file(path) as temporary:
        try:
            with writable(temporary) as name:
                save_file(dict(tensors), str(name), {"format": FORMAT, "description": json.dumps(description)})
        except safetensors.SafetensorError as error:
            raise OSError(f"{path}: could not be written (is the disk full, or the folder read-only?).") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `save_tensors`: its tensors by name, and its description.

    Raises:
        InputError: If the file is missing, broken, or not ours.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file.")
    try:
        with readable(path) as name, safetensors.safe_open(str(name), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: expected a safetensors weights file, found something else.") from error
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path}: expected an {FORMAT} file, found {metadata.get('format', 'no format entry')!r}.")
    return tensors, _description(path, metadata.get("description", ""))


def _description(path: Path, text: str) -> dict[str, Any]:
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a description in JSON in the file, found something else.") from error
    if not isinstance(description, dict):
        raise InputError(f"{path}: expected a description with named values in the file, found something else.")
    return description
