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
from OneShotSegLib.networks.anatomy import SeenAnatomy
from OneShotSegLib.networks.checkpoint import Vector3, load_tensors, save_tensors
from OneShotSegLib.networks.checkpoint_checks import (
    are_finite,
    described_values,
    description_errors,
    is_number,
    is_positive_triple,
    is_whole,
    network_with,
    require,
    require_named_values,
)
from OneShotSegLib.networks.unet import UNet

KIND = "segmentation"
MODEL_FILE = "model.safetensors"
MAX_BASE_CHANNELS = 128
MAX_PATCH_VOXELS = 2**24
MAX_STRUCTURES = 255


def _paper_unet(channels: int, classes: int) -> nn.Module:
    return UNet(channels, classes)


def _require_monai(network: str) -> None:
    """Raise what to do about it if MONAI is not installed.

    Raises:
        InputError: If it is not.
    """
    try:
        import monai  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'The network {network}: expected MONAI to be installed (pip install "OneShotSegLib[train]"), found none; '
            "the network unet does without."
        ) from error


def _monai_unet(channels: int, classes: int) -> nn.Module:
    _require_monai("monai-unet")
    from monai.networks.nets import UNet as MonaiUNet

    widths = [channels * 2**level for level in range(4)]
    return MonaiUNet(3, 1, classes, widths, (2, 2, 2), num_res_units=2)


def _segresnet(channels: int, classes: int) -> nn.Module:
    _require_monai("segresnet")
    from monai.networks.nets import SegResNet

    groups = math.gcd(8, channels)
    return SegResNet(
        init_filters=channels, out_channels=classes, blocks_down=(1, 2, 2, 4), norm=("GROUP", {"num_groups": groups})
    )


def _dynunet(channels: int, classes: int) -> nn.Module:
    _require_monai("dynunet")
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
        metrics: Figures of the training, without a reference.
        offsets: What is taken from each structure's log probability, so that masks are as large as the labels learnt
            from were; empty for nothing.
        anatomy: How large the structures were in the cases of the training, and how they lay to one another; None in
            files of before 0.2.

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
    anatomy: SeenAnatomy | None = None

    def __post_init__(self) -> None:
        require(self.network in NETWORKS, f"a network of {', '.join(NETWORKS)}", self.network)
        require(is_whole(self.base_channels, 1, MAX_BASE_CHANNELS), "a sensible width", self.base_channels)
        require(
            is_positive_triple(self.patch_size)
            and all(is_whole(n, PATCH_MULTIPLE, 2**12) and n % PATCH_MULTIPLE == 0 for n in self.patch_size)
            and max(self.patch_size) > PATCH_MULTIPLE
            and math.prod(self.patch_size) <= MAX_PATCH_VOXELS,
            f"a patch size of three multiples of {PATCH_MULTIPLE}, over one, and at most {MAX_PATCH_VOXELS} voxels",
            self.patch_size,
        )
        require(is_positive_triple(self.spacing), "a spacing of three numbers over 0 mm", self.spacing)
        require(is_whole(self.step, 0, 2**62), "a step from 0", self.step)
        values = [structure.value for structure in self.structures]
        require(
            0 < len(values) <= MAX_STRUCTURES
            and len(set(values)) == len(values)
            and all(is_whole(value, 1, MAX_STRUCTURES) for value in values),
            "structures with label values of their own from 1 to 255",
            values,
        )
        require(
            isinstance(self.offsets, tuple)
            and len(self.offsets) in (0, len(values))
            and all(is_number(value) and abs(value) < 1e3 for value in self.offsets),
            "an offset for each structure, or none",
            self.offsets,
        )
        require_named_values(self.training, self.metrics)
        if self.anatomy is not None:
            require(self.anatomy.highest < len(values), "an anatomy of the network's structures", self.anatomy.highest)

    @property
    def classes(self) -> int:
        """Output channels, the background included."""
        return len(self.structures) + 1

    def build(self) -> nn.Module:
        """A network of this architecture with fresh weights, from (N, 1, D, H, W) to logits (N, classes, D, H, W)."""
        return NETWORKS[self.network](self.base_channels, self.classes)


def save_segmentation(path: Path, network: nn.Module, info: SegmentationInfo) -> None:
    """Write a network's weights and its description as one safetensors file, whole or not at all.

    Raises:
        ValueError: If a weight is NaN or infinite.
        OSError: If the file could not be written.
    """
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    if not are_finite(tensors):
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
    with description_errors(path):
        values = described_values(description)
        values["structures"] = tuple(
            Segment(value=s["value"], name=str(s["name"]), color=tuple(s["color"]), tags=str(s.get("tags", "")))
            for s in values["structures"]
        )
        if values.get("anatomy") is not None:
            values["anatomy"] = SeenAnatomy.from_json(values["anatomy"])
        info = SegmentationInfo(**values)
    return network_with(path, info.build, tensors).to(device), info
