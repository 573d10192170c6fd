"""What the advice on supports is worth: its ranks against how well each CT's masks fit the others once placed there.

    python Testing/benchmarks/support_advice.py --cohort ../shared/cohort-abdomen --queries case_11 case_07 --pairs FILE

A cheap stand-in for propagation, without a network: the reference masks of each support are placed in some queries by
the registration of the images and the alignment, on voxels of 4 mm, and compared with the references there. Pairs that
are in the file already are not computed again. The advice itself sees the CTs of the whole cohort, and no mask.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from cohort import cases_of, read_ct, read_reference, region_of
from scipy.stats import spearmanr

from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.alignment import AlignmentSettings, align, prepare_alignment
from OneShotSegLib.method.placement import Placement
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.method.registration import RegistrationSettings, register
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.runner.support_advice import SuggestedSupport, suggest_support

VOXEL_MM = 4.0
MARGIN_MM = 40.0
POINTS = 5000
REGISTRATION = RegistrationSettings(
    found=1, iterations=25, sizes_along=(0.8, 1.0, 1.25), sizes_across=(0.85, 1.0, 1.18)
)
ALIGNMENT = AlignmentSettings(radii_mm=(32.0, 16.0), between_voxels=False)


@dataclass(frozen=True, eq=False)
class Case:
    """A case on working voxels, with some positions of its own grid and their labels."""

    ct: PreparedCT
    labels: Volume
    inside: Vector
    positions: Vector
    values: np.ndarray


def main() -> None:
    """Print the ranks beside the figures."""
    options = _options()
    torch.set_num_threads(1)
    cohort = options.cohort
    supports = options.supports or cases_of(cohort, "train")
    figures = _pairs(cohort, supports, options.queries, options.pairs)
    found = suggest_support(sorted(cohort.glob("cases/*/ct.nii.gz")))
    advice = {one.ct.parent.name: one for one in found}
    _print(_effects(figures), advice)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--supports", nargs="+", help="cases of the train split; all of them if left out")
    parser.add_argument("--queries", nargs="+", required=True)
    parser.add_argument("--pairs", type=Path, required=True, help="file that keeps the figures, a JSON line per pair")
    return parser.parse_args()


def _pairs(cohort: Path, supports: list[str], queries: list[str], file: Path) -> dict[tuple[str, str], float]:
    """Mean Dice by support and query."""
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    figures = {(row["s"], row["q"]): mean(row["aligned"].values()) for row in rows}

    @cache
    def case(name: str) -> Case:
        return _read(cohort, name)

    for support in supports:
        for query in queries:
            if support == query or (support, query) in figures:
                continue
            dice = _dice(case(support), case(query))
            figures[support, query] = mean(dice.values())
            with file.open("a") as out:
                out.write(json.dumps({"s": support, "q": query, "aligned": dice}) + "\n")
    return {pair: dice for pair, dice in figures.items() if pair[0] in supports and pair[1] in queries}


def _read(cohort: Path, name: str) -> Case:
    organs = list(region_of(cohort).organs)
    ct, labels = as_hounsfield(read_ct(cohort, name), name), read_reference(cohort, name)
    coarse = prepare_ct(ct, (VOXEL_MM,) * 3, HUWindow())
    source = PatchSource.from_volume(coarse, "cpu")
    grid = ct.with_array(np.broadcast_to(np.int16(0), ct.shape))
    labels = labels.with_array(np.where(np.isin(labels.array, organs), labels.array, 0))
    steps = np.maximum(np.rint(VOXEL_MM / labels.spacing).astype(int), 1)
    axes = [np.arange(0, extent, step) for extent, step in zip(labels.shape, steps, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = labels.to_world(np.argwhere(labels.array > 0))
    prepared = PreparedCT(ct=grid, coarse=source, fine=source, fine_volume=coarse)
    some = inside[:: max(1, len(inside) // POINTS)]
    return Case(prepared, labels, some, labels.to_world(index), labels.array[tuple(index.T)])


def _dice(support: Case, query: Case) -> dict[int, float]:
    """Dice of the structures that both have, once the support's masks are placed in the query."""
    affine = register(support.ct, support.inside, query.ct, [], HUWindow(), REGISTRATION)
    displacement = align(prepare_alignment(support.ct, support.inside, ALIGNMENT), query.ct, affine, ALIGNMENT)
    low, high = (edge(query.positions[query.values > 0], axis=0) for edge in (np.min, np.max))
    near = ((query.positions >= low - MARGIN_MM) & (query.positions <= high + MARGIN_MM)).all(axis=1)
    places = Placement(affine=affine, displacement=displacement).to_support(query.positions[near])
    index, there = np.rint(support.labels.to_index(places)).astype(int), support.labels.contains(places)
    placed, values = np.zeros(len(places), dtype=int), query.values[near]
    placed[there] = support.labels.array[tuple(index[there].T)]
    both = np.intersect1d(np.unique(support.labels.array), values[values > 0])
    return {
        int(value): 2
        * float(((placed == value) & (values == value)).sum())
        / float((placed == value).sum() + (values == value).sum())
        for value in both
    }


def _effects(figures: dict[tuple[str, str], float]) -> dict[str, float]:
    """How good each support is over the queries, as if it had been tried on all of them (it is none for itself)."""
    of_queries: dict[str, float] = defaultdict(float)
    of_supports: dict[str, float] = {}
    for _ in range(50):
        of_supports = {
            support: mean(dice - of_queries[q] for (s, q), dice in figures.items() if s == support)
            for support in {support for support, _ in figures}
        }
        of_queries.update(
            (query, mean(dice - of_supports[s] for (s, q), dice in figures.items() if q == query))
            for query in {query for _, query in figures}
        )
    offset = mean(of_queries[query] for query in {query for _, query in figures})
    return {support: effect + offset for support, effect in of_supports.items()}


def _print(effects: dict[str, float], advice: dict[str, SuggestedSupport]) -> None:
    supports = sorted(effects, key=lambda support: -effects[support])
    for support in supports:
        one = advice[support]
        print(f"| {support} | {effects[support]:.3f} | {one.rank} | {one.coverage:.2f} | {one.outlier or one.why} |")
    ranks = [advice[support].rank for support in supports]
    correlation = spearmanr([-rank for rank in ranks], [effects[support] for support in supports])[0]
    advised = supports[int(np.argmin(ranks))]
    print(f"rank correlation {correlation:.2f} over {len(supports)} supports of {len(advice)} CTs")
    print(
        f"best rank among them: {advised} {effects[advised]:.3f}; mean {mean(effects.values()):.3f}; "
        f"best {effects[supports[0]]:.3f}; worst {effects[supports[-1]]:.3f}"
    )


if __name__ == "__main__":
    main()
