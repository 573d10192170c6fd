"""How a training goes, check by check: a table (CSV) and, where they are installed, a picture and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.training.drawing import has_matplotlib


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a check on the volumes held out found.

    Attributes:
        step: Optimiser steps done.
        seconds: Time trained so far, earlier runs included, by the clock.
        cpu_seconds: The same, of all processor cores together.
        loss: Mean loss since the check before; NaN at the first one.
        position_loss: Its part for the relations.
        reconstruction_loss: Its part for the rebuilt patches, weighted.
        error_mm: Mean absolute error of a relation, mm per axis, on the volumes held out.
        best_mm: The least such error so far.
        learning_rate: Learning rate of the next step.
    """

    step: int
    seconds: float
    cpu_seconds: float
    loss: float
    position_loss: float
    reconstruction_loss: float
    error_mm: float
    best_mm: float
    learning_rate: float


class Curves:
    """The checks of one stage, on disk next to its weights after each of them.

    Args:
        weights: The stage's weights file; the table is ``<name>.curve.csv``, the picture ``<name>.curve.png``, and
            TensorBoard's files lie in ``tensorboard/<name>``.
        step: Optimiser steps done; later checks of a run that was cut off are dropped.
    """

    def __init__(self, weights: Path, step: int = 0) -> None:
        self.table = weights.with_suffix(".curve.csv")
        self.picture = weights.with_suffix(".curve.png")
        self.stage = weights.stem
        self.checks = [check for check in read_checks(self.table) if check.step <= step] if step else []
        self._board = _tensorboard(weights.parent / "tensorboard" / weights.stem, step)

    def add(self, check: Check) -> None:
        """Add a check and write everything anew."""
        self.checks.append(check)
        with atomic_file(self.table) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Check)])
            writer.writeheader()
            writer.writerows(asdict(check) for check in self.checks)
        if has_matplotlib():
            with atomic_file(self.picture) as temporary:
                draw(self.stage, self.checks, temporary)
        if self._board is not None:
            for name in ("loss", "position_loss", "reconstruction_loss", "error_mm", "learning_rate"):
                self._board.add_scalar(name, getattr(check, name), check.step)
            self._board.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def read_checks(table: Path) -> list[Check]:
    """The checks of a table that `Curves` wrote; none where there is no table."""
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return [
            Check(step=int(row.pop("step")), **{k: float(v) for k, v in row.items()}) for row in csv.DictReader(file)
        ]


def draw(stage: str, checks: Sequence[Check], path: Path) -> None:
    """Draw loss and error against steps, PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    steps = [check.step for check in checks]
    for name, label in (("position_loss", "relations"), ("reconstruction_loss", "reconstruction")):
        left.plot(steps, [getattr(check, name) for check in checks], label=label)
    left.set(xlabel="step", ylabel="loss", title=f"{stage}: training loss", yscale="log")
    left.legend(frameon=False)
    right.plot(steps, [check.error_mm for check in checks], marker=".", label="at this step")
    right.plot(steps, [check.best_mm for check in checks], linestyle=":", label="best so far")
    right.set(xlabel="step", ylabel="mm per axis", title=f"{stage}: error on volumes held out", ylim=(0, None))
    right.legend(frameon=False)
    figure.savefig(path, dpi=100, format="png")


def has_tensorboard() -> bool:
    """Whether TensorBoard can be written."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        return False
    return True


def _tensorboard(folder: Path, step: int) -> Any:
    if not has_tensorboard():
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
