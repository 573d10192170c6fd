"""The greatest memory of one query of 512 x 512 x 1000 voxels, from its file to its mask's file.

    python Testing/benchmarks/large_query.py

The support is a phantom patient as it is; the query another one on 1000 x 512 x 512 voxels [z, y, x]. The query has a
process of its own, whose peak is printed with the libraries' and the file's share of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import peak_megabytes, timed

from OneShotSegLib import phantom
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import ScribbledCT
from OneShotSegLib.networks.weights import resolve_weights

SHAPE = (1000, 512, 512)


def main() -> None:
    """Write the query, and measure in another process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "query.nrrd"
        write_volume(_large(phantom.make_patient(1).ct), path)
        subprocess.run([sys.executable, __file__, str(path)], check=True)


def _large(ct: Volume) -> Volume:
    """The same scan on so many voxels: each of them has the value of the nearest voxel."""
    index = [np.arange(n) * size // n for n, size in zip(SHAPE, ct.shape, strict=True)]
    return Volume.create(ct.array[np.ix_(*index)].astype(np.int16), ct.size_mm / SHAPE, ct.origin, ct.direction)


def measure(path: Path) -> None:
    """Segment the query and print the peaks."""
    support = phantom.make_patient(0)
    scribbles = LabelMap(phantom.scribbles(support), (*support.present, phantom.BACKGROUND))
    engine = Engine([ScribbledCT(support.ct, scribbles)], resolve_weights("phantom"), DEFAULT)
    before = peak_megabytes()
    with timed() as took:
        ct = read_volume(path)
        found = engine.segment("query", ct)
        write_label_map(found.mask, path.with_name("mask.seg.nrrd"))
    print("| with the support prepared, MB | the query's voxels, MB | greatest, MB | CPU s |\n|" + " ---: |" * 4)
    print(f"| {before:.0f} | {ct.array.nbytes / 2**20:.0f} | {peak_megabytes():.0f} | {took.cpu:.1f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        main()
