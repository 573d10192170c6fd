"""How good the pseudo masks are on real CT: the tables and the scatter plot of ``docs/accuracy.md``.

    python Testing/benchmarks/accuracy.py --cohort ../shared/cohort --support pt_4 --split validation

For each method: distance of the propagated scribbles to their structure after each stage, share of them inside it, Dice
after expansion and after refinement, seconds a case; and how well the label-free score predicts Dice.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.stats import spearmanr

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.imaging.resampling import resample_labels
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.networks.selection import choose_weights
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.pipeline import METHODS, Method, QueryResult, Support, prepare_support, segment_query
from OneShotSegLib.study.scoring import dice, judge

ORGANS = {1: "Brainstem", 2: "SpinalCord", 3: "RightParotid", 4: "LeftParotid", 7: "Mandible"}
BACKGROUND = 8


@dataclass
class Row:
    """The figures of one structure in one case, by column name."""

    case: str
    value: int
    figures: dict[str, float] = field(default_factory=dict)


def main() -> None:
    """Print the tables."""
    options = _options()
    names = _cases(options.cohort, options.split)[: options.cases]
    ct = read_volume(options.cohort / "cases" / options.support / "ct.nii.gz")
    weights = load_weights(choose_weights(options.weights, ct, torch.device("cpu")))
    print(f"Support {options.support}, {len(names)} {options.split} cases, weights {weights.name}", end=", ")
    print(f"{torch.get_num_threads()} CPU threads\n")
    for name in options.method:
        rows = list(_measure(METHODS[name], ct, weights, options, names))
        _print_table(name, rows)
        _print_score(name, rows, options.plot)
        if options.json:
            options.json.mkdir(parents=True, exist_ok=True)
            file = options.json / f"{options.support}-{name}.json"
            file.write_text(json.dumps([vars(row) for row in rows], indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--split", default="validation", choices=("train", "validation"))
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    parser.add_argument("--weights", default="headneck")
    parser.add_argument("--method", nargs="+", default=["default", "paper"], choices=list(METHODS))
    parser.add_argument("--plot", type=Path, help="folder for the scatter plots of score against Dice")
    parser.add_argument("--json", type=Path, help="folder for all figures")
    return parser.parse_args()


def _cases(cohort: Path, split: str) -> list[str]:
    with (cohort / "cases.csv").open() as file:
        return [row["case"] for row in csv.DictReader(file) if row["split"] == split]


def _measure(
    method: Method, ct: Volume, weights: Weights, options: argparse.Namespace, names: Sequence[str]
) -> Iterable[Row]:
    scribbles = read_label_map(options.cohort / "scribbles" / f"{options.support}.nii.gz").with_background(BACKGROUND)
    support = prepare_support(ct, scribbles, weights, method)
    for name in names:
        query = read_volume(options.cohort / "cases" / name / "ct.nii.gz")
        reference = read_volume(options.cohort / "cases" / name / "seg.nii.gz")
        started = time.perf_counter()
        result = segment_query(support, query, weights, method)
        seconds = time.perf_counter() - started
        quality = {structure.value: structure for structure in judge(name, support, result, weights).structures}
        masks = [resample_labels(labels, query).array for labels in (result.expansion.labels, result.refined)]
        for value in sorted(set(support.structures.values) & set(ORGANS)):
            if (reference.array == value).any():
                row = Row(name, value, _landing(support, result, reference, value))
                row.figures["Dice after expansion"] = dice(masks[0] == value, reference.array == value)
                row.figures["Dice after refinement"] = dice(masks[1] == value, reference.array == value)
                row.figures |= {"score": quality[value].score, "seconds a case": seconds}
                yield row


def _landing(support: Support, result: QueryResult, reference: Volume, value: int) -> dict[str, float]:
    distance = distance_transform_edt(reference.array != value, sampling=reference.spacing)
    mine = support.landmarks.points.labels == value
    figures = {}
    for stage, positions in result.propagation.after.items():
        away = _read(distance, reference, positions[mine])
        figures[f"mm outside after {stage}"] = float(away.mean())
        figures["share inside"] = float((away == 0).mean())
    kept = mine & result.denoised.keep
    if kept.any():
        figures["mm outside, kept ones"] = float(
            _read(distance, reference, result.propagation.points.positions[kept]).mean()
        )
    figures["share kept"] = float(kept.sum() / mine.sum())
    return figures


def _read(distance: np.ndarray, grid: Volume, positions: Vector) -> np.ndarray:
    index = np.clip(np.rint(grid.to_index(positions)).astype(int), 0, np.asarray(grid.shape) - 1)
    return distance[tuple(index.T)]


def _print_table(name: str, rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row.figures))
    values = [value for value in ORGANS if any(row.value == value for row in rows)]
    print(f"`{name}`\n\n| | {' | '.join(ORGANS[value] for value in values)} | mean |")
    print("| --- |" + " ---: |" * (len(values) + 1))
    for column in columns:
        means = [
            np.mean([row.figures[column] for row in rows if row.value == value and column in row.figures])
            for value in values
        ]
        digits = 1 if column.startswith(("mm", "seconds")) else 2
        print(f"| {column} | " + " | ".join(f"{mean:.{digits}f}" for mean in (*means, np.nanmean(means))) + " |")
    print()


def _print_score(name: str, rows: Sequence[Row], plot: Path | None) -> None:
    scores = np.array([row.figures["score"] for row in rows])
    reached = np.array([row.figures["Dice after refinement"] for row in rows])
    structures = spearmanr(scores, reached)
    cases = sorted({row.case for row in rows})
    per_case = [[np.mean(v[[row.case == case for row in rows]]) for case in cases] for v in (scores, reached)]
    print(f"Score against Dice, `{name}`: Spearman {structures.statistic:.2f} over {len(rows)} structures", end=", ")
    print(f"{spearmanr(*per_case).statistic:.2f} over {len(cases)} cases\n")
    if plot is not None:
        _scatter(plot / f"score-{name}.png", rows)


def _scatter(path: Path, rows: Sequence[Row]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
    for value, organ in ORGANS.items():
        mine = [row.figures for row in rows if row.value == value]
        axes.scatter([f["score"] for f in mine], [f["Dice after refinement"] for f in mine], s=18, label=organ)
    axes.set(xlabel="score (without a reference)", ylabel="Dice", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
