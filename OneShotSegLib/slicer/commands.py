"""Command lines of the runs that the panel starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

EVENTS = ("--events", "json")


@dataclass(frozen=True)
class SupportFiles:
    """One support.

    Attributes:
        ct: Volume file.
        scribbles: Label map on its grid.
    """

    ct: Path
    scribbles: Path


@dataclass(frozen=True)
class Propagation:
    """A propagation of scribbles to a batch.

    Attributes:
        study: The study folder.
        supports: At least one.
        queries: Volume files and folders.
        weights: Name or folder; '' for the default.
        device: auto, cpu, cuda:0 and the like.
        again: Cases to be computed again although they have results.
    """

    study: Path
    supports: Sequence[SupportFiles]
    queries: Sequence[Path]
    weights: str = ""
    device: str = "auto"
    again: Sequence[str] = field(default_factory=tuple)

    def arguments(self) -> list[str]:
        """As the command line takes it."""
        words = ["propagate", *EVENTS, "--output", str(self.study), "--device", self.device]
        for support in self.supports:
            words += ["--support", str(support.ct), "--scribbles", str(support.scribbles)]
        if self.weights:
            words += ["--weights", self.weights]
        for case in self.again:
            words += ["--again", case]
        return [*words, *map(str, self.queries)]


def train_prnet(output: Path, volumes: Sequence[Path], device: str = "auto") -> list[str]:
    """Train PRNet on these volumes."""
    return ["train-prnet", *EVENTS, "--output", str(output), "--device", device, *map(str, volumes)]


def train_segmentation(study: Path, output: Path, device: str = "auto") -> list[str]:
    """Train the segmentation network on what was not rejected."""
    return ["train-seg", *EVENTS, str(study), "--output", str(output), "--device", device]


def import_weights(coarse: Path, fine: Path, output: Path) -> list[str]:
    """Turn the official checkpoints into our own."""
    return ["import-weights", "--coarse", str(coarse), "--fine", str(fine), "--output", str(output)]
