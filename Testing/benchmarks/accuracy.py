"""How good the pseudo masks are on real CT: the tables and the scatter plot of ``docs/accuracy.md``.

    python Testing/benchmarks/accuracy.py --cohort ../shared/cohort --support pt_4 --split validation

    python Testing/benchmarks/accuracy.py --cohort ../shared/cohort --support pt_4 pt_2 pt_20 --method default

With several supports, a table for each and one for their vote. For each method: distance of the propagated scribbles
to their structure after each stage, share of them inside it, Dice after expansion, Dice and HD95 of the pseudo mask,
seconds a case; and how well the label-free score predicts Dice.
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

from OneShotSegLib.evaluation.metrics import compare
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.imaging.resampling import resample_labels
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.networks.selection import choose_weights
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.pipeline import METHODS, Method, QueryResult, Support, prepare_support, segment_query
from OneShotSegLib.study.scoring import dice, judge
from OneShotSegLib.study.segmented import Opinion, settle
from OneShotSegLib.study.tables import common_structures

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
    ct = read_volume(options.cohort / "cases" / options.support[0] / "ct.nii.gz")
    weights = load_weights(choose_weights(options.weights, ct, torch.device("cpu")))
    print(f"{len(names)} {options.split} cases, weights {weights.name}, {torch.get_num_threads()} CPU threads\n")
    for name in options.method:
        opinions: dict[str, list[Opinion]] = {case: [] for case in names}
        for support in options.support:
            rows = list(_measure(METHODS[name], support, weights, options, opinions))
            _tell(f"{support}, {name}", rows, options)
        if len(options.support) > 1:
            _tell(f"vote, {name}", list(_vote(opinions, options)), options)


def _tell(title: str, rows: Sequence[Row], options: argparse.Namespace) -> None:
    _print_table(title, rows)
    file = title.replace(", ", "-")
    _print_score(title, rows, options.plot and options.plot / f"score-{file}.png")
    if options.json:
        options.json.mkdir(parents=True, exist_ok=True)
        (options.json / f"{file}.json").write_text(json.dumps([vars(row) for row in rows], indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", nargs="+", default=["pt_4"])
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
    method: Method, name: str, weights: Weights, options: argparse.Namespace, opinions: dict[str, list[Opinion]]
) -> Iterable[Row]:
    """The figures of one support; its results are added to the opinions of each case."""
    ct = read_volume(options.cohort / "cases" / name / "ct.nii.gz")
    scribbles = read_label_map(options.cohort / "scribbles" / f"{name}.nii.gz").with_background(BACKGROUND)
    support = prepare_support(ct, scribbles, weights, method)
    for case in opinions:
        query, reference = _read_case(options, case)
        started = time.perf_counter()
        result = segment_query(support, query, weights, method)
        seconds = time.perf_counter() - started
        opinion = Opinion(support, result, judge(case, support, result, weights))
        opinions[case].append(opinion)
        grown = resample_labels(result.expansion.labels, query, result.smooth_mm).array
        mask = result.pseudo_mask().array
        for value in sorted(set(support.structures.values) & set(ORGANS)):
            if (reference.array == value).any():
                row = Row(case, value, _landing(support, result, reference, value))
                row.figures["Dice after expansion"] = dice(grown == value, reference.array == value)
                row.figures |= _final(mask, reference, value)
                structure = opinion.of(value)
                row.figures |= {"score": structure.score if structure else 0.0, "seconds a case": seconds}
                yield row


def _vote(opinions: dict[str, list[Opinion]], options: argparse.Namespace) -> Iterable[Row]:
    """The figures of the supports' vote."""
    for case, voters in opinions.items():
        _, reference = _read_case(options, case)
        structures = common_structures([voter.support.structures for voter in voters])
        settled = settle(voters, structures, voters[0].result.smooth_mm)
        for structure in settled.quality.structures:
            if structure.value in ORGANS and (reference.array == structure.value).any():
                figures = _final(settled.mask.array, reference, structure.value)
                yield Row(case, structure.value, {**figures, "score": structure.score})


def _read_case(options: argparse.Namespace, case: str) -> tuple[Volume, Volume]:
    folder = options.cohort / "cases" / case
    return read_volume(folder / "ct.nii.gz"), read_volume(folder / "seg.nii.gz")


def _final(mask: np.ndarray, reference: Volume, value: int) -> dict[str, float]:
    found = compare("", value, "", reference.array == value, mask == value, reference.spacing)
    figures = {"Dice": found.dice or 0.0}
    return figures if found.hd95_mm is None else {**figures, "HD95 mm": found.hd95_mm}


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
        digits = 1 if column.startswith(("mm", "seconds", "HD95")) else 2
        print(f"| {column} | " + " | ".join(f"{mean:.{digits}f}" for mean in (*means, np.nanmean(means))) + " |")
    print()


def _print_score(name: str, rows: Sequence[Row], plot: Path | None) -> None:
    scores = np.array([row.figures["score"] for row in rows])
    reached = np.array([row.figures["Dice"] for row in rows])
    structures = spearmanr(scores, reached)
    cases = sorted({row.case for row in rows})
    per_case = [[np.mean(v[[row.case == case for row in rows]]) for case in cases] for v in (scores, reached)]
    print(f"Score against Dice, `{name}`: Spearman {structures.statistic:.2f} over {len(rows)} structures", end=", ")
    print(f"{spearmanr(*per_case).statistic:.2f} over {len(cases)} cases\n")
    if plot is not None:
        _scatter(plot, rows)


def _scatter(path: Path, rows: Sequence[Row]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
    for value, organ in ORGANS.items():
        mine = [row.figures for row in rows if row.value == value]
        axes.scatter([f["score"] for f in mine], [f["Dice"] for f in mine], s=18, label=organ)
    axes.set(xlabel="score (without a reference)", ylabel="Dice", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
