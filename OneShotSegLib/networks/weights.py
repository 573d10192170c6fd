"""Weights: a coarse and a fine network that belong together, and the folders of the shipped ones."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import PRNetInfo, load_prnet
from OneShotSegLib.networks.prnet import PRNet

COARSE_FILE = "coarse.safetensors"
FINE_FILE = "fine.safetensors"
WEIGHTS_VARIABLE = "ONESHOTSEG_WEIGHTS"


@dataclass(frozen=True)
class Stage:
    """One trained network and its description."""

    network: PRNet
    info: PRNetInfo


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A coarse and a fine stage.

    Attributes:
        name: The folder's name, which is the shipped name too.
        folder: Where both files are.
        coarse: The long-range stage, which finds the region.
        fine: The short-range stage, which refines positions; its decoder gives the features.
    """

    name: str
    folder: Path
    coarse: Stage
    fine: Stage


def shipped_folders() -> dict[str, Path]:
    """Folders of the weights that come with OneShotSeg, or are in ``ONESHOTSEG_WEIGHTS``, by name."""
    package = Path(__file__).resolve().parents[1]
    roots = [
        Path(os.environ[WEIGHTS_VARIABLE]) if WEIGHTS_VARIABLE in os.environ else None,
        package.parent / "Resources" / "Weights",
        package / "Resources" / "Weights",
        Path(sys.prefix) / "share" / "oneshotseg" / "Weights",
    ]
    found: dict[str, Path] = {}
    for root in roots:
        if root is not None and root.is_dir():
            for folder in sorted(root.iterdir()):
                if is_weights_folder(folder):
                    found.setdefault(folder.name, folder)
    return found


def is_weights_folder(folder: Path) -> bool:
    """Whether a folder holds both stages."""
    return (folder / COARSE_FILE).is_file() and (folder / FINE_FILE).is_file()


def resolve_weights(name: str) -> Path:
    """The folder of shipped weights of this name, or of the user's own weights.

    Raises:
        InputError: If it is neither a shipped name nor a folder with both stages.
    """
    shipped = shipped_folders()
    if name in shipped:
        return shipped[name]
    folder = Path(name)
    if is_weights_folder(folder):
        return folder
    known = ", ".join(shipped) or "none"
    raise InputError(
        f"{name}: expected shipped weights ({known}) or a folder with {COARSE_FILE} and {FINE_FILE}, found neither."
    )


def load_weights(folder: Path, device: torch.device | str = "cpu") -> Weights:
    """Read both stages, ready for inference.

    Raises:
        InputError: If a file is missing, broken, of another kind, or the stages are mixed up.
    """
    stages = {}
    for stage, name in (("coarse", COARSE_FILE), ("fine", FINE_FILE)):
        network, info = load_prnet(folder / name, device)
        if info.stage != stage:
            raise InputError(f"{folder / name}: expected the {stage} stage, found the {info.stage} stage.")
        stages[stage] = Stage(network, info)
    return Weights(name=folder.name, folder=folder, coarse=stages["coarse"], fine=stages["fine"])
