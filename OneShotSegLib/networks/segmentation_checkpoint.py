"""Segmentation networks by name, and their checkpoints: weights with all that is needed to use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.networks.checkpoint import Vector3, are_numbers, load_tensors, save_tensors
from OneShotSegLib.networks.unet import UNet

KIND = "segmentation"
MODEL_FILE = "model.safetensors"
MAX_BASE_CHANNELS = 128
MAX_PATCH_VOXELS = 2**24
MAX_STRUCTURES = 255


def _paper_unet(channels: int, classes: int) -> nn.Module:
    return UNet(channels, classes)


def _monai_unet(channels: int, classes: int) -> nn.Module:
    from monai.networks.nets import UNet as MonaiUNet

    widths = [channels * 2**level for level in range(4)]
    return MonaiUNet(3, 1, classes, widths, (2, 2, 2), num_res_units=2)


def _segresnet(channels: int, classes: int) -> nn.Module:
    from monai.networks.nets import SegResNet

    groups = math.gcd(8, channels)
    return SegResNet(
        init_filters=channels, out_channels=classes, blocks_down=(1, 2, 2, 4), norm=("GROUP", {"num_groups": groups})
    )


def _dynunet(channels: int, classes: int) -> nn.Module:
    from monai.networks.nets import DynUNet

    widths = [channels * 2**level for level in range(4)]
    return DynUNet(3, 1, classes, [3] * 4, [1, 2, 2, 2], [2, 2, 2], filters=widths)


NETWORKS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "unet": _paper_unet,
    "monai-unet": _monai_unet,
    "segresnet": _segresnet,
    "dynunet": _dynunet,
}
PATCH_MULTIPLE = 8


@dataclass(frozen=True, kw_only=True)
class SegmentationInfo:
    """What is needed to use a segmentation network, and where it comes from.

    Attributes:
        network: One of `NETWORKS`; "unet" is the paper's.
        base_channels: Width C.
        patch_size: Voxels [z, y, x], multiples of 8.
        spacing: Working voxel size, mm [z, y, x].
        structures: What it segments, in the order of its output channels 1, 2, ...; channel 0 is the background.
        window: HU to 0-1.
        training: What it was trained on and how.
        step: Optimiser steps done.
        metrics: Figures of the training that need no reference.
        offsets: What is taken from each structure's log probability, so that masks are as large as the labels learnt
            from were; empty for nothing.

    Raises:
        ValueError: If a value cannot be; the message names it.
    """

    network: str
    base_channels: int
    patch_size: tuple[int, int, int]
    spacing: Vector3
    structures: tuple[Segment, ...]
    window: HUWindow = field(default_factory=HUWindow)
    training: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    offsets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _require(self.network in NETWORKS, f"a network of {', '.join(NETWORKS)}", self.network)
        _require(_is_whole(self.base_channels, 1, MAX_BASE_CHANNELS), "a sensible width", self.base_channels)
        _require(
            _is_triple(self.patch_size)
            and all(_is_whole(n, PATCH_MULTIPLE, 2**12) and n % PATCH_MULTIPLE == 0 for n in self.patch_size)
            and max(self.patch_size) > PATCH_MULTIPLE
            and math.prod(self.patch_size) <= MAX_PATCH_VOXELS,
            f"a patch size of three multiples of {PATCH_MULTIPLE}, over one, and at most {MAX_PATCH_VOXELS} voxels",
            self.patch_size,
        )
        _require(_is_triple(self.spacing), "a spacing of three numbers over 0 mm", self.spacing)
        _require(_is_whole(self.step, 0, 2**62), "a step from 0", self.step)
        values = [structure.value for structure in self.structures]
        _require(
            0 < len(values) <= MAX_STRUCTURES
            and len(set(values)) == len(values)
            and all(_is_whole(value, 1, MAX_STRUCTURES) for value in values),
            "structures with label values of their own from 1 to 255",
            values,
        )
        _require(
            isinstance(self.offsets, tuple)
            and len(self.offsets) in (0, len(values))
            and all(_is_number(value) and abs(value) < 1e3 for value in self.offsets),
            "an offset for each structure, or none",
            self.offsets,
        )
        _require(
            isinstance(self.training, Mapping) and isinstance(self.metrics, Mapping),
            "named values as training and metrics",
            self.metrics,
        )

    @property
    def classes(self) -> int:
        """Output channels, the background included."""
        return len(self.structures) + 1

    def build(self) -> nn.Module:
        """A network of this architecture with fresh weights, from (N, 1, D, H, W) to logits (N, classes, D, H, W)."""
        return NETWORKS[self.network](self.base_channels, self.classes)


def _require(fulfilled: bool, expected: str, found: object) -> None:
    if not fulfilled:
        raise ValueError(f"expected {expected}, found {str(found)[:60]!r}")


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_triple(values: object) -> bool:
    return isinstance(values, tuple) and len(values) == 3 and all(_is_number(v) and 0 < v < 1e9 for v in values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def save_segmentation(path: Path, network: nn.Module, info: SegmentationInfo) -> None:
    """Write a network's weights and its description as one safetensors file, whole or not at all.

    Raises:
        ValueError: If a weight is no number.
    """
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    if not are_numbers(tensors):
        raise ValueError(f"{path}: expected weights that are numbers; found NaN or infinite ones.")
    save_tensors(path, tensors, {"kind": KIND, **asdict(info)})


def load_segmentation(path: Path, device: torch.device | str = "cpu") -> tuple[nn.Module, SegmentationInfo]:
    """Read a segmentation network, ready for inference.

    Raises:
        InputError: If the file is missing, broken, or holds another kind of weights.
    """
    tensors, description = load_tensors(path)
    kind = description.pop("kind", None)
    if kind != KIND:
        raise InputError(f"{path}: expected a segmentation network, found weights of another kind ({kind}).")
    info = _info(path, description)
    if not are_numbers(tensors):
        raise InputError(f"{path}: expected weights that are numbers, found NaN or infinite ones.")
    try:
        with torch.device("meta"):  # takes no memory, whatever size the description claims
            network = info.build()
        network.load_state_dict(tensors, assign=True)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path}: the weights do not fit the network that the file describes.") from error
    return network.to(device).eval(), info


def _info(path: Path, description: dict[str, Any]) -> SegmentationInfo:
    try:
        window, structures = description.pop("window"), description.pop("structures")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in description.items()}
        return SegmentationInfo(
            **values,
            window=HUWindow(tuple(window["hu"]), tuple(window["level"])),
            structures=tuple(
                Segment(value=s["value"], name=str(s["name"]), color=tuple(s["color"]), tags=str(s.get("tags", "")))
                for s in structures
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected a full description of the network in the file, found gaps.") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
