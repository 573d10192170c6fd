"""An evaluation as a box plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation.figures import StructureFigures, StructureMeans, means_by_structure
from OneShotSegLib.imaging.atomic import atomic_file

PANELS = (("dice", "Dice"), ("hd95_mm", "HD95 (mm)"), ("assd_mm", "ASSD (mm)"))
BOX_COLOR = "#9ecae1"
POINT_COLOR = "#08519c"
DOTS_PER_INCH = 120


def draw_box_plot(figures: Sequence[StructureFigures], labels: Mapping[int, str], path: Path) -> None:
    """Draw a box and all points for each structure and measure; the PNG appears whole or not at all.

    False negatives and false positives are points at Dice 0; they have no surface distance and are counted below.

    Args:
        figures: All figures.
        labels: Value and name of the structures evaluated.
        path: The PNG.

    Raises:
        InputError: If matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError(
            'Box plots: expected matplotlib to be installed (pip install "OneShotSegLib[train]"), found none.'
        ) from error
    # The figure's own canvas, not pyplot: no window system is asked for, and no state stays behind.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.5 + max(len(labels), 3), 9), layout="constrained")
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    for panel, (attribute, title) in zip(panels, PANELS, strict=True):
        _draw(panel, figures, labels, attribute, title)
    panels[0].set_ylim(-0.02, 1.02)
    ticks = [_tick_label(means) for means in means_by_structure(figures, labels)]
    panels[-1].set_xticks(range(1, len(labels) + 1), ticks, rotation=30, ha="right")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png")


def _draw(
    panel: Any, figures: Sequence[StructureFigures], labels: Mapping[int, str], attribute: str, title: str
) -> None:
    jitter = np.random.default_rng(0)
    for place, value in enumerate(labels, start=1):
        values = _values(figures, value, attribute)
        if not values:
            continue
        box = panel.boxplot(values, positions=[place], widths=0.6, showfliers=False, patch_artist=True)
        box["boxes"][0].set_facecolor(BOX_COLOR)
        box["medians"][0].set_color("black")
        spread = jitter.uniform(-0.15, 0.15, len(values))
        panel.plot(place + spread, values, "o", color=POINT_COLOR, markersize=3.5, alpha=0.7, zorder=3)
    panel.set_ylabel(title)
    panel.grid(axis="y", alpha=0.3)


def _values(figures: Sequence[StructureFigures], value: int, attribute: str) -> list[float]:
    found = [getattr(figure, attribute) for figure in figures if figure.value == value]
    return [number for number in found if number is not None]


def _tick_label(means: StructureMeans) -> str:
    wrong = [
        f"{n} {word}"
        for n, word in ((means.false_negatives, "false negative"), (means.false_positives, "false positive"))
        if n
    ]
    # A dollar sign of a name must not start a formula.
    name = means.name.replace("$", r"\$")
    return f"{name}\n({', '.join(wrong)})" if wrong else name
