"""The curves of a training as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from OneShotSegLib.imaging.atomic import atomic_file

History = Mapping[str, Sequence[Sequence[float]]]


def draw_curves(history: History, path: Path) -> None:
    """Draw loss, held-out Dice, stability and corrected voxels over the steps as a PNG.

    Args:
        history: "loss" [step, loss], "checks" [step, held-out Dice, stability], "corrected" [step, voxels].
        path: The picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _line(upper, history["loss"], 1, "loss", "tab:blue")
    upper.set_ylabel("loss")
    _line(lower, history["checks"], 1, "Dice with the labels held out", "tab:green")
    _line(lower, history["checks"][1:], 2, "stability: Dice with the check before", "tab:orange")
    lower.set_ylabel("Dice")
    lower.set_ylim(0, 1)
    lower.set_xlabel("step")
    for number, (step, _) in enumerate(history["corrected"]):
        label = "round of label correction" if number == 0 else None
        upper.axvline(step, color="grey", linewidth=0.7, linestyle=":", label=label)
    for axes in (upper, lower):
        axes.legend(loc="best")
        axes.grid(alpha=0.3)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _line(axes: Any, rows: Sequence[Sequence[float]], column: int, label: str, color: str) -> None:
    axes.plot([row[0] for row in rows], [row[column] for row in rows], label=label, color=color)
