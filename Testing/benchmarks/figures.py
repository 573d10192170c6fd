"""What the accuracy benchmarks measure of a case, and how they print it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from OneShotSegLib.evaluation.metrics import compare
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.pipeline import Candidate
from OneShotSegLib.method.support import Support

ONE_DIGIT = ("mm", "seconds", "CPU seconds", "HD95")


@dataclass
class Row:
    """The figures of one structure in one case, by column name."""

    case: str
    value: int
    figures: dict[str, float] = field(default_factory=dict)


def evaluated_values(reference: Volume, values: Iterable[int], counted: Collection[int]) -> list[int]:
    """The label values of those structures that count and were contoured in a case, ascending."""
    return [value for value in sorted(set(values) & set(counted)) if (reference.array == value).any()]


def mask_figures(mask: np.ndarray, reference: Volume, value: int) -> dict[str, float]:
    """Dice and, where both have the structure, HD95."""
    found = compare("", value, "", reference.array == value, mask == value, reference.spacing)
    figures = {"Dice": found.dice or 0.0}
    return figures if found.hd95_mm is None else {**figures, "HD95 mm": found.hd95_mm}


def arrival_figures(support: Support, result: Candidate, reference: Volume, value: int) -> dict[str, float]:
    """How far from their structure the scribbles arrived after each stage, and how many were kept."""
    distance = distance_transform_edt(reference.array != value, sampling=reference.spacing)
    mine = support.scribbles.points.labels == value
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


def structure_means(rows: Sequence[Row], column: str) -> dict[int, float]:
    """A column's mean over the cases, for each structure that has it."""
    of_value: dict[int, list[float]] = {value: [] for value in sorted({row.value for row in rows})}
    for row in rows:
        if column in row.figures:
            of_value[row.value].append(row.figures[column])
    return {value: float(np.mean(found)) for value, found in of_value.items() if found}


def print_table(name: str, rows: Sequence[Row], organs: Mapping[int, str]) -> None:
    """A row for each column of the figures, a column for each structure; the mean is that of the structures."""
    columns = list(dict.fromkeys(column for row in rows for column in row.figures))
    values = [value for value in organs if any(row.value == value for row in rows)]
    print(f"`{name}`\n\n| | {' | '.join(organs[value] for value in values)} | mean |")
    print("| --- |" + " ---: |" * (len(values) + 1))
    for column in columns:
        of_value = structure_means(rows, column)
        means = [of_value.get(value, float("nan")) for value in values]
        digits = 1 if column.startswith(ONE_DIGIT) else 2
        print(f"| {column} | " + " | ".join(f"{mean:.{digits}f}" for mean in (*means, np.nanmean(means))) + " |")
    print(flush=True)


def write_rows(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """All figures as JSON, ``<name>.json`` in a folder that is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps([vars(row) for row in rows], indent=1))
