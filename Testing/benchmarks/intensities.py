"""What becomes of CTs whose values are no HU, and that plain CTs pass unchanged.

    python Testing/benchmarks/intensities.py --headneck COHORT --abdomen COHORT
    python Testing/benchmarks/intensities.py --plain ...                the plain CTs alone

Prints a Markdown table: each damage of ``Testing.helpers.intensity_damage`` on some CTs of each cohort and phantoms,
how many were mended (to within 2 HU of the voxels before, padding aside), refused, accepted as they are. Then false
alarms over all plain CTs, whole and cropped, and the time that a CT of 512 x 512 x 200 takes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.hounsfield import examine_hounsfield
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import make_patient

sys.path.insert(0, str(Path(__file__).parents[2]))
from Testing.helpers.intensity_damage import DAMAGES

TOLERANCE_HU = 2.0
AIR_BELOW = -900.0


def outcome(plain: NDArray, damaged: NDArray) -> tuple[str, str]:
    """What became of it, and what was said."""
    try:
        mended, notes = examine_hounsfield(Volume.create(damaged), "CT")
    except InputError as error:
        return "refused", str(error)
    if not notes:
        return "ACCEPTED", ""
    # Air may be any air; the rest must be what it was, unless the damage overwrote it with a fill.
    wrong = np.abs(mended.array - plain.astype(np.float64)) > TOLERANCE_HU
    wrong &= ~((mended.array <= AIR_BELOW) & ((plain <= AIR_BELOW) | (damaged == -1000) | _was_filled(plain, damaged)))
    return ("mended" if not wrong.any() else f"WRONG by {np.count_nonzero(wrong)}"), " ".join(notes)


def _was_filled(plain: NDArray, damaged: NDArray) -> NDArray[np.bool_]:
    """Voxels that the damage overwrote: where it has one value for many of the plain ones."""
    values, inverse, counts = np.unique(np.nan_to_num(damaged, nan=-9999), return_inverse=True, return_counts=True)
    frequent = values[counts.argmax()]
    filled = np.nan_to_num(damaged, nan=-9999) == frequent
    edge = np.zeros(len(values), dtype=bool)
    edge[np.unique(inverse.reshape(damaged.shape)[:, 0, 0])] = True
    return filled | edge[inverse.reshape(damaged.shape)]


def paths_of(folder: Path) -> list[Path]:
    """All CTs of a cohort."""
    return sorted(folder.glob("cases/*/ct.nii.gz")) + sorted(folder.glob("pool/*.nii.gz"))


def some(paths: list[Path], count: int) -> list[NDArray]:
    """A few CTs, from all over the list."""
    step = max(1, len(paths) // count)
    return [read_volume(path).array for path in paths[::step][:count]]


def print_damages(cts: dict[str, list[NDArray]], verbose: bool) -> None:
    """One row for each damage."""
    print(f"| damage | variant | {' | '.join(f'{name} ({len(arrays)})' for name, arrays in cts.items())} |")
    print("| --- | --- |" + " --- |" * len(cts))
    for kind, variants in DAMAGES.items():
        for variant, damage in variants.items():
            cells = []
            for arrays in cts.values():
                found = [outcome(array, damage(array)) for array in arrays]
                counted = Counter(what for what, _ in found)
                cells.append(", ".join(f"{count} {what}" for what, count in counted.items()))
                if verbose:
                    cells[-1] += " / " + " // ".join(sorted({text for _, text in found}))
            print(f"| {kind} | {variant} | {' | '.join(cells)} |", flush=True)


def crops(array: NDArray) -> Iterator[tuple[str, NDArray]]:
    """The whole, thirds along z, the middle, a box of lung or air, clipped and padded as scanners and exports do."""
    third = max(1, len(array) // 3)
    yield "whole", array
    yield from ((f"third {k + 1}", array[k * third : (k + 1) * third]) for k in range(3))
    z, y, x = array.shape
    yield "middle", array[z // 4 : z - z // 4, y // 3 : y - y // 3, x // 3 : x - x // 3]
    yield "float", array.astype(np.float32)
    yield "-1000..400", np.clip(array, -1000, 400)
    yield "bone at 1000", np.clip(array, -1024, 1000)
    rows, columns = np.indices((y, x))
    circle = np.hypot(rows / y - 0.5, columns / x - 0.5) > 0.5
    for padding in (-3024, -2000, -1024, -1000):
        yield f"circle {padding}", np.where(circle, padding, array).astype(np.int16)
    blurred = ndimage.gaussian_filter(array.astype(np.float32), 0.7)
    yield "smoothed", blurred
    noise = np.random.default_rng(0).normal(0, 12, array.shape)
    yield "air with noise", np.round(np.where(array <= -1000, -1000 + noise, array)).astype(np.int16)


def print_false_alarms(cts: Iterable[tuple[str, NDArray]]) -> None:
    """Counts of plain CTs, and of those that did not pass unchanged and without a word."""
    counted: Counter[str] = Counter()
    alarms = []
    for name, array in cts:
        for crop, part in crops(array):
            volume = Volume.create(part)
            counted[crop] += 1
            try:
                same, notes = examine_hounsfield(volume, f"{name}, {crop}")
                if same is not volume or notes:
                    alarms.append(notes[0])
            except InputError as error:
                alarms.append(str(error))
    print("plain: " + ", ".join(f"{crop} {count}" for crop, count in counted.items()))
    print(f"false alarms: {len(alarms)}", *alarms, sep="\n- ")


def plain_cts(folders: list[Path]) -> Iterator[tuple[str, NDArray]]:
    """All of the cohorts, and phantoms."""
    for path in (path for folder in folders for path in paths_of(folder)):
        yield f"{path.parent.name}/{path.name}", read_volume(path).array
    for coarseness in (3.0, 2.0, 1.0):
        for index in range(10 if coarseness > 1 else 2):
            yield f"phantom {index} ({coarseness:g})", make_patient(index, coarseness=coarseness).ct.array


def print_time(array: NDArray) -> None:
    """Of a CT of 512 x 512 x 200, made of a small one."""
    large = np.ascontiguousarray(ndimage.zoom(array, np.divide((200, 512, 512), array.shape), order=0))
    for kind in (np.int16, np.float32):
        volume = Volume.create(large.astype(kind))
        start = time.process_time()
        examine_hounsfield(volume, "large")
        print(f"512 x 512 x 200, {kind.__name__}: {time.process_time() - start:.2f} s of processor time")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headneck", type=Path, required=True)
    parser.add_argument("--abdomen", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5, help="CTs of each cohort to damage")
    parser.add_argument("--plain", action="store_true", help="the plain CTs alone")
    parser.add_argument("--damages", action="store_true", help="the damaged CTs alone")
    parser.add_argument("--verbose", action="store_true", help="with the first sentence of each cell")
    options = parser.parse_args()
    if not options.plain:
        phantoms = [make_patient(index, coarseness=2.0).ct.array for index in range(2)]
        cts = {
            "head and neck": some(paths_of(options.headneck), options.count),
            "abdomen": some(paths_of(options.abdomen), options.count),
            "phantom": phantoms,
        }
        print_damages(cts, options.verbose)
    if not options.damages:
        print_false_alarms(plain_cts([options.headneck, options.abdomen]))
        print_time(read_volume(paths_of(options.abdomen)[0]).array)


if __name__ == "__main__":
    main()
