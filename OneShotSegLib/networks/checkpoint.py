"""Checkpoints as safetensors: weights, and beside them all that is needed to use them. Nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import whole_file
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.networks.prnet import PRNet

FORMAT = "OneShotSeg checkpoint 1"
Vector3 = tuple[float, float, float]


@dataclass(frozen=True)
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
        metrics: Figures on the volumes kept out.
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

    def build(self) -> PRNet:
        """A network of this architecture with fresh weights."""
        return PRNet(self.base_channels, self.patch_size)


def save_prnet(path: Path, network: PRNet, info: PRNetInfo) -> None:
    """Write a network's weights and its description as one safetensors file, whole or not at all."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_tensors(path, tensors, {"kind": "prnet", **asdict(info)})


def load_prnet(path: Path, device: torch.device | str = "cpu") -> tuple[PRNet, PRNetInfo]:
    """Read a PRNet, ready for inference.

    Raises:
        InputError: If the file is missing, broken, or holds another kind of weights.
    """
    tensors, description = load_tensors(path)
    if description.pop("kind", None) != "prnet":
        raise InputError(f"{path}: expected PRNet weights, found weights of another kind.")
    info = _info(path, description)
    network = info.build()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path}: the weights do not fit the network that the file describes.") from error
    return network.to(device).eval(), info


def _info(path: Path, description: dict[str, Any]) -> PRNetInfo:
    try:
        window = description.pop("window")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in description.items()}
        return PRNetInfo(**values, window=HUWindow(tuple(window["hu"]), tuple(window["level"])))
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a full description of the network in the file, found gaps.") from error


def save_tensors(path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write tensors and a JSON description as one safetensors file, whole or not at all."""
    with whole_file(path) as beside:
        save_file(dict(tensors), str(beside), {"format": FORMAT, "description": json.dumps(description)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and description.

    Raises:
        InputError: If the file is missing, broken, or not ours.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file.")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: expected a safetensors weights file, found something else.") from error
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path}: expected an {FORMAT} file, found {metadata.get('format', 'no format entry')!r}.")
    return tensors, json.loads(metadata["description"])
