"""How the cost of a case grows with scribble voxels, structures, voxels and cases: a table and a plot.

    python Testing/benchmarks/scaling.py [--plot docs/images/scaling.png] [--quick]
    python Testing/benchmarks/scaling.py --large

Phantom patients, settings ``default``, CPU seconds (all threads together), the median of some runs after one that does
not count. The number of scribble voxels is changed by thinning and thickening the strokes, that of voxels by the
spacing at which the same patient is scanned. Next to our cost the table has that of the published way,
computed from one full pass of a network of its layout, run here, times its number of passes; its geodesics come on top.
At last, time and memory at a large clinical CT's size against scribble voxels; with ``--large`` nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from large_case import COUNTS, SHAPE, costs
from machine import describe, time_of
from numpy.typing import NDArray
from published import COARSE, PATCH, full_pass, passes_of_a_query
from scipy.ndimage import grey_dilation

from OneShotSegLib import phantom
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import segment_query
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import prepare_support
from OneShotSegLib.networks.weights import Weights, load_weights, resolve_weights

VALUE = phantom.BACKGROUND.value
QUICK_COUNTS = (1_000, 100_000)


@dataclass(kw_only=True)
class Series:
    """Cost against one number."""

    name: str
    at: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    published: list[float] = field(default_factory=list)

    @property
    def exponent(self) -> float:
        """The power with which our cost grows, from end to end."""
        return float(np.log(self.ours[-1] / self.ours[0]) / np.log(self.at[-1] / self.at[0]))


class ScalingBenchmark:
    """Measures cases of the phantom cohort."""

    def __init__(self, weights: Weights, repeats: int) -> None:
        self.weights, self.repeats = weights, repeats
        patient = phantom.make_patient(0)
        self.support, self.strokes = patient.ct, phantom.scribbles(patient).array
        self.query = phantom.make_patient(1).ct
        network = COARSE.build().eval()
        patch = torch.rand(1, 1, *PATCH)
        self.full_pass = time_of(lambda: full_pass(network, patch), 2).cpu

    def case(self, strokes: NDArray, query: Volume) -> tuple[float, float]:
        """CPU seconds of a case, ours and the published way's passes."""
        values = set(np.unique(strokes).tolist())
        segments = tuple(s for s in (*phantom.STRUCTURES, phantom.BACKGROUND) if s.value in values)
        scribbles = LabelMap(self.support.with_array(strokes), segments)
        support = prepare_support(self.support, scribbles, self.weights, DEFAULT)
        took = time_of(lambda: segment_query(support, query, self.weights, DEFAULT), self.repeats)
        background = int((strokes == VALUE).sum())
        return took.cpu, self.full_pass * passes_of_a_query(int((strokes > 0).sum()) - background, background)

    def measure(self, name: str, cases: Iterable[tuple[float, NDArray, Volume]]) -> Series:
        """A series from the number, the strokes and the query of each of its points."""
        series = Series(name=name)
        for at, strokes, query in cases:
            ours, published = self.case(strokes, query)
            series.at.append(at)
            series.ours.append(ours)
            series.published.append(published)
            print(f"| {name} | {at:g} | {ours:.2f} | {published:.0f} |", flush=True)
        return series

    def over_scribbles(self) -> Iterable[tuple[float, NDArray, Volume]]:
        """Strokes thinned to an eighth and a half, as painted, and thickened."""
        rng = np.random.default_rng(0)
        painted = np.flatnonzero(self.strokes)
        for share in (0.25, 0.5):
            thinned = self.strokes.copy()
            thinned.reshape(-1)[painted[rng.random(painted.size) > share]] = 0
            yield float((thinned > 0).sum()), thinned, self.query
        yield float((self.strokes > 0).sum()), self.strokes, self.query
        for width in (3, 5):
            thick = np.where(self.strokes > 0, self.strokes, grey_dilation(self.strokes, (1, width, width)))
            yield float((thick > 0).sum()), thick, self.query

    def over_structures(self) -> Iterable[tuple[float, NDArray, Volume]]:
        """The first structures and the background."""
        present = [int(value) for value in np.unique(self.strokes) if value not in (0, VALUE)]
        for count in (1, 2, 4, len(present)):
            wanted = [*present[:count], VALUE]
            yield float(count), np.where(np.isin(self.strokes, wanted), self.strokes, 0), self.query

    def over_voxels(self) -> Iterable[tuple[float, NDArray, Volume]]:
        """The same patient scanned at several spacings."""
        for coarseness in (2.0, 1.4, 1.0, 0.7, 0.5):
            query = phantom.make_patient(1, coarseness=coarseness).ct
            yield float(query.array.size), self.strokes, query

    def over_cases(self, counts: tuple[int, ...]) -> Series:
        """A study: the support once, then the cases."""
        series, queries = Series(name="cases"), [phantom.make_patient(1 + n).ct for n in range(max(counts))]
        scribbles = LabelMap(self.support.with_array(self.strokes), (*phantom.STRUCTURES, phantom.BACKGROUND))
        present = set(np.unique(self.strokes).tolist())
        scribbles = LabelMap(scribbles.volume, tuple(s for s in scribbles.segments if s.value in present))
        background = int((self.strokes == VALUE).sum())
        passes = passes_of_a_query(int((self.strokes > 0).sum()) - background, background)

        def batch(count: int) -> Callable[[], None]:
            def run() -> None:
                support = prepare_support(self.support, scribbles, self.weights, DEFAULT)
                for query in queries[:count]:
                    segment_query(support, query, self.weights, DEFAULT)

            return run

        for count in counts:
            series.at.append(float(count))
            series.ours.append(time_of(batch(count), 1, warm_up=False).cpu)
            series.published.append(self.full_pass * passes * count)
            print(f"| cases | {count} | {series.ours[-1]:.2f} | {series.published[-1]:.0f} |", flush=True)
        return series


def main() -> None:
    """Measure, print, draw."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.large:
        print(describe())
        print_large_cases(COUNTS)
        return
    bench = ScalingBenchmark(load_weights(resolve_weights("phantom")), repeats=1 if options.quick else 3)
    print(f"{describe()}; a full pass of the published network takes {bench.full_pass:.2f} CPU s.\n")
    print("| number of | | ours, CPU s | published way's passes, CPU s |\n| --- | ---: | ---: | ---: |")
    all_series = [
        bench.measure("scribble voxels", bench.over_scribbles()),
        bench.measure("structures", bench.over_structures()),
        bench.measure("voxels", bench.over_voxels()),
        bench.over_cases((1, 2, 4) if options.quick else (1, 2, 4, 8)),
    ]
    print("\n| our cost grows with the number of | to the power of |\n| --- | ---: |")
    for series in all_series:
        print(f"| {series.name} | {series.exponent:.2f} |")
    print_large_cases(QUICK_COUNTS if options.quick else COUNTS)
    if options.plot:
        draw(all_series, options.plot)


def print_large_cases(counts: tuple[int, ...]) -> None:
    """A table of time and memory at a clinical CT's size; a process for each row."""
    print(f"\n{' x '.join(map(str, SHAPE[::-1]))} voxels\n")
    print("| scribble voxels | support, CPU s | query, CPU s | greatest memory, MB |\n|" + " ---: |" * 4)
    for cost in costs(counts):
        row = (f"{cost.strokes}", f"{cost.support:.1f}", f"{cost.query:.1f}", f"{cost.megabytes:.0f}")
        print(f"| {' | '.join(row)} |", flush=True)


def draw(all_series: list[Series], path: Path) -> None:
    """A panel per series, both axes logarithmic."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, series in zip(figure.subplots(1, len(all_series), sharey=True), all_series, strict=True):
        axes.loglog(series.at, series.ours, marker="o", label="ours, a whole case")
        axes.loglog(series.at, series.published, marker=".", linestyle=":", label="published way, its passes alone")
        axes.set(xlabel=series.name)
        axes.grid(alpha=0.3)
    figure.axes[0].set(ylabel="CPU seconds")
    figure.axes[0].legend(frameon=False, fontsize=8, loc="center left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="where the plot goes, PNG")
    parser.add_argument("--quick", action="store_true", help="one run per point, four cases at most")
    parser.add_argument("--large", action="store_true", help="only the large CT, by scribble voxels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
