"""Geodesic distance: ours against GeodisTK and FastGeodis, time and error of one run, as a Markdown table.

    python Testing/benchmarks/geodesic.py --geodistk-python GEO/bin/python --fastgeodis-python GEO/bin/python

The other libraries run in interpreters of their own, for they need a compiler and other versions of NumPy and PyTorch;
without these options (or GEODISTK_PYTHON, FASTGEODIS_PYTHON) their rows read "not installed". Every row is a process of
its own on the same volume: a warm-up on a corner of it, then the best of `--repeats` runs. CPU seconds add up over the
threads; on a busy machine they are the fairer figure. The reference is a plain heap Dijkstra in double precision on the
same cost; over `--reference-up-to` it is our own result.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from OneShotSegLib.geodesic import FastGeodisCost, GeodisTKCost, IntensityCost, StepCost, geodesic_distances
from OneShotSegLib.geodesic.kernels import neighbour_steps

ROOT = Path(__file__).resolve().parents[2]
SPACING = (3.0, 1.0, 1.0)
CLASSES = 6
CONVERGED = 1e-4
CONVERGED_ROW = "GeodisTK, converged"
COSTS: dict[str, StepCost] = {"GeodisTK": GeodisTKCost(), "FastGeodis": FastGeodisCost(), "ours": IntensityCost()}

# Runs in the other interpreter; it has NumPy and the library, nothing of ours.
WORKER = r"""
import json, re, sys, time
import numpy as np
task = json.loads(sys.argv[1])
image, seeds = np.load(task["image"]), np.load(task["seeds"])
spacing = np.array(task["spacing"], np.float32)
mask = (seeds > 0).astype(np.uint8)
if task["library"] == "geodistk":
    import GeodisTK
    def run(image, mask, seeds):
        return GeodisTK.geodesic3d_raster_scan(image, mask, spacing, 1.0, task["iterations"])
elif task["library"] == "fastgeodis":
    import torch, FastGeodis
    torch.set_num_threads(task["threads"])
    def run(image, mask, seeds):
        soft = 1 - torch.from_numpy(mask)[None, None].float()
        pixels = torch.from_numpy(image)[None, None]
        distance = FastGeodis.generalised_geodesic3d(pixels, soft, spacing.tolist(), 1e10, 1.0, task["iterations"])
        return distance[0, 0].numpy()
else:
    from OneShotSegLib import geodesic
    rules = {"GeodisTK": geodesic.GeodisTKCost, "FastGeodis": geodesic.FastGeodisCost, "ours": geodesic.IntensityCost}
    def run(image, mask, seeds):
        return geodesic.geodesic_distances(image, seeds, spacing, rules[task["cost"]]()).distance
corner = (slice(0, 24),) * 3
run(*(np.ascontiguousarray(a[corner]) for a in (image, mask, seeds)))
def kilobytes(name):
    return int(re.search(name + r":\s+(\d+)", open("/proc/self/status").read())[1])
before = 0
if sys.platform == "linux":
    with open("/proc/self/clear_refs", "w") as switch:
        switch.write("5")  # sets the peak back to what is in use now
    before = kilobytes("VmRSS")
times = []
for _ in range(task["repeats"]):
    start, busy = time.perf_counter(), time.process_time()
    distance = run(image, mask, seeds)
    times.append((time.perf_counter() - start, time.process_time() - busy))
seconds, cpu = map(min, zip(*times))
memory = (kilobytes("VmHWM") - before) * 1024 if before else float("nan")
np.save(task["distance"], distance)
print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": memory}))
"""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measurement: what ran, on which cost, and how to start it."""

    name: str
    library: str
    cost: str
    threads: int = 1
    iterations: int = 0


ROWS = [
    Measurement(name="ours, exact, GeodisTK's cost", library="ours", cost="GeodisTK"),
    Measurement(name="GeodisTK, 2 iterations", library="geodistk", cost="GeodisTK", iterations=2),
    Measurement(name=CONVERGED_ROW, library="geodistk", cost="GeodisTK"),
    Measurement(name="ours, exact, FastGeodis's cost", library="ours", cost="FastGeodis"),
    Measurement(name="FastGeodis, 4 iterations, 1 thread", library="fastgeodis", cost="FastGeodis", iterations=4),
    Measurement(
        name="FastGeodis, 4 iterations, 2 threads", library="fastgeodis", cost="FastGeodis", threads=2, iterations=4
    ),
    Measurement(name="ours, exact, our cost", library="ours", cost="ours"),
]


def make_volume(size: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Noisy blobs of four grey levels in 0-1, and clusters of seeds of six classes; both (size, size, size)."""
    rng = np.random.default_rng(seed)
    shape = (size, size, size)
    blobs = gaussian_filter(rng.standard_normal(shape).astype(np.float32), size / 16)
    levels = np.digitize(blobs / blobs.std(), [-1, 0, 1])
    image = gaussian_filter(0.4 + 0.08 * levels.astype(np.float32), 0.7) + 0.03 * rng.standard_normal(shape)
    seeds = np.zeros(shape, np.uint8)
    for label in range(1, CLASSES + 1):
        centre = rng.integers(size // 8, size - size // 8, 3)
        cluster = centre + rng.integers(-size // 16, size // 16 + 1, (size // 4, 3))
        seeds[tuple(np.clip(cluster, 0, size - 1).T)] = label
    return np.clip(image, 0, 1).astype(np.float32), seeds


@njit(cache=True)
def _heap_dijkstra(image, distance, seeds, offsets, slope, constant):  # noqa: C901
    """Textbook Dijkstra with a binary heap, in double precision, on flat arrays with a border of NaN."""
    keys, voxels, size = np.empty(2 * seeds.size + 64), np.empty(2 * seeds.size + 64, np.int64), 0
    for first in range(seeds.size):
        keys[size], voxels[size] = 0.0, seeds[first]
        size += 1
    while size > 0:
        key, u = keys[0], voxels[0]
        size -= 1
        i, moved, moved_voxel = 0, keys[size], voxels[size]
        while 2 * i + 1 < size:
            child = 2 * i + 1
            if child + 1 < size and keys[child + 1] < keys[child]:
                child += 1
            if keys[child] >= moved:
                break
            keys[i], voxels[i] = keys[child], voxels[child]
            i = child
        keys[i], voxels[i] = moved, moved_voxel
        if key > distance[u]:
            continue
        for k in range(26):
            v = u + offsets[k]
            candidate = key + slope[k] * abs(image[v] - image[u]) + constant[k]
            if not candidate < distance[v]:
                continue
            distance[v] = candidate
            if size == keys.size:
                keys, voxels = np.concatenate((keys, keys)), np.concatenate((voxels, voxels))
            i = size
            size += 1
            while i > 0 and keys[(i - 1) // 2] > candidate:
                keys[i], voxels[i] = keys[(i - 1) // 2], voxels[(i - 1) // 2]
                i = (i - 1) // 2
            keys[i], voxels[i] = candidate, v


def exact_distance(image: NDArray, seeds: NDArray, cost: StepCost) -> NDArray[np.float64]:
    """The reference, for costs without a denominator."""
    padded = np.pad(image.astype(np.float64), 1, constant_values=np.nan)
    distance = np.where(np.pad(seeds, 1) > 0, 0.0, np.inf)
    steps = neighbour_steps()
    step_cost = cost.coefficients(np.linalg.norm(steps * SPACING, axis=1))
    offsets = steps @ np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    flat = distance.reshape(-1)
    sources = np.flatnonzero(flat == 0)
    _heap_dijkstra(
        padded.reshape(-1), flat, sources, offsets, step_cost.slope.astype(float), step_cost.constant.astype(float)
    )
    return distance[1:-1, 1:-1, 1:-1]


class GeodesicBenchmark:
    """Runs the rows on one volume."""

    def __init__(self, size: int, options: argparse.Namespace, folder: Path) -> None:
        self.size, self.converged_up_to, repeats = size, options.converged_up_to, options.repeats
        pythons = {"ours": sys.executable, "geodistk": options.geodistk_python, "fastgeodis": options.fastgeodis_python}
        self.pythons, self.repeats, self.folder = pythons, repeats, folder
        self.image, self.seeds = make_volume(size)
        np.save(folder / "image.npy", self.image)
        np.save(folder / "seeds.npy", self.seeds)
        self.exact = {name: self.reference(cost, size <= options.reference_up_to) for name, cost in COSTS.items()}

    def reference(self, cost: StepCost, independent: bool) -> NDArray:
        """The exact distance on a cost, by the textbook or (where that takes too long) by ours."""
        if independent:
            return exact_distance(self.image, self.seeds, cost)
        return geodesic_distances(self.image, self.seeds, SPACING, cost).distance

    def measure(self, row: Measurement, iterations: int, repeats: int) -> dict[str, float]:
        """Seconds, bytes, and the mean and largest error over the mean exact distance."""
        task = {
            "library": row.library,
            "cost": row.cost,
            "threads": row.threads,
            "iterations": iterations,
            "repeats": repeats,
            "spacing": SPACING,
        }
        task |= {name: str(self.folder / f"{name}.npy") for name in ("image", "seeds", "distance")}
        environment = os.environ | {
            "OMP_NUM_THREADS": str(row.threads),
            "OMP_WAIT_POLICY": "passive",
            "PYTHONPATH": str(ROOT),
        }
        command = [self.pythons[row.library] or "", "-c", WORKER, json.dumps(task)]
        done = subprocess.run(command, env=environment, cwd=self.folder, check=True, capture_output=True, text=True)
        result = json.loads(done.stdout.splitlines()[-1])
        error = np.abs(np.load(self.folder / "distance.npy") - self.exact[row.cost])
        scale = self.exact[row.cost].mean()
        return result | {"error": error.mean() / scale, "worst": error.max() / scale, "iterations": iterations}

    def run(self, row: Measurement) -> dict[str, float] | None:
        """One row; None where its library is not installed."""
        if not self.pythons[row.library]:
            return None
        if row.name == CONVERGED_ROW and self.size > self.converged_up_to:
            return {}
        if row.library == "ours" or row.iterations:
            return self.measure(row, row.iterations, self.repeats)
        iterations = 16
        while True:
            result = self.measure(row, iterations, 1)
            if result["worst"] < CONVERGED or iterations >= 256:
                return result
            iterations *= 2


def print_table(size: int, rows: list[tuple[Measurement, dict[str, float] | None]]) -> None:
    """A size's rows; CPU time is compared with ours on the same cost."""
    ours = {row.cost: result["cpu"] for row, result in rows if row.library == "ours" and result}
    print(f"\n### {size} x {size} x {size} voxels\n")
    print("| | seconds | CPU seconds | CPU, times ours | mean error | largest error | memory, bytes per voxel |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row, result in rows:
        if result is None:
            print(f"| {row.name} | not installed | | | | | |")
            continue
        if not result:
            print(f"| {row.name} | not run | | | | | |")
            continue
        name = (
            row.name if row.iterations or row.library == "ours" else f"{row.name} ({result['iterations']} iterations)"
        )
        print(
            f"| {name} | {result['seconds']:.3f} | {result['cpu']:.3f} | {result['cpu'] / ours[row.cost]:.1f} "
            f"| {result['error']:.2%} | {result['worst']:.2%} | {result['memory'] / size**3:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--geodistk-python", default=os.environ.get("GEODISTK_PYTHON"))
    parser.add_argument("--fastgeodis-python", default=os.environ.get("FASTGEODIS_PYTHON"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--converged-up-to", type=int, default=128, help="largest size at which GeodisTK is converged")
    parser.add_argument("--reference-up-to", type=int, default=128, help="largest size for the heap Dijkstra")
    options = parser.parse_args()
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            bench = GeodesicBenchmark(size, options, Path(folder))
            print_table(size, [(row, bench.run(row)) for row in ROWS])


if __name__ == "__main__":
    main()
