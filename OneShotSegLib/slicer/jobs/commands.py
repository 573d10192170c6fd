"""The command line's arguments for the runs that the panel starts, made from their requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from OneShotSegLib.runner.request import PropagationRequest, SegmentationTrainingRequest

EVENTS = ("--events", "json")
SMALL_BATCH = 10


def propagate(request: PropagationRequest) -> list[str]:
    """Propagate scribbles to a batch; what the panel never sets is left to the command line."""
    arguments = ["propagate", *EVENTS, "--output", str(request.output), "--device", request.device]
    for support, scribbles in zip(request.supports, request.scribbles, strict=True):
        arguments += ["--support", str(support), "--scribbles", str(scribbles)]
    if request.weights != "auto":
        arguments += ["--weights", request.weights]
    # What follows is a path, even if its name begins with a dash.
    return [*arguments, "--", *map(str, request.queries)]


def train_prnet(output: Path, volumes: Sequence[Path], device: str = "auto") -> list[str]:
    """Train PRNet on these volumes; of a small batch only one is held out to measure the error."""
    arguments = ["train-prnet", *EVENTS, "--output", str(output), "--device", device]
    if 1 < len(volumes) < SMALL_BATCH:
        arguments += ["--hold-out", "1"]
    return [*arguments, "--", *map(str, volumes)]


def train_segmentation(request: SegmentationTrainingRequest) -> list[str]:
    """Train the segmentation network on a study; what the panel never sets is left to the command line."""
    return ["train-seg", *EVENTS, "--output", str(request.output), "--device", request.device, "--", str(request.study)]


def import_weights(coarse: Path, fine: Path, output: Path) -> list[str]:
    """Turn the official checkpoints into our own."""
    return ["import-weights", "--coarse", str(coarse), "--fine", str(fine), "--output", str(output)]
