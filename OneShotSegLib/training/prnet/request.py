"""What a training of PRNet is asked to do; light to import, for the command line's help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PRNetTrainingRequest:
    """What `oneshotseg train-prnet` is asked to do.

    Attributes:
        volumes: CTs, or folders of them.
        output: The weights folder.
        steps: Optimiser steps per stage, at most.
        base_channels: Width of the networks; with ``start_from`` it is that of the weights.
        hold_out: Volumes, the last ones, on which the error is measured; None for a tenth, 1 to 8.
        seed: Seed of everything random.
        device: Where to train.
        learning_rate: Peak learning rate.
        start_from: A weights folder (or shipped name) to go on from; None for fresh weights.
        fine_steps: Optimiser steps of the fine stage; None for as many as ``steps``.
        check_every: Steps between two checks on the volumes held out.
        patience: Checks without a smaller error after which a stage stops; 0 for never.
    """

    volumes: Sequence[Path]
    output: Path
    steps: int = 5000
    base_channels: int = 8
    hold_out: int | None = None
    seed: int = 0
    device: str = "auto"
    learning_rate: float = 2e-3
    start_from: Path | str | None = None
    fine_steps: int | None = None
    check_every: int = 250
    patience: int = 12
