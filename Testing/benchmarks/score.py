"""How well the score predicts the Dice, and the numbers of ``OneShotSegLib.scoring.predicted_dice``.

    python Testing/benchmarks/effort.py --cohort COHORT --split train --json train.json ...
    python Testing/benchmarks/effort.py --cohort COHORT --split validation --json validation.json ...
    python Testing/benchmarks/score.py --fit train.json [...] --show validation.json [...]

With ``--fit`` of both regions the numbers serve both.

Fits the prediction to the rows of ``--fit`` and prints its numbers; its errors are those in cases that were left out of
the fit. For the rows of ``--show`` it prints, with the numbers of the library, the rank correlation over structures and
cases, the coverage of the 90 % interval, and how many structures of a Dice under 0.5 are among the first fifth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import spearmanr

from OneShotSegLib.scoring.predicted_dice import FEATURES, LEVELS, features_of, predict_dice
from OneShotSegLib.study.quality import StructureQuality

FOLDS = 5
WIDTH = 0.15
SHRINKAGE = 0.03
Rows = list[dict[str, Any]]


def main() -> None:
    """Print the numbers and the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", type=Path, nargs="+", default=[])
    parser.add_argument("--show", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    if options.fit:
        _fit([row for path in options.fit for row in _rows(path)])
    for path in options.show:
        rows = _rows(path)
        for count in sorted({row["count"] for row in rows}):
            _show(f"{path.stem}, {count} corrected", [row for row in rows if row["count"] == count])


def _rows(path: Path) -> Rows:
    """The rows of structures that are held to be present: what is absent has no Dice to predict."""
    return [row for row in json.loads(path.read_text()) if row["state"] != "absent"]


def _quality(row: dict[str, Any]) -> StructureQuality:
    names = ("consensus", "core_dice", "agreement", "certainty", "local_correlation")
    return StructureQuality(
        value=row["value"], name="", state=row["state"], score=0.0, **{name: row[name] for name in names}
    )


def _table(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([features_of(_quality(row)) for row in rows]), np.array([row["dice"] for row in rows])


def _coefficients(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of a logistic curve, drawn towards equal weights of the measures over their standard deviations."""
    mean, spread = x[:, 1:].mean(axis=0), x[:, 1:].std(axis=0)
    standardised = (x[:, 1:] - mean) / spread

    def errors(found: NDArray[np.float64]) -> NDArray[np.float64]:
        shift, common, weights = found[0], found[1], found[2:]
        return np.concatenate(
            [expit(shift + standardised @ weights) - y, np.sqrt(SHRINKAGE * len(y)) * (weights - common)]
        )

    found = least_squares(errors, np.concatenate([[0.0], np.full(len(mean) + 1, 0.3)])).x
    weights = found[2:] / spread
    return np.concatenate([[found[0] - float(weights @ mean)], weights])


def _fit(rows: Rows) -> None:
    x, y = _table(rows)
    print("COEFFICIENTS", dict(zip(FEATURES, np.round(_coefficients(x, y), 2).tolist(), strict=True)))
    cases = sorted({row["case"] for row in rows})
    predicted = np.zeros(len(y))
    for fold in range(FOLDS):
        out = np.array([row["case"] in cases[fold::FOLDS] for row in rows])
        predicted[out] = np.clip(expit(x[out] @ _coefficients(x[~out], y[~out])), 0.01, 0.99)
    error = y - predicted
    for level in LEVELS:
        near = np.abs(predicted - level) < WIDTH
        low, high = np.quantile(error[near], (0.05, 0.95)) if near.sum() > FOLDS else (np.nan, np.nan)
        print(f"at {level}: {int(near.sum())} structures, errors {low:.3f} to {high:.3f}")
    print(f"left out of the fit: Spearman {spearmanr(predicted, y).statistic:.2f} over {len(y)} structures\n")


def _show(title: str, rows: Rows) -> None:
    dices = np.array([row["dice"] for row in rows])
    predicted = [predict_dice(_quality(row)) for row in rows]
    scores = np.array([one.expected for one in predicted])
    cases = sorted({row["case"] for row in rows})
    per_case = [[float(np.mean(v[[row["case"] == case for row in rows]])) for case in cases] for v in (scores, dices)]
    inside = np.mean([one.low <= dice <= one.high for one, dice in zip(predicted, dices, strict=True)])
    bad = dices < 0.5
    first = np.argsort(scores)[: -(-len(scores) // 5)]
    print(
        f"{title}: Spearman {spearmanr(scores, dices).statistic:.2f} over {len(rows)} structures, "
        f"{spearmanr(*per_case).statistic:.2f} over {len(cases)} cases; {inside:.0%} within the interval; "
        f"{int(bad[first].sum())} of {int(bad.sum())} under 0.5 among the first fifth"
    )


if __name__ == "__main__":
    main()
