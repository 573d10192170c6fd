"""Command lines of the runs that the panel starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from OneShotSegLib.runner.request import PropagationRequest

EVENTS = ("--events", "json")
SMALL_BATCH = 10


def propagate(request: PropagationRequest) -> list[str]:
    """Propagate scribbles to a batch; what has its default is left to the command line."""
    words = ["propagate", *EVENTS, "--output", str(request.output), "--device", request.device]
    for support, scribbles in zip(request.supports, request.scribbles, strict=True):
        words += ["--support", str(support), "--scribbles", str(scribbles)]
    if request.weights != "auto":
        words += ["--weights", request.weights]
    # What follows is a path, even if its name begins with a dash.
    return [*words, "--", *map(str, request.queries)]


def train_prnet(output: Path, volumes: Sequence[Path], device: str = "auto") -> list[str]:
    """Train PRNet on these volumes; of a small batch fewer are kept out to measure the error."""
    words = ["train-prnet", *EVENTS, "--output", str(output), "--device", device]
    if 1 < len(volumes) < SMALL_BATCH:
        words += ["--hold-out", "1"]
    return [*words, "--", *map(str, volumes)]


def train_segmentation(study: Path, output: Path, device: str = "auto") -> list[str]:
    """Train the segmentation network on what was not rejected."""
    return ["train-seg", *EVENTS, str(study), "--output", str(output), "--device", device]


def import_weights(coarse: Path, fine: Path, output: Path) -> list[str]:
    """Turn the official checkpoints into our own."""
    return ["import-weights", "--coarse", str(coarse), "--fine", str(fine), "--output", str(output)]
