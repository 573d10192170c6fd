"""Whether a CT shows what a segmentation network learnt: the second table of ``docs/decisions/016-region.md``.

    python Testing/benchmarks/segment_region.py --model MODEL --own COHORT --other COHORT

How many cases of the network's own region and of another one fail, are said to be doubtful, or pass without a word.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from cohort import cases_of, read_ct

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import cropped
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.anatomy import placements
from OneShotSegLib.networks.inference import Segmenter, SegmentOptions, segment_ct
from OneShotSegLib.scoring.network import check_region


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "own", "other"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--most", type=int, default=8, help="cases of a group, at most")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model, torch.device("cpu"))
    print("| queries | fail | doubtful, said | pass | distance, mm |\n| --- | ---: | ---: | ---: | --- |")
    for group, volumes in _groups(options):
        print(f"| {group} | {_row(segmenter, volumes)} |", flush=True)


def _groups(options: argparse.Namespace) -> Iterator[tuple[str, Iterator[Volume]]]:
    for split in ("validation", "train"):
        for which, cohort in (("own region", options.own), ("other region", options.other)):
            names = cases_of(cohort, split)[: options.most]
            yield f"{which}, {split}", (read_ct(cohort, name) for name in names)
    names = cases_of(options.own, "validation")[: options.most // 2]
    for share in (2, 3):
        for upper in (False, True):
            group = f"own region, {'upper' if upper else 'lower'} {'half' if share == 2 else 'third'}"
            yield group, (_part(read_ct(options.own, name), share, upper) for name in names)


def _part(ct: Volume, share: int, upper: bool) -> Volume:
    depth, height, width = ct.shape
    part = slice(depth - depth // share, depth) if upper else slice(0, depth // share)
    return cropped(ct, (part, slice(0, height), slice(0, width)))


def _row(segmenter: Segmenter, volumes: Iterator[Volume]) -> str:
    found: Counter[str] = Counter()
    distances = []
    seen = segmenter.info.anatomy
    assert seen is not None
    for ct in volumes:
        result = segment_ct(segmenter, ct, SegmentOptions(overlap=0.0))
        case = placements(result.probabilities.argmax(axis=0), result.grid.spacing, len(segmenter.info.structures))
        distance = seen.distance_mm(case)
        distances += [] if distance is None else [distance]
        try:
            found["said" if check_region(result, segmenter.info) else "pass"] += 1
        except InputError:
            found["fail"] += 1
    spread = f"{min(distances):.0f} to {max(distances):.0f} (of {len(distances)})" if distances else "none"
    return " | ".join((*(str(found[key]) for key in ("fail", "said", "pass")), spread))


if __name__ == "__main__":
    main()
