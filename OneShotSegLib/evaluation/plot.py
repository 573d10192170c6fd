"""An evaluation as a box plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from OneShotSegLib.imaging.atomic import atomic_file

if TYPE_CHECKING:
    from OneShotSegLib.evaluation.metrics import StructureFigures
    from OneShotSegLib.evaluation.result import Evaluation, StructureMeans

PANELS = (("dice", "Dice"), ("hd95_mm", "HD95 (mm)"), ("assd_mm", "ASSD (mm)"))
BOX_COLOR = "#9ecae1"
POINT_COLOR = "#08519c"
DOTS_PER_INCH = 120


def box_plot(evaluation: Evaluation, path: Path) -> None:
    """Draw a box and all points for each structure and measure; the PNG appears whole or not at all.

    False negatives and false positives are points at Dice 0; they have no surface distance and are counted below.
    """
    # The figure's own canvas, not pyplot: no window system is asked for, and no state stays behind.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.5 + max(len(evaluation.labels), 3), 9), layout="constrained")
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    for panel, (attribute, title) in zip(panels, PANELS, strict=True):
        _draw(panel, evaluation, attribute, title)
    panels[0].set_ylim(-0.02, 1.02)
    panels[-1].set_xticks(range(1, len(evaluation.labels) + 1), _tick_labels(evaluation), rotation=30, ha="right")
    with atomic_file(path) as beside:
        figure.savefig(beside, dpi=DOTS_PER_INCH, format="png")


def _draw(panel: Any, evaluation: Evaluation, attribute: str, title: str) -> None:
    jitter = np.random.default_rng(0)
    for place, value in enumerate(evaluation.labels, start=1):
        values = _values(evaluation.figures, value, attribute)
        if not values:
            continue
        box = panel.boxplot(values, positions=[place], widths=0.6, showfliers=False, patch_artist=True)
        box["boxes"][0].set_facecolor(BOX_COLOR)
        box["medians"][0].set_color("black")
        spread = jitter.uniform(-0.15, 0.15, len(values))
        panel.plot(place + spread, values, "o", color=POINT_COLOR, markersize=3.5, alpha=0.7, zorder=3)
    panel.set_ylabel(title)
    panel.grid(axis="y", alpha=0.3)


def _values(figures: tuple[StructureFigures, ...], value: int, attribute: str) -> list[float]:
    found = [getattr(figure, attribute) for figure in figures if figure.value == value]
    return [number for number in found if number is not None]


def _tick_labels(evaluation: Evaluation) -> list[str]:
    return [_tick_label(means) for means in evaluation.means()]


def _tick_label(means: StructureMeans) -> str:
    wrong = [
        f"{n} {word}"
        for n, word in ((means.false_negatives, "false negative"), (means.false_positives, "false positive"))
        if n
    ]
    # A dollar sign of a name must not start a formula.
    name = means.name.replace("$", r"\$")
    return f"{name}\n({', '.join(wrong)})" if wrong else name
