"""How good the pseudo masks are on real CT: the tables and the scatter plot of ``docs/accuracy.md``.

    python Testing/benchmarks/accuracy.py --cohort ../shared/cohort --support pt_4 --split validation

    python Testing/benchmarks/accuracy.py --cohort ../shared/cohort --support pt_4 pt_2 pt_20 --method default

    python Testing/benchmarks/accuracy.py --cohort ../shared/cohort-abdomen --support case_10 --weights WEIGHTS

With several supports, a table for each and one for their label fusion. For each method: distance of the propagated
scribbles to their structure after each stage, share of them inside it, Dice after expansion, Dice and HD95 of the
pseudo mask, seconds per case; and how well the label-free score predicts Dice.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from cohort import cases_of, read_ct, read_reference, read_scribbles, region_of
from figures import Row, arrival_figures, evaluated_values, mask_figures, print_table, write_rows
from scipy.stats import spearmanr

from OneShotSegLib.fusion.candidates import ScoredCandidate, fuse
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.method.pipeline import segment_query
from OneShotSegLib.method.settings import METHODS, Method
from OneShotSegLib.method.structures import common_structures
from OneShotSegLib.method.support import prepare_support
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.scoring.overlap import dice
from OneShotSegLib.scoring.propagation import score_candidate


def main() -> None:
    """Print the tables."""
    options = _options()
    names = cases_of(options.cohort, options.split, options.support)[: options.cases]
    ct = read_ct(options.cohort, options.support[0])
    weights = load_weights(choose_weights(options.weights, ct, torch.device("cpu")))
    print(f"{len(names)} {options.split} cases, weights {weights.name}, {torch.get_num_threads()} CPU threads\n")
    for name in options.method:
        candidates: dict[str, list[ScoredCandidate]] = {case: [] for case in names}
        for support in options.support:
            rows = list(_measure(METHODS[name], support, weights, options, candidates))
            _print_figures(f"{support}, {name}", rows, options)
        if len(options.support) > 1:
            _print_figures(f"fused, {name}", list(_measure_fused(candidates, options)), options)


def _print_figures(title: str, rows: Sequence[Row], options: argparse.Namespace) -> None:
    organs = region_of(options.cohort).organs
    print_table(title, rows, organs)
    file = title.replace(", ", "-")
    _print_score(title, rows, organs, options.plot and options.plot / f"score-{file}.png")
    if options.json:
        write_rows(options.json, file, rows)


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


def _measure(
    method: Method,
    name: str,
    weights: Weights,
    options: argparse.Namespace,
    candidates: dict[str, list[ScoredCandidate]],
) -> Iterable[Row]:
    """The figures of one support; its results are added to the candidates of each case."""
    ct = read_ct(options.cohort, name)
    support = prepare_support(ct, read_scribbles(options.cohort, name), weights, method)
    for case in candidates:
        query, reference = read_ct(options.cohort, case), read_reference(options.cohort, case)
        started = time.perf_counter()
        result = segment_query(support, query, weights, method)
        seconds = time.perf_counter() - started
        scored = ScoredCandidate(result, score_candidate(case, result, weights).quality)
        candidates[case].append(scored)
        grown = resample_labels(result.expansion.soft, query, result.smooth_mm).array
        mask = result.pseudo_mask().array
        for value in evaluated_values(reference, support.structures.values, region_of(options.cohort).organs):
            row = Row(case=case, value=value, figures=arrival_figures(support, result, reference, value))
            row.figures["Dice after expansion"] = dice(grown == value, reference.array == value)
            row.figures |= mask_figures(mask, reference, value)
            structure = scored.of(value)
            row.figures |= {"score": structure.score if structure else 0.0, "seconds per case": seconds}
            yield row


def _measure_fused(candidates: dict[str, list[ScoredCandidate]], options: argparse.Namespace) -> Iterable[Row]:
    """The figures of the label fusion of all supports' candidates."""
    for case, of_case in candidates.items():
        reference = read_reference(options.cohort, case)
        structures = common_structures([one.candidate.support.structures for one in of_case])
        fused = fuse(of_case, structures, of_case[0].candidate.smooth_mm)
        for value in evaluated_values(reference, structures.values, region_of(options.cohort).organs):
            figures = mask_figures(fused.mask.volume.array, reference, value)
            scores = {structure.value: structure.score for structure in fused.quality.structures}
            yield Row(case=case, value=value, figures={**figures, "score": scores[value]})


def _print_score(name: str, rows: Sequence[Row], organs: Mapping[int, str], plot: Path | None) -> None:
    scores = np.array([row.figures["score"] for row in rows])
    dices = np.array([row.figures["Dice"] for row in rows])
    structures = spearmanr(scores, dices)
    cases = sorted({row.case for row in rows})
    per_case = [[np.mean(v[[row.case == case for row in rows]]) for case in cases] for v in (scores, dices)]
    print(f"Score against Dice, `{name}`: Spearman {structures.statistic:.2f} over {len(rows)} structures", end=", ")
    print(f"{spearmanr(*per_case).statistic:.2f} over {len(cases)} cases\n")
    if plot is not None:
        _scatter(plot, rows, organs)


def _scatter(path: Path, rows: Sequence[Row], organs: Mapping[int, str]) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
    for value, organ in organs.items():
        mine = [row.figures for row in rows if row.value == value]
        axes.scatter([f["score"] for f in mine], [f["Dice"] for f in mine], s=18, label=organ)
    axes.set(xlabel="score (without a reference)", ylabel="Dice", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
