"""A query case: ours against the published way on the same machine and threads, and where our time goes.

    python Testing/benchmarks/case.py --cohort COHORT [--case pt_236] [--threads 2] [--geodistk-python PYTHON]
    python Testing/benchmarks/case.py --cohort COHORT --device cuda --batch 32 --passes 320

The published way is timed by its parts: its number of full passes (5 starts, and two for each scribble voxel, of the
background's every second one) of a network of its layout, of which ``--passes`` are run and the rest extrapolated, and
its geodesics (GeodisTK's raster scan, two iterations, on the whole volume at 3 x 1 x 1 mm), one class run and
multiplied by the number of classes. ``--all`` runs every pass and every class. Cutting patches, the support's own
passes and the refinement's are left out, in its favour. GeodisTK runs in an interpreter of its own; without one our
equal of it runs.

Ours is the whole of `segment_query`, with the settings ``default``; the support's side, done once per study, is left
out on both sides. For each of its steps the table has the least time that its operations would take at the rate of a
product of matrices, and its bytes at the rate of a sum of arrays, both measured on this machine in this run. For the
networks and the alignment operations and bytes are those of the PyTorch calls as they are made; for the other steps the
bytes are those of the arrays that have to be read and written once.

With ``--device cuda`` both ways' networks, and our alignment, run on the GPU, and seconds and rates are those of the
clock instead of the CPU's; the geodesics of both stay on the CPU.

Each way runs in a process of its own, so that its greatest memory can be measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cohort import read_scribbles, region_of
from machine import (
    Counter,
    Rates,
    Took,
    clock_of,
    describe,
    peak_gpu_megabytes,
    peak_megabytes,
    time_of,
    timed,
)
from published import COARSE, ITERATIONS, PATCH, SPACING, full_pass, passes_of_a_query

from OneShotSegLib.geodesic import raster_scan_distance
from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import Candidate, segment_query
from OneShotSegLib.method.settings import METHODS
from OneShotSegLib.method.support import Support, prepare_support
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.weights import load_weights
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.scoring.overlap import dice
from OneShotSegLib.timer import OnStep

ROOT = Path(__file__).resolve().parents[2]
GEODISTK = r"""
import sys, time
import numpy as np, GeodisTK
image, mask = np.load(sys.argv[1]), np.load(sys.argv[2])
clock, cpu = time.perf_counter(), time.process_time()
GeodisTK.geodesic3d_raster_scan(image, mask, (3.0, 1.0, 1.0), 1.0, 2)
print(time.perf_counter() - clock, time.process_time() - cpu)
"""


def main() -> None:
    """Run both ways and print the tables; or, as a child, one of them."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.way:
        result = {"ours": run_ours, "published": run_published, "paper": run_ours}[options.way](options)
        print(json.dumps(result | {"megabytes": peak_megabytes(), "gpu_megabytes": peak_gpu_megabytes()}))
        return
    device = choose_device(options.device)
    ours, published = _child("ours"), _child("published")
    print(f"{describe(device)}. Case {options.case}, support {options.support}, {ours['structures']} structures.\n")
    _print_ways(ours, published, device)
    _print_steps(ours, clock_of(device))
    print("\n| | mean Dice over the structures |\n| --- | ---: |")
    print(f"| `default` | {ours['dice']:.3f} |")
    if options.paper:
        print(f"| `paper`, same weights | {_child('paper')['dice']:.3f} |")


def run_ours(options: argparse.Namespace) -> dict[str, Any]:
    """Time, memory and steps of our way."""
    method = METHODS["default" if options.way == "ours" else "paper"]
    device = choose_device(options.device)
    ct, scribbles, query = _files(options)
    weights = load_weights(choose_weights(options.weights, ct, device), device)
    support = prepare_support(ct, scribbles, weights, method, device)

    def segment(on_step: OnStep = lambda step: None) -> Candidate:
        return segment_query(support, query, weights, method, device, on_step)

    result = segment()  # compiles and warms up
    figures: dict[str, Any] = {"dice": _dice(support, result, options), "structures": len(support.structures.values)}
    if options.way == "paper":
        return figures
    total = time_of(segment, options.repeats, warm_up=False)
    memory = peak_megabytes()
    steps = _steps(segment, options.repeats)
    work = _work(segment)
    for name, least in _least_bytes(query, result).items():
        work[name] = (work[name][0], least)
    rates = Rates.measure(device)
    return figures | {
        "clock": total.clock,
        "cpu": total.cpu,
        "steps": {name: vars(took) for name, took in steps.items()},
        "work": work,
        "rates": vars(rates),
        "case_megabytes": memory,
    }


def _steps(run: Any, repeats: int) -> dict[str, Took]:
    """Mean time of each step."""
    totals: dict[str, Took] = {}
    for _ in range(repeats):
        marks: list[tuple[str, Took]] = []
        run(lambda step, marks=marks: marks.append((step, Took.now())))
        marks.append(("", Took.now()))
        for (step, before), (_, after) in pairwise(marks):
            totals[step] = totals.get(step, Took()) + (after + before * -1) * (1 / repeats)
    return totals


def _work(run: Any) -> dict[str, tuple[float, float]]:
    """GFLOP and GB of each step's PyTorch calls."""
    readings: list[tuple[str, tuple[float, float]]] = []
    with Counter() as counter:
        run(lambda step: readings.append((step, counter.read())))
        readings.append(("", counter.read()))
    return {name: (after[0] - before[0], after[1] - before[1]) for (name, before), (_, after) in pairwise(readings)}


def _least_bytes(query: Volume, result: Candidate) -> dict[str, float]:
    """GB that the steps without PyTorch read and write at least: each array once."""
    grids = result.prepared.coarse.image.numel() + result.prepared.fine.image.numel()
    grown = result.expansion.labels.array.size
    classes = len(np.unique(result.kept_scribbles.labels))
    # The part of the grid within the structures' extent is read and smoothed; each class has a distance; two labels and
    # a certainty come out.
    return {
        "prepare": (query.array.nbytes + 4 * grids) / 1e9,
        "expand": (query.array.nbytes + 4 * grown * (2 + classes) + 6 * grown) / 1e9,
    }


def run_published(options: argparse.Namespace) -> dict[str, Any]:
    """Time and memory of the published way's parts."""
    _, scribbles, query = _files(options)
    values, counts = np.unique(scribbles.volume.array, return_counts=True)
    voxels = dict(zip(values.tolist(), counts.tolist(), strict=True))
    background = voxels.pop(region_of(options.cohort).background)
    structures = sum(count for value, count in voxels.items() if value)
    passes = passes_of_a_query(structures, background)
    prepared = prepare_ct(query, SPACING, COARSE.window)
    device = choose_device(options.device)
    network = COARSE.build().eval().to(device)
    patches = torch.rand(options.batch, 1, *PATCH, device=device)
    full_pass(network, patches)
    run = math.ceil(passes / options.batch) if options.all else max(1, options.passes // options.batch)
    with timed() as took:
        for _ in range(run):
            full_pass(network, patches)
    network_took = took * (passes / (run * options.batch))
    classes = len(voxels)  # the structures and, in place of "unpainted", the background
    seeds = [prepared.array > 0.5 for _ in range(classes if options.all else 1)]
    geodesics = Took()
    for seed in seeds:
        geodesics += _raster_scan(prepared.array, seed, options.geodistk_python)
    geodesics *= classes / len(seeds)
    return {
        "passes": passes,
        "run": run * options.batch,
        "network": vars(network_took),
        "geodesics": vars(geodesics),
        "classes": classes,
        "geodistk": bool(options.geodistk_python),
        "voxels": int(prepared.array.size),
    }


def _raster_scan(image: np.ndarray, mask: np.ndarray, python: str | None) -> Took:
    """One class's scan; its time does not depend on where the seeds are."""
    if not python:
        return time_of(lambda: raster_scan_distance(image, mask, SPACING, ITERATIONS), 1)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/image.npy", image)
        np.save(f"{folder}/mask.npy", mask.astype(np.uint8))
        command = [python, "-c", GEODISTK, f"{folder}/image.npy", f"{folder}/mask.npy"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    clock, cpu = map(float, out.split()[-2:])
    return Took(clock, cpu)


def _print_ways(ours: dict[str, Any], published: dict[str, Any], device: torch.device) -> None:
    network, geodesics = Took(**published["network"]), Took(**published["geodesics"])
    total = network + geodesics
    scan = "GeodisTK" if published["geodistk"] else "our equal of GeodisTK's scan"
    unit = clock_of(device)
    memories = [f"{ours['case_megabytes']:.0f}", f"{published['megabytes']:.0f}"]
    if device.type != "cpu":
        memories = [f"{m} + {way['gpu_megabytes']:.0f}" for m, way in zip(memories, (ours, published), strict=True)]
    print(f"| | s | CPU s | {unit}, times ours | greatest memory, MB (+ GPU) |\n| --- | ---: | ---: | ---: | ---: |")
    for name, took, memory in (
        ("ours, `default`, a whole case", Took(ours["clock"], ours["cpu"]), memories[0]),
        ("published way", total, memories[1]),
        (f"- {published['passes']} full passes ({published['run']} run)", network, ""),
        (
            f"- geodesics of {published['classes']} classes, {published['voxels'] / 1e6:.0f} million voxels, {scan}",
            geodesics,
            "",
        ),
    ):
        times = getattr(took, unit) / ours[unit]
        print(f"| {name} | {took.clock:.1f} | {took.cpu:.1f} | {times:.0f} | {memory} |")
    print()


def _print_steps(ours: dict[str, Any], unit: str) -> None:
    rates = Rates(**ours["rates"])
    seconds = "CPU s" if unit == "cpu" else "s"
    print(f"Rates in 1 {seconds}: {rates.gigaflops:.0f} GFLOP (matrices), {rates.gigabytes:.1f} GB (arrays).\n")
    print(f"| step of ours | {seconds} | share | GFLOP | GB | least s by operations | least s by bytes | reached |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    total = sum(took[unit] for took in ours["steps"].values())
    for name, took in ours["steps"].items():
        gigaflops, gigabytes = ours["work"][name]
        floors = gigaflops / rates.gigaflops, gigabytes / rates.gigabytes
        reached = f"{max(floors) / took[unit]:.0%}" if took[unit] > 0.005 else ""
        print(
            f"| {name} | {took[unit]:.2f} | {took[unit] / total:.0%} | {gigaflops:.1f} | {gigabytes:.2f} "
            f"| {floors[0]:.2f} | {floors[1]:.2f} | {reached} |"
        )


def _files(options: argparse.Namespace) -> tuple[Volume, LabelMap, Volume]:
    cases = options.cohort / "cases"
    scribbles = read_scribbles(options.cohort, options.support)
    return (
        read_volume(cases / options.support / "ct.nii.gz"),
        scribbles,
        read_volume(cases / options.case / "ct.nii.gz"),
    )


def _dice(support: Support, result: Candidate, options: argparse.Namespace) -> float:
    reference = read_volume(options.cohort / "cases" / options.case / "seg.nii.gz")
    mask = resample_labels(result.soft, reference, result.smooth_mm).array
    organs = region_of(options.cohort).organs
    values = [v for v in support.structures.values if v in organs and (reference.array == v).any()]
    return float(np.mean([dice(mask == value, reference.array == value) for value in values]))


def _child(way: str) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--way", way]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return json.loads(out.splitlines()[-1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--case", default="pt_236")
    parser.add_argument("--weights", default="headneck")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--passes", type=int, default=6, help="full passes of the published network that are run")
    parser.add_argument("--batch", type=int, default=1, help="patches per pass; the published code takes 32")
    parser.add_argument("--all", action="store_true", help="run every pass and class of the published way")
    parser.add_argument("--paper", action="store_true", help="the Dice of the paper's settings too")
    parser.add_argument("--geodistk-python", default=os.environ.get("GEODISTK_PYTHON"))
    parser.add_argument("--way", choices=("ours", "published", "paper"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
