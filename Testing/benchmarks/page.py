"""How fast the page is: a CT of 512 x 512 x 300 on the screen, and from A to the next case; for docs/browser.md.

Usage: python Testing/benchmarks/page.py FOLDER [SHAPE]    (SHAPE: z,y,x; 300,512,512 if left out)
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import sync_playwright

from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from Testing.browser.chromium import FLAGS, Served, Window, program
from Testing.helpers import reviewed_phantoms

CASES = 3
LOOKS_MS = 5_000


def enlarged(volume: Volume, shape: tuple[int, ...], noise: float) -> Volume:
    """The same volume with so many voxels, and some noise, as a scanner's has."""
    factors = [new / old for new, old in zip(shape, volume.shape, strict=True)]
    array = zoom(volume.array, factors, order=0)
    if noise:
        array = array + np.random.default_rng(0).normal(0, noise, array.shape).astype(np.float32)
    return Volume.create(array.astype(volume.array.dtype), volume.spacing / factors, volume.origin, volume.direction)


def make(folder: Path, shape: tuple[int, ...]) -> StudyPaths:
    """A study of large CTs."""
    study = reviewed_phantoms.make(folder, CASES, coarseness=2.0)
    for case in StudyDescription.read(study).cases:
        write_volume(enlarged(read_volume(case.source), shape, 12.0), case.source)
        mask = read_label_map(study.case(case.case).pseudo_mask)
        write_label_map(LabelMap(enlarged(mask.volume, shape, 0), mask.segments), study.case(case.case).pseudo_mask)
    return study


class Clock:
    """Seconds on the wall, and those that server and browser computed: what is fair on a machine that others use."""

    def __init__(self) -> None:
        self.begun, self.used = time.perf_counter(), used_seconds()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self.begun:.1f} s, of which computing {used_seconds() - self.used:.1f} s"


def used_seconds() -> float:
    """Seconds that the processors worked for what this process started, all together (Linux)."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        number = int(stat.parent.name)
        parents[number] = int(fields[1])
        seconds[number] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    found, waiting = 0.0, [os.getpid()]
    while waiting:
        parent = waiting.pop()
        children = [number for number, other in parents.items() if other == parent]
        found += sum(seconds[number] for number in children)
        waiting += children
    return found


def main() -> None:
    """Make the study if it is not there, and measure."""
    folder = Path(sys.argv[1])
    shape = tuple(map(int, sys.argv[2].split(","))) if len(sys.argv) > 2 else (300, 512, 512)
    study = StudyPaths(folder / "study")
    if not study.description.exists():
        study = make(folder, shape)
    study.review.unlink(missing_ok=True)
    served = Served(study.root)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program(), args=list(FLAGS))
        window = Window(browser.new_context(viewport={"width": 1280, "height": 800}).new_page())
        clock = Clock()
        window.open(served.address)
        window.wait_for_case("phantom_01")
        print(f"opening the page to the first case on the screen: {clock}", flush=True)
        window.until("document.querySelector('#gl').dataset.whole === document.querySelector('#gl').dataset.shown")
        print(f"to the whole CT on the screen: {clock}", flush=True)
        for number in range(2, CASES + 1):
            window.page.wait_for_timeout(LOOKS_MS)  # somebody looks at the case
            clock = Clock()
            window.press("a")
            window.wait_for_case(f"phantom_{number:02d}")
            print(f"A to the next case: {clock}", flush=True)
        browser.close()
    served.stop()


if __name__ == "__main__":
    main()
