"""Time and memory at a clinical CT's size against scribble voxels: a part of ``scaling.py``.

Support and query are phantom patients on 400 x 512 x 512 voxels [z, y, x], with noise. Strokes are painted with broader
brushes on more slices until there are enough of them, then thinned at random to the wanted number. A case has
a process of its own, and is read from its files, prepared, segmented, scored and written, as in a study; the peak is
that of the whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import peak_megabytes, timed

from OneShotSegLib import phantom
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.stroke_simulation import PaintingStyle, strokes_from_mask
from OneShotSegLib.method.support import ScribbledCT
from OneShotSegLib.networks.weights import resolve_weights

SHAPE = (400, 512, 512)
NOISE_HU = 10.0
COUNTS = (1_000, 10_000, 100_000, 1_000_000)
STYLES = (
    PaintingStyle(slices=3, one_more_per_mm=1e3, brush=0.0),
    PaintingStyle(slices=4, brush=0.5),
    PaintingStyle(slices=16, brush=0.5),
    PaintingStyle(slices=1000, brush=1.0),
)
SUPPORT, SCRIBBLES, QUERY = "support.nrrd", "scribbles.seg.nrrd", "query.nrrd"
MASK, PROPAGATED = "mask.seg.nrrd", "propagated.seg.nrrd"


@dataclass(kw_only=True)
class Cost:
    """What a case took.

    Attributes:
        strokes: Scribble voxels.
        support: CPU seconds to read and prepare the support.
        query: CPU seconds to read, segment, score and write the query.
        megabytes: The most memory that the process used.
    """

    strokes: int
    support: float
    query: float
    megabytes: float


def costs(counts: Sequence[int] = COUNTS) -> Iterator[Cost]:
    """The cost with so many scribble voxels each."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rng = np.random.default_rng(0)
        case = phantom.make_patient(0)
        support = _large(case.ct, rng)
        write_volume(support, place / SUPPORT)
        write_volume(_large(phantom.make_patient(1).ct, rng), place / QUERY)
        reference = support.with_array(resample(case.reference, support, order=0).array.astype(np.uint8))
        segments = (*case.present, phantom.BACKGROUND)
        del support
        for count in counts:
            strokes = reference.with_array(_strokes(reference, count, rng))
            write_label_map(LabelMap(strokes, segments), place / SCRIBBLES)
            yield _in_a_process(place)


def _large(ct: Volume, rng: np.random.Generator) -> Volume:
    """The same scan on as many voxels as a large clinical one."""
    spacing = ct.size_mm / SHAPE
    grid = Volume.create(np.broadcast_to(np.int16(0), SHAPE), spacing, ct.origin + (spacing - ct.spacing) / 2)
    fine = resample(ct, grid, fill=-1000).array
    for plane in fine:
        plane += rng.normal(0, NOISE_HU, plane.shape)
    return grid.with_array(np.rint(fine).astype(np.int16))


def _strokes(reference: Volume, count: int, rng: np.random.Generator) -> np.ndarray:
    """So many scribble voxels, at most as many as the last style paints."""
    for style in STYLES:
        strokes = strokes_from_mask(reference.array, reference.spacing, phantom.BACKGROUND.value, style=style)
        painted = np.flatnonzero(strokes)
        if len(painted) >= count:
            break
    strokes.reshape(-1)[rng.permutation(painted)[count:]] = 0
    return strokes


def _in_a_process(folder: Path) -> Cost:
    output = subprocess.run([sys.executable, __file__, str(folder)], check=True, capture_output=True, text=True)
    return Cost(**json.loads(output.stdout.splitlines()[-1]))


def measure(folder: Path) -> Cost:
    """Do the case whose files are in a folder."""
    with timed() as support:
        ct, scribbles = read_volume(folder / SUPPORT), read_label_map(folder / SCRIBBLES)
        engine = Engine([ScribbledCT(ct, scribbles)], resolve_weights("phantom"), DEFAULT)
    with timed() as query:
        found = engine.segment("query", read_volume(folder / QUERY))
        write_label_map(found.mask, folder / MASK)
        write_label_map(found.scribbles, folder / PROPAGATED)
    strokes = int(np.count_nonzero(scribbles.volume.array))
    return Cost(strokes=strokes, support=support.cpu, query=query.cpu, megabytes=peak_megabytes())


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Path(sys.argv[1])))))
