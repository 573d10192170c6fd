"""Command lines of the runs that the panel starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EVENTS = ("--events", "json")
SMALL_BATCH = 10


@dataclass(frozen=True)
class Propagation:
    """A propagation of scribbles to a batch.

    Attributes:
        study: The study folder.
        support: The scribbled CT.
        scribbles: Label map on its grid.
        queries: Volume files and folders.
        weights: Name or folder; '' for the default.
        device: auto, cpu, cuda:0 and the like.
    """

    study: Path
    support: Path
    scribbles: Path
    queries: Sequence[Path]
    weights: str = ""
    device: str = "auto"

    def arguments(self) -> list[str]:
        """As the command line takes it."""
        words = ["propagate", *EVENTS, "--output", str(self.study), "--device", self.device]
        words += ["--support", str(self.support), "--scribbles", str(self.scribbles)]
        if self.weights:
            words += ["--weights", self.weights]
        # What follows is a path, even if its name begins with a dash.
        return [*words, "--", *map(str, self.queries)]


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
