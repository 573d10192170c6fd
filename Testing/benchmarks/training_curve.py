"""Draw the localisation error against training time from the tables that a training writes next to its weights.

    python Testing/benchmarks/training_curve.py FOLDER... --output docs/images/training-error.png

A folder holds ``coarse.curve.csv`` and ``fine.curve.csv``, or one of them (a training that has just begun). Time is CPU
time of all cores: on a busy machine the clock means little. The dotted line is the best error so far, which is what the
weights that are kept have. Several folders are drawn over each other, by name.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE
from OneShotSegLib.training.prnet.curves import Check, read_checks

STAGES = (COARSE_FILE, FINE_FILE)


def main() -> None:
    """Read the tables and draw them."""
    options = _options()
    curves = {name: read_stage(options.folders, name) for name in STAGES}
    found = {Path(name).stem: of_folder for name, of_folder in curves.items() if of_folder}
    if not found:
        tables = " or ".join(_table(name) for name in STAGES)
        raise SystemExit(f"No {tables} in {', '.join(map(str, options.folders))}.")
    draw(found, options.output)


def read_stage(folders: Sequence[Path], weights: str) -> dict[str, list[Check]]:
    """The checks of a stage by the folder's name, without the folders that have none."""
    checks = {folder.resolve().name: read_checks(folder / _table(weights)) for folder in folders}
    return {name: of_folder for name, of_folder in checks.items() if of_folder}


def _table(weights: str) -> str:
    return str(Path(weights).with_suffix(".curve.csv"))


def draw(curves: Mapping[str, Mapping[str, Sequence[Check]]], output: Path) -> None:
    """A panel for each stage: error of each check and the best so far, mm per axis, against CPU minutes."""
    figure = Figure(figsize=(4.5 * len(curves), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    several = len({name for of_folder in curves.values() for name in of_folder}) > 1
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (stage, of_folder) in zip(panels, curves.items(), strict=True):
        for name, checks in of_folder.items():
            _draw_one(panel, checks, f"{name}, " if several else "")
        title = f"{stage}: error on held-out volumes"
        panel.set(title=title, xlabel="CPU minutes", ylabel="mm per axis", ylim=(0, None))
        panel.legend(frameon=False, fontsize=8)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def _draw_one(panel: Axes, checks: Sequence[Check], prefix: str) -> None:
    minutes = [check.cpu_seconds / 60 for check in checks]
    (line,) = panel.plot(minutes, [check.error_mm for check in checks], marker=".", label=f"{prefix}at this moment")
    best = [check.best_mm for check in checks]
    panel.plot(minutes, best, linestyle=":", color=line.get_color(), label=f"{prefix}best so far")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="where a training wrote its weights")
    parser.add_argument("--output", type=Path, required=True, help="the picture, PNG")
    return parser.parse_args()


if __name__ == "__main__":
    main()
