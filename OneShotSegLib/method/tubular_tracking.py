"""Tubular tracking: extends the strokes of long thin structures along their axis beyond the last painted slices.

A spinal cord or oesophagus is painted on some slices well inside it. Beyond these, distances from its strokes add up
noise along the way, and the surroundings are nearer. In the support, where the strokes are certain, the structure is
tracked slice by slice instead: each slice is searched for the surroundings of the place found on the slice before. What
is found is added to the strokes, and is propagated to the queries with them. Not in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.scribbles import ScribblePoints, levels_of
from OneShotSegLib.method.structures import Structures

SAME_SLICE_MM = 0.5


@dataclass(frozen=True, kw_only=True)
class TrackingSettings:
    """How tubular structures are tracked.

    Attributes:
        enabled: Whether they are.
        beyond: How far beyond each end, in units of the length that the strokes span: they lie well inside a structure.
        shortest_span_mm: Least length that strokes of a long structure span.
        slenderness: Least ratio of that length to the widest stroke on a slice.
        window_mm: Half the side of the square template of the surroundings.
        step_mm: Distance of the places that are compared, and of the samples within the template.
        sideways_mm: Largest shift from one slice to the next.
        stiffness: What a shift of 1 mm, squared, takes off the correlation.
        in_the_way_mm: Background strokes ahead end a structure where they lie within this distance of its axis.
        least_correlation: Correlation below which the structure counts as lost.
        memory: Share of the slices before in the template.
    """

    enabled: bool = True
    beyond: float = 0.45
    shortest_span_mm: float = 50.0
    slenderness: float = 4.0
    window_mm: float = 21.0
    step_mm: float = 1.5
    sideways_mm: float = 3.0
    stiffness: float = 0.005
    in_the_way_mm: float = 6.0
    least_correlation: float = 0.5
    memory: float = 0.7


def track_tubular(
    points: ScribblePoints, structures: Structures, image: Volume, ct: Volume, settings: TrackingSettings
) -> ScribblePoints:
    """The strokes, and beyond the ends of long thin structures the places where they were found to go on.

    Args:
        points: The support's scribbles.
        structures: What the labels mean.
        image: The support, axis-aligned in 0-1, shape (D, H, W).
        ct: The support on its own grid: nothing is tracked out of it.
        settings: Of the tracking.
    """
    if not settings.enabled:
        return points
    added = [(value, _beyond_ends(points, value, structures, image, ct, settings)) for value in structures.values]
    return ScribblePoints(
        np.concatenate([points.positions, *(where for _, where in added)]),
        np.concatenate([points.labels, *(np.full(len(where), value, np.uint8) for value, where in added)]),
    )


def is_tubular(strokes: Vector, settings: TrackingSettings) -> bool:
    """Whether strokes (N, 3), mm, are those of a long thin structure along z."""
    if not len(strokes):
        return False
    span = float(np.ptp(strokes[:, 0]))
    return span >= max(settings.shortest_span_mm, settings.slenderness * _widest_on_a_slice(strokes))


def _widest_on_a_slice(strokes: Vector) -> float:
    """The largest extent of the strokes (N, 3) on a slice along y or x, mm."""
    levels = [(z, level[:, 1:].min(axis=0), level[:, 1:].max(axis=0)) for z, level in levels_of(strokes)]
    heights, low, high = (np.array(part) for part in zip(*levels, strict=True))
    widest = 0.0
    for z in heights:
        first, last = np.searchsorted(heights, (z - 2 * SAME_SLICE_MM, z + 2 * SAME_SLICE_MM))
        near = first + np.flatnonzero(np.abs(heights[first:last] - z) < SAME_SLICE_MM)
        widest = max(widest, float((high[near].max(axis=0) - low[near].min(axis=0)).max()))
    return widest


def _beyond_ends(
    points: ScribblePoints,
    value: int,
    structures: Structures,
    image: Volume,
    ct: Volume,
    settings: TrackingSettings,
) -> Vector:
    """Where a structure continues at both ends, shape (n, 3), mm; n is 0 for one that is not tubular."""
    strokes = points.only(value)
    if not is_tubular(strokes, settings):
        return np.empty((0, 3))
    background = points.only(structures.background.value)
    others = points.positions[np.isin(points.labels, [label for label in structures.values if label != value])]
    found: list[Vector] = []
    for end, direction in ((strokes[:, 0].min(), -1), (strokes[:, 0].max(), 1)):
        start = strokes[_on_slice(strokes, end)].mean(axis=0)
        far = settings.beyond * float(np.ptp(strokes[:, 0]))
        far = min(
            far,
            _halfway(start, others, direction, settings.window_mm),
            _halfway(start, background, direction, settings.in_the_way_mm),
        )
        found += [place for place in _track(start, direction, far, image, settings) if ct.contains(place)]
    return np.array(found).reshape(-1, 3)


def _on_slice(strokes: Vector, z: float) -> NDArray[np.bool_]:
    """Which strokes (N, 3) lie on the slice at z mm, shape (N,)."""
    return np.abs(strokes[:, 0] - z) < SAME_SLICE_MM


def _halfway(start: Vector, others: Vector, direction: int, near_mm: float) -> float:
    """Half the distance along z from an end to the first other stroke ahead near the axis, mm; infinite if none."""
    ahead = direction * (others[:, 0] - start[0])
    near = np.linalg.norm(others[:, 1:] - start[1:], axis=1) < near_mm
    distances = ahead[near & (ahead > SAME_SLICE_MM)]
    return float(distances.min()) / 2 if len(distances) else np.inf


def _track(start: Vector, direction: int, far: float, image: Volume, settings: TrackingSettings) -> Iterator[Vector]:
    """Places on the slices beyond an end, from the next one to ``far`` mm away or to where the structure is lost."""
    offsets = _square(settings.window_mm, settings.step_mm)
    moves = _square(settings.sideways_mm, settings.step_mm)
    penalty = settings.stiffness * (moves[:, 1:] ** 2).sum(axis=1)
    here, template = start, _normalised(_read(image, start + offsets))
    for _ in range(int(far // image.spacing[0])):
        step = np.array([direction * image.spacing[0], 0.0, 0.0])
        windows = _normalised(_read(image, (here + step + moves)[:, None] + offsets))
        correlation = windows @ template / len(offsets)
        best = int(np.argmax(correlation - penalty))
        if correlation[best] < settings.least_correlation:
            return
        here = here + step + moves[best]
        template = _normalised(settings.memory * template + (1 - settings.memory) * windows[best])
        yield here


def _square(half: float, step: float) -> Vector:
    """Offsets of a square's samples in a slice, shape (n, 3), mm."""
    axis = np.arange(-half, half + step / 2, step)
    return np.stack(np.meshgrid([0.0], axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def _read(image: Volume, positions: Vector) -> NDArray[np.float64]:
    """Intensities at mm positions (..., 3)."""
    index = np.moveaxis(image.to_index(positions), -1, 0)
    found: NDArray[np.float64] = map_coordinates(image.array, index, output=np.float64, order=1, mode="nearest")
    return found


def _normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and standard deviation 1 along the last axis."""
    centred = values - values.mean(axis=-1, keepdims=True)
    found: NDArray[np.float64] = centred / np.maximum(centred.std(axis=-1, keepdims=True), 1e-6)
    return found
