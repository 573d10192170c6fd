"""How a study's own cost grows with its cases: opening, results, ledger, report, suggestions, a run with nothing to do.

    python Testing/benchmarks/study_scale.py [--counts 250 500 1000 2000]

Small made CTs, a mask and measures for each; nothing is segmented. The table has the CPU seconds of each operation and,
in the last row, what a further case costs between the two largest studies over what it costs between the two smallest:
1 where the cost grows evenly. For supports: a query is compared with so many corrected cases by their signatures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import time_of

from OneShotSegLib import Study
from OneShotSegLib.fusion.support_selection import Signature, most_similar
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.report.html import write_report
from OneShotSegLib.runner.standing import standings
from OneShotSegLib.scoring.suggestion import suggest
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import study_results
from OneShotSegLib.study.review import ReviewLedger, ledger_on_disk

sys.path.insert(0, str(Path(__file__).parents[2]))
from Testing.helpers.small_study import middling_quality, write_cts, write_small_study


def main() -> None:
    """Print the table."""
    options = _options()
    rows = []
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_costs(Path(folder), count, options.without_report))
        if len(rows) == 1:
            print(f"| cases | {' | '.join(rows[0])} |\n|{' ---: |' * (len(rows[0]) + 1)}")
        print(f"| {count} | {' | '.join(f'{value:.2f}' for value in rows[-1].values())} |", flush=True)
    counts = options.counts
    if len(counts) > 2:
        late, early = ([(b[k] - a[k]) / (n - m) for k in b] for a, b, m, n in (
            (rows[-2], rows[-1], counts[-2], counts[-1]), (rows[0], rows[1], counts[0], counts[1])
        ))  # fmt: skip
        print(f"| a further case | {' | '.join(f'{x / max(y, 1e-9):.1f}' for x, y in zip(late, early, strict=True))} |")


def _costs(folder: Path, count: int, without_report: bool) -> dict[str, float]:
    """CPU seconds of each operation; megabytes of the report's largest page."""
    names = [f"pt_{number:05d}" for number in range(count)]
    random = np.random.default_rng(0)
    qualities = [middling_quality(name, float(random.random()), volume_ml=float(random.random())) for name in names]
    states = ["pending" if number % 4 else "accepted" for number in range(count)]
    paths = write_small_study(folder / "study", write_cts(folder, names), states, qualities)
    operations = _operations(paths, names)
    if without_report:
        del operations["report"]
    # What is quick is done once before, so that imports do not count.
    found = {name: time_of(work, 1, warm_up=name != "report").cpu for name, work in operations.items()}
    if without_report:
        return found
    pages = [page.stat().st_size for page in paths.report_pages()]
    return found | {"largest page, MB": max(pages) / 1e6, "pages": len(pages)}


def _operations(paths: StudyPaths, names: list[str]) -> dict[str, Callable[[], object]]:
    ledger = ReviewLedger.load(paths.review)
    random = np.random.default_rng(1)
    image = Volume.create(random.random((12, 12, 12)).astype(np.float32), (3.0, 3.0, 3.0))
    labels = image.with_array(np.ones(image.shape, np.uint8))
    signatures = [Signature.of(labels, image.with_array(random.random(image.shape))) for _ in names]

    def decide() -> None:
        ledger.decide(names[-1], "accepted")
        ledger.save()

    def nothing_to_do() -> None:
        standings(paths, StudyDescription.read(paths), set())
        for name in names:
            ledger_on_disk(paths.review).state_of(name)

    return {
        "open": lambda: Study(paths.root),
        "results": lambda: list(study_results(paths)),
        "one decision": decide,
        "nothing to do": nothing_to_do,
        "suggest 5": lambda: suggest(paths.root),
        "select supports": lambda: most_similar([signatures[0].similarity_to(one) for one in signatures], 8),
        "report": lambda: write_report(paths.root),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--without-report", action="store_true", help="the report takes most of the time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
