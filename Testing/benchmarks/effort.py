"""What each corrected case is worth for the others: the curves of ``docs/accuracy.md``.

    python Testing/benchmarks/effort.py --cohort ../shared/cohort --support pt_4 --counts 0 1 3 5 10

A simulated reviewer corrects k cases: their references become whole masks. The other cases are segmented by the one
scribbled support and these masks. Cases to correct come from the train split, those that are evaluated from the
validation split, so that each k is measured on the same cases; with ``--within`` they come from the evaluated batch
itself, as in use, and the figures are those of the rest.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cohort import cases_of, drawn_train_cases, read_ct, read_reference, read_scribbles, region_of
from monai.metrics import compute_surface_dice

from OneShotSegLib.evaluation.metrics import compare, crop_to_both
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.inference.mask_supports import LoadedMask
from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import MaskedCT, ScribbledCT
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.scoring.suggestion import choose
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.segmentation import Segmentation

TOLERANCE_MM = 3.0
Figures = dict[str, Any]


def main() -> None:
    """Print the table."""
    options = _options()
    torch.set_num_threads(options.threads)
    cohort, region = options.cohort, region_of(options.cohort)
    evaluated = cases_of(cohort, options.split, [options.support])[: options.cases]
    names = dict(region.organs)
    weights = choose_weights(options.weights, read_ct(cohort, options.support), torch.device("cpu"))
    method = replace(DEFAULT, check_region=False)
    scribbles = read_scribbles(cohort, options.support)
    named = tuple(replace(segment, name=names.get(segment.value, segment.name)) for segment in scribbles.segments)
    support = ScribbledCT(read_ct(cohort, options.support), replace(scribbles, segments=named))
    cache = PlacementCache(options.cache) if options.cache else None
    corrected, qualities = [], dict[str, CaseQuality]()
    rows: list[Figures] = []
    for count in sorted(options.counts):
        corrected = _corrected(count, corrected, qualities, evaluated, options)
        own = [options.support] if options.own else []
        sources = [LoadedMask(_masked(cohort, case, names), case) for case in (*own, *corrected)]
        engine = Engine([support], weights, method, masks=sources, cache=cache, network=options.network)
        for case in evaluated:
            started = time.process_time()
            result = engine.segment(case, read_ct(cohort, case))
            seconds = time.process_time() - started
            qualities.setdefault(case, result.quality)
            if not (options.within and case in corrected):
                rows += _figures(count, case, result, cohort, names, seconds)
        _print(count, corrected, rows, names)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--weights", default="headneck")
    parser.add_argument("--split", default="validation", choices=("train", "validation"))
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 1, 3, 5, 10])
    parser.add_argument("--within", action="store_true", help="correct cases of the evaluated batch")
    parser.add_argument("--choice", default="random", choices=("random", "suggest"), help="which ones (--within)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice")
    parser.add_argument("--cache", type=Path, help="folder that keeps placements between runs")
    parser.add_argument("--own", action="store_true", help="the support's own mask was corrected too")
    parser.add_argument("--network", type=Path, help="a trained network, as one more candidate")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def _corrected(
    count: int,
    before: Sequence[str],
    qualities: dict[str, CaseQuality],
    evaluated: Sequence[str],
    options: argparse.Namespace,
) -> list[str]:
    """The cases that are corrected by now; those before stay."""
    if options.within and options.choice == "suggest":
        listed = [qualities[case] for case in evaluated if case in qualities]
        known = [index for index, quality in enumerate(listed) if quality.case in before]
        waiting = [index for index in range(len(listed)) if index not in known]
        more = [one.case for one in choose(listed, waiting, known, count - len(before))]
        return [*before, *more]
    if options.within:
        order = np.random.default_rng(options.seed).permutation(len(evaluated))
        return [evaluated[index] for index in order[:count]]
    return drawn_train_cases(options.cohort, options.seed)[:count]


def _masked(cohort: Path, case: str, names: dict[int, str]) -> MaskedCT:
    """A case as a reviewer corrected it: its reference is its mask."""
    reference = read_reference(cohort, case)
    mask = np.where(np.isin(reference.array, list(names)), reference.array, 0).astype(np.uint8)
    there = [value for value in names if (mask == value).any()]
    segments = tuple(Segment(value=value, name=names[value], color=Segment.numbered(value).color) for value in there)
    return MaskedCT(name=case, ct=read_ct(cohort, case), mask=LabelMap(reference.with_array(mask), segments))


def _figures(
    count: int, case: str, result: Segmentation, cohort: Path, names: dict[int, str], seconds: float
) -> list[Figures]:
    """The figures of each contoured structure of a case."""
    reference = read_reference(cohort, case)
    scored = {structure.value: structure for structure in result.quality.structures}
    rows = []
    for value, name in names.items():
        if (reference.array == value).any():
            mask = reference.array == value
            found = compare(case, value, name, mask, result.array == value, reference.spacing)
            rows.append(
                {
                    "count": count,
                    "case": case,
                    "value": value,
                    "dice": found.dice or 0.0,
                    "hd95": found.hd95_mm,
                    "surface_dice": _surface_dice(mask, result.array == value, reference.spacing),
                    "seconds": seconds,
                    **{key: getattr(scored[value], key) for key in ("score", "state", "consensus", "core_dice")},
                    **{key: getattr(scored[value], key) for key in ("agreement", "cycle_mm", "volume_ratio")},
                    **{key: getattr(scored[value], key) for key in ("certainty", "similarity", "in_view")},
                    "local_correlation": scored[value].local_correlation,
                }
            )
    return rows


def _surface_dice(reference: np.ndarray, found: np.ndarray, spacing: np.ndarray) -> float:
    """Surface Dice at 3 mm (MONAI)."""
    masks = (torch.as_tensor(np.stack([~mask, mask])[None]) for mask in crop_to_both(found, reference))
    score = compute_surface_dice(*masks, [TOLERANCE_MM], spacing=tuple(map(float, spacing)))
    return float(np.nan_to_num(score.item()))


def _print(count: int, corrected: Sequence[str], rows: Sequence[Figures], names: dict[int, str]) -> None:
    mine = [row for row in rows if row["count"] == count]
    of_value = {value: [row for row in mine if row["value"] == value] for value in names}
    dices = [float(np.mean([row["dice"] for row in of])) for of in of_value.values() if of]
    hd95 = [float(np.mean([r["hd95"] for r in of if r["hd95"] is not None])) for of in of_value.values() if of]
    surface = [float(np.mean([row["surface_dice"] for row in of])) for of in of_value.values() if of]
    seconds = np.mean([row["seconds"] for row in mine])
    print(
        f"| {count} | {np.mean(dices):.3f} | {np.mean(hd95):.1f} | {np.mean(surface):.3f} | {seconds:.1f} | "
        + " | ".join(f"{dice:.2f}" for dice in dices)
        + f" | {' '.join(corrected)} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
