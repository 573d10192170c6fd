"""Whether a query shows the support's part of the body: the table of ``docs/decisions/016-region.md``.

    python Testing/benchmarks/region.py --cohort COHORT --abdomen ABDOMEN --support pt_4 pt_20 --most 8

For each support: queries of the same region (validation cases and ten train cases), of the abdomen, and thirds of
validation cases; how many fail for their region, and the range of score and correlation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from cohort import cases_of, read_ct, read_scribbles

from OneShotSegLib.imaging.boxes import cropped
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import segment_query
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import Support, prepare_support
from OneShotSegLib.networks.weights import Weights, load_weights, resolve_weights
from OneShotSegLib.scoring.propagation import score_candidate
from OneShotSegLib.scoring.region import correlation_with_support, shows_region_of_support


def main() -> None:
    """Print the table."""
    options = _options()
    weights = load_weights(resolve_weights(options.weights))
    print("| support | queries | fail | score | correlation |\n| --- | --- | ---: | --- | --- |")
    for name in options.support:
        support = prepare_support(read_ct(options.cohort, name), read_scribbles(options.cohort, name), weights, DEFAULT)
        for group, volumes in _groups(options, name):
            print(f"| {name} | {group} | {_row(support, volumes, weights)} |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--abdomen", type=Path, required=True)
    parser.add_argument("--support", nargs="+", default=["pt_4"])
    parser.add_argument("--weights", default="headneck")
    parser.add_argument("--most", type=int, default=12, help="queries of a group, at most")
    return parser.parse_args()


def _groups(options: argparse.Namespace, support: str) -> Iterator[tuple[str, Iterator[Volume]]]:
    held_out = cases_of(options.cohort, "validation", [support])[: options.most]
    train = cases_of(options.cohort, "train", [support])[: min(10, options.most)]
    abdomen = [*cases_of(options.abdomen, "validation"), *cases_of(options.abdomen, "train")][: options.most]
    yield "head and neck, validation", (read_ct(options.cohort, case) for case in held_out)
    yield "head and neck, train", (read_ct(options.cohort, case) for case in train)
    yield "abdomen", (read_ct(options.abdomen, case) for case in abdomen)
    yield "lower thirds, validation", (_third(read_ct(options.cohort, case), upper=False) for case in held_out[:5])
    yield "upper thirds, validation", (_third(read_ct(options.cohort, case), upper=True) for case in held_out[:5])


def _third(ct: Volume, *, upper: bool) -> Volume:
    depth, height, width = ct.shape
    part = slice(depth - depth // 3, depth) if upper else slice(0, depth // 3)
    return cropped(ct, (part, slice(0, height), slice(0, width)))


def _row(support: Support, volumes: Iterator[Volume], weights: Weights) -> str:
    failed, scores, correlations = 0, [], []
    for ct in volumes:
        candidate = segment_query(support, ct, weights, DEFAULT)
        quality = score_candidate("query", candidate, weights).quality
        failed += not shows_region_of_support(candidate, quality)
        scores.append(quality.score)
        correlations.append(correlation_with_support(candidate))
    ranges = (f"{min(values):.2f} to {max(values):.2f}" for values in (scores, correlations))
    return " | ".join((f"{failed} of {len(scores)}", *ranges))


if __name__ == "__main__":
    main()
