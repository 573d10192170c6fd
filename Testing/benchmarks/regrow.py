"""What strokes in a query are worth: Dice after each, time, and strokes to a mask that is good enough.

    python Testing/benchmarks/regrow.py --cohort COHORT --support pt_4       train cases of the cohort
    python Testing/benchmarks/regrow.py --large                              time and memory at 512 x 512 x 400

A simulated reviewer puts each stroke into the largest part that is wrong of a structure, missing or too much: a short
brush stroke in the middle of its largest axial slice. Round by round each structure gets one. "nothing" begins with an
empty mask, "own growth" grows all strokes so far anew in the query as if it were a support.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cohort import HEAD_AND_NECK, cases_of, read_ct, read_reference, read_scribbles
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box, grown, whole_box
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, background_segment
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.own_mask import SupportPreview
from OneShotSegLib.method.regrowth import DEFAULT_REGROWTH, ReviewedCT, regrow
from OneShotSegLib.method.stroke_simulation import medial_stroke, strokes_from_mask
from OneShotSegLib.scoring.overlap import dice

ORGANS, BACKGROUND = HEAD_AND_NECK.organs, HEAD_AND_NECK.background
MARKS = (0, 1, 2, 3, 5, 10)
GOOD_DICE = 0.85
STROKE_MM = 15.0
BRUSH = 0.5
Labels = NDArray[np.uint8]
BoolMask = NDArray[np.bool_]


@dataclass
class Course:
    """How one query went.

    Attributes:
        dice: Of each structure, by the number of rounds.
        seconds: CPU time of each stroke.
        farthest_changes: Voxels that changed beyond the limit.
    """

    dice: list[dict[int, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    farthest_changes: int = 0


@dataclass(frozen=True)
class Query:
    """A query with its pseudo mask and its reference, cropped for the reviewer to where either has something."""

    ct: Volume
    mask: Labels
    soft: SoftLabels | None
    reference: Labels
    box: Box


def main() -> None:
    """Print the tables."""
    options = _options()
    if options.large:
        _large()
        return
    names = options.case or cases_of(options.cohort, "train", [options.support])[: options.cases]
    queries = [(name, query) for name, query in _queries(options, names)]
    print(f"Cases {', '.join(names)}; support {options.support}; {len(ORGANS)} structures; mean Dice\n")
    print("| strokes per structure | " + " | ".join(str(mark) for mark in MARKS) + " | s per stroke | most | far |")
    print("| --- |" + " ---: |" * (len(MARKS) + 3))
    ways: Mapping[str, Callable[[Query], Course]] = {
        "regrown from the pseudo mask": lambda query: _regrown(query, query.mask, query.soft),
        "the same without its shares": lambda query: _regrown(query, query.mask, None),
        "regrown from nothing": lambda query: _regrown(query, np.zeros_like(query.mask), None),
        "own growth of the strokes": _own_growth,
    }
    courses: dict[str, list[Course]] = {}
    for title, way in ways.items():
        found = courses[title] = [way(query) for _, query in queries]
        means = [np.mean([d for course in found for d in course.dice[mark].values()]) for mark in MARKS]
        seconds = [second for course in found for second in course.seconds]
        print(
            f"| {title} | "
            + " | ".join(f"{mean:.3f}" for mean in means)
            + f" | {np.mean(seconds):.2f} | {np.max(seconds):.2f} | {sum(one.farthest_changes for one in found)} |",
            flush=True,
        )
    _print_structures(courses)


def _print_structures(courses: Mapping[str, list[Course]]) -> None:
    print(f"\nStrokes of a structure until its Dice is {GOOD_DICE} (mean; over {MARKS[-1]} counts as {MARKS[-1] + 1})")
    print(f"\n| | {' | '.join(ORGANS.values())} | all |\n| --- |" + " ---: |" * (len(ORGANS) + 1))
    for title, found in courses.items():
        needed = {value: [_needed(course, value) for course in found] for value in ORGANS}
        means = [float(np.mean(needed[value])) for value in ORGANS]
        print(f"| {title} | " + " | ".join(f"{mean:.1f}" for mean in (*means, np.mean(means))) + " |")


def _needed(course: Course, value: int) -> int:
    return next((number for number, found in enumerate(course.dice) if found[value] >= GOOD_DICE), MARKS[-1] + 1)


def _queries(options: argparse.Namespace, names: list[str]) -> Iterator[tuple[str, Query]]:
    from OneShotSegLib.inference.engine import Engine
    from OneShotSegLib.method.settings import DEFAULT
    from OneShotSegLib.method.support import ScribbledCT
    from OneShotSegLib.networks.device import choose_device
    from OneShotSegLib.networks.weights_selection import choose_weights

    ct, device = read_ct(options.cohort, options.support), choose_device("cpu")
    support = ScribbledCT(ct, read_scribbles(options.cohort, options.support))
    engine = Engine([support], choose_weights("auto", ct, device), DEFAULT, device)
    for name in names:
        query = read_ct(options.cohort, name)
        found = engine.segment(name, query)
        reference = _organs(read_reference(options.cohort, name).array)
        mask = _organs(found.array)
        box = grown(bounding_box((reference > 0) | (mask > 0)) or whole_box(query.shape), 25, query.shape)
        yield name, Query(query, mask, found.soft, reference, box)


def _organs(array: NDArray[np.integer]) -> Labels:
    return np.where(np.isin(array, list(ORGANS)), array, 0).astype(np.uint8)


def _scores(query: Query, mask: Labels) -> dict[int, float]:
    part, reference = mask[query.box], query.reference[query.box]
    return {value: dice(part == value, reference == value) for value in ORGANS}


def _regrown(query: Query, mask: Labels, soft: SoftLabels | None) -> Course:
    """The mask regrows after each stroke."""
    case = ReviewedCT(ct=query.ct, background=BACKGROUND, prior=soft)
    course, strokes = Course([_scores(query, mask)]), np.zeros_like(mask)
    for _ in range(MARKS[-1]):
        for value in ORGANS:
            new = next_stroke(mask, query, value, strokes)
            if new is None:
                continue
            started = time.process_time()
            found = regrow(case, mask, strokes, new).mask
            course.seconds.append(time.process_time() - started)
            far = ndimage.distance_transform_edt(~new, sampling=query.ct.spacing) > DEFAULT_REGROWTH.limit_mm
            course.farthest_changes += int((far & (found != mask)).sum())
            mask = found
        course.dice.append(_scores(query, mask))
    return course


def _own_growth(query: Query) -> Course:
    """All strokes so far grow anew; the first ones come with the background strokes of their slices."""
    segments = (*(Segment(value=v, name=n, color=(1, 1, 1)) for v, n in ORGANS.items()), background_segment(BACKGROUND))
    preview, mask = SupportPreview(query.ct), np.zeros_like(query.mask)
    course, strokes = Course([_scores(query, mask)]), np.zeros_like(mask)
    around = strokes_from_mask(query.reference, query.ct.spacing, BACKGROUND, query.ct.array > -300)
    for _ in range(MARKS[-1]):
        for value in ORGANS:
            new = next_stroke(mask, query, value, strokes)
            if new is None:
                continue
            slices = new.any(axis=(1, 2))
            if not (strokes[slices] == BACKGROUND).any():
                strokes[slices] = np.where(strokes[slices] > 0, strokes[slices], _only_background(around[slices]))
            if not (strokes == BACKGROUND).any():
                strokes[:] = np.where(strokes > 0, strokes, _only_background(around))
            started = time.process_time()
            try:
                mask = preview.whole(preview.grow(LabelMap(query.ct.with_array(strokes), segments))).volume.array
            except InputError:
                continue
            course.seconds.append(time.process_time() - started)
        course.dice.append(_scores(query, mask))
    return course


def _only_background(strokes: Labels) -> Labels:
    return np.where(strokes == BACKGROUND, strokes, 0).astype(np.uint8)


def next_stroke(mask: Labels, query: Query, value: int, strokes: Labels) -> BoolMask | None:
    """Where a reviewer paints next for a structure; the stroke is put among the strokes. None if nothing is wrong."""
    part, reference = mask[query.box], query.reference[query.box]
    pieces = [_largest((reference == value) & (part != value)), _largest((part == value) & (reference != value))]
    piece = max(pieces, key=lambda one: int(one.sum()))
    if not piece.any():
        return None
    stroke = short_stroke(piece, query.ct.spacing)
    wanted = int(np.bincount(reference[stroke]).argmax())
    new = np.zeros(mask.shape, dtype=bool)
    new[query.box] = stroke & (reference == wanted)
    strokes[new] = wanted or BACKGROUND
    return new


def _largest(mask: BoolMask) -> BoolMask:
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    found: BoolMask = pieces == sizes.argmax()
    return found


def short_stroke(piece: BoolMask, spacing: NDArray[np.float64]) -> BoolMask:
    """A short brush stroke in the middle of a piece's largest axial slice."""
    z = int(piece.sum(axis=(1, 2)).argmax())
    plane = piece[z]
    depth = ndimage.distance_transform_edt(np.pad(plane, 1), sampling=spacing[1:])[1:-1, 1:-1]
    line = np.argwhere(medial_stroke(plane, spacing[1:]))
    line = line if len(line) else np.argwhere(plane)
    middle = line[depth[tuple(line.T)].argmax()]
    stroke = np.zeros_like(plane)
    rows, columns = np.indices(plane.shape)
    for place in line[np.linalg.norm((line - middle) * spacing[1:], axis=1) <= STROKE_MM / 2]:
        reach = np.hypot((rows - place[0]) * spacing[1], (columns - place[1]) * spacing[2])
        stroke |= reach <= BRUSH * depth[tuple(place)]
    found = np.zeros_like(piece)
    found[z] = stroke & plane
    return found


def _large() -> None:
    """A stroke in a made CT of 512 x 512 x 400 voxels of 0.8 mm, and the own mask at 512 x 512 x 200."""
    rng = np.random.default_rng(0)
    grid = Volume.create(np.zeros((400, 512, 512), np.int16), (0.8, 0.8, 0.8))
    ct = grid.array
    for z in range(len(ct)):
        ct[z] = rng.normal(0, 15, ct.shape[1:])
    mask = np.zeros(ct.shape, np.uint8)
    mask[100:300, 120:300, 100:350] = 1
    ct[mask > 0] += 120
    mask[180:220, 300:330, 150:200] = 1  # a leak
    strokes = np.zeros_like(mask)
    strokes[200, 310:318, 160:190] = BACKGROUND
    case = ReviewedCT(ct=grid, background=BACKGROUND)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for title in ("first", "again"):
        started, cpu = time.perf_counter(), time.process_time()
        found = regrow(case, mask, strokes, strokes > 0).mask
        print(
            f"regrow at 512 x 512 x 400, {title}: {time.perf_counter() - started:.2f} s, "
            f"CPU {time.process_time() - cpu:.2f} s, {int((found != mask).sum())} voxels"
        )
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"greatest memory {more / 1024:.0f} MB above CT, mask and strokes")
    del mask, strokes, found
    part = grid.with_array(ct)
    part = Volume.create(ct[100:300], part.spacing, part.origin, part.direction)
    labels = np.zeros(part.shape, np.uint8)
    for z in range(20, 190, 24):
        labels[z, 200:230, 160:290] = 1
        labels[z, 90:95, 60:400] = BACKGROUND
        labels[z, 330:335, 60:400] = BACKGROUND
        labels[z, 95:330, 60:64] = BACKGROUND
        labels[z, 95:330, 396:400] = BACKGROUND
    segments = (Segment(value=1, name="Block", color=(1, 1, 1)), background_segment(BACKGROUND))
    started = time.process_time()
    preview = SupportPreview(part)
    print(f"own mask at 512 x 512 x 200, to open: CPU {time.process_time() - started:.2f} s")
    for title in ("first", "again"):
        started = time.process_time()
        preview.grow(LabelMap(part.with_array(labels), segments))
        print(f"own mask, {title}: CPU {time.process_time() - started:.2f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--cases", type=int, default=4, help="only the first so many")
    parser.add_argument("--case", action="append", help="these instead; may be repeated")
    parser.add_argument("--large", action="store_true", help="time and memory of a large CT instead")
    options = parser.parse_args()
    if not options.large and options.cohort is None:
        parser.error("--cohort or --large is needed")
    return options


if __name__ == "__main__":
    main()
