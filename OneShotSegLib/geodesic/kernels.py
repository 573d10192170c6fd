"""The compiled loops of the geodesic distances.

The exact solver works block by block (16 voxels a side), the block with the smallest pending distance first. A block is
copied with a margin of one voxel into a small buffer that stays in the processor's cache; there one sweep along each of
its axes, both ways, lowers distances. Blocks that hold or touch a lowered voxel become pending again. The solver ends
when none is pending: then no step anywhere can lower a distance, which is Dijkstra's result. It reads memory in order
and uses vector instructions, which a queue of voxels cannot do, and is several times faster than that on the same core.

A voxel whose image is NaN (the border, and what lies outside the region) is a wall: every step from or to it costs NaN,
and no comparison with NaN is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from OneShotSegLib.geodesic.compiled import compiled

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Triple = tuple[int, int, int]
Rule = tuple[int, bool, np.float32, np.float32] | None

BLOCK = 16
LANES = 8
EDGE = BLOCK + 2
"""Voxels along a side of a block's buffer: the block and its margin."""

# A buffer is one flat array of float32 that holds distance, label and image channels one after the other: with a
# single base address the compiler sees that rows cannot overlap, which it needs to use vector instructions. Indices are
# unsigned because Numba adds a test for negative indices to every access through a signed one.
_SIZE = EDGE**3
_LABEL = np.uint64(_SIZE)
_IMAGE = np.uint64(2 * _SIZE)
_LANES = np.uint64(LANES)


@njit(inline="always")
def _step_cost(
    buffer: Floats, i: np.uint64, j: np.uint64, slope: np.float32, constant: np.float32, rule: Rule
) -> np.float32:
    """What a step between two voxels costs; `rule` as for `lower_to_exact`."""
    if rule is None:
        found: np.float32 = slope * abs(buffer[i + _IMAGE] - buffer[j + _IMAGE]) + constant
        return found
    channels, sums, bend, base = rule
    gap = np.float32(0)
    for channel in range(channels):
        plane = _IMAGE + np.uint64(channel * _SIZE)
        difference = abs(buffer[i + plane] - buffer[j + plane])
        gap += difference if sums else difference * difference
    gap = gap if sums else np.sqrt(gap)
    return (slope * gap + constant) / (bend * gap + base)


@njit(inline="always")
def _relax(
    best: np.float32,
    label: np.float32,
    buffer: Floats,
    i: np.uint64,
    j: np.uint64,
    slope: np.float32,
    constant: np.float32,
    rule: Rule,
) -> tuple[np.float32, np.float32]:
    """The better of what voxel i has and what a step from voxel j gives it."""
    candidate = buffer[j] + _step_cost(buffer, i, j, slope, constant, rule)
    other = buffer[j + _LABEL]
    # The comparison is written twice on purpose: kept in a variable it stops the compiler from using vectors.
    return (candidate if candidate < best else best), (other if candidate < best else label)


def _make_strip(step: int, lateral: int) -> Callable[..., Any]:
    """Make the function that lowers a strip of voxels from the three strips next to it in the plane before.

    The distances are fixed when it is compiled: only so does the compiler know that the strips do not overlap.

    Args:
        step: Distance in the buffer from a voxel to the same voxel of the plane before.
        lateral: Distance between neighbouring rows of a plane.
    """
    # Negative distances are written modulo 2^64: unsigned addition then goes back.
    offsets = [np.uint64((step + i * lateral + j) % 2**64) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    j0, j1, j2, j3, j4, j5, j6, j7, j8 = offsets

    @compiled
    def lower_strip(buffer: Floats, start: np.uint64, lanes: np.uint64, cost: Floats, rule: Rule) -> np.int32:
        s0, s1, s2, s3 = cost[0, 0], cost[0, 1], cost[0, 2], cost[0, 3]
        c0, c1, c2, c3 = cost[1, 0], cost[1, 1], cost[1, 2], cost[1, 3]
        changed = np.int32(0)
        # A fixed count is unrolled into one vector; the general rule is too long for that.
        for lane in range(_LANES if rule is None else lanes):
            i = start + lane
            old = buffer[i]
            d, label = old, buffer[i + _LABEL]
            d, label = _relax(d, label, buffer, i, i + j0, s3, c3, rule)
            d, label = _relax(d, label, buffer, i, i + j1, s2, c2, rule)
            d, label = _relax(d, label, buffer, i, i + j2, s3, c3, rule)
            d, label = _relax(d, label, buffer, i, i + j3, s1, c1, rule)
            d, label = _relax(d, label, buffer, i, i + j4, s0, c0, rule)
            d, label = _relax(d, label, buffer, i, i + j5, s1, c1, rule)
            d, label = _relax(d, label, buffer, i, i + j6, s3, c3, rule)
            d, label = _relax(d, label, buffer, i, i + j7, s2, c2, rule)
            d, label = _relax(d, label, buffer, i, i + j8, s3, c3, rule)
            buffer[i] = d
            buffer[i + _LABEL] = label
            changed |= np.int32(1) if d < old else np.int32(0)
        return changed

    return lower_strip


def _make_sweep(step: int, lateral: int) -> Callable[..., Any]:
    """Make the function that sweeps both ways through planes `step` apart with rows `lateral` apart."""
    from_before = _make_strip(-step, lateral)
    from_after = _make_strip(step, lateral)
    first = step + lateral + 1

    @compiled
    def sweep(buffer: Floats, lanes: np.uint64, cost: Floats, rule: Rule) -> bool:
        changed = np.int32(0)
        for plane in range(BLOCK):
            for row in range(BLOCK):
                for strip in range(0, BLOCK, LANES):
                    start = np.uint64(first + plane * step + row * lateral + strip)
                    changed |= from_before(buffer, start, lanes, cost, rule)
        for plane in range(BLOCK - 1, -1, -1):
            for row in range(BLOCK):
                for strip in range(0, BLOCK, LANES):
                    start = np.uint64(first + plane * step + row * lateral + strip)
                    changed |= from_after(buffer, start, lanes, cost, rule)
        found: bool = changed != 0
        return found

    return sweep


_sweep_slow_axis = _make_sweep(EDGE * EDGE, EDGE)
_sweep_middle_axis = _make_sweep(EDGE, EDGE * EDGE)


@compiled
def _transpose(source: Floats, target: Floats, first: int, last: int) -> None:
    """Copy the parts first..last-1 of a buffer with its first and third axes swapped."""
    for part in range(first, last):
        base = part * _SIZE
        for a in range(EDGE):
            for b in range(EDGE):
                i = np.uint64(base + (a * EDGE + b) * EDGE)
                j = np.uint64(base + b * EDGE + a)
                for c in range(np.uint64(EDGE)):
                    target[i + c] = source[j + c * np.uint64(EDGE * EDGE)]


@compiled
def _sweep_block(buffer: Floats, turned: Floats, lanes: np.uint64, costs: Floats, rule: Rule) -> None:
    """Sweep once along z, y and x, both ways; `turned` is the same buffer with x first.

    Once, not until the block has converged: what comes in later from its neighbours would undo most of that work.
    """
    _sweep_slow_axis(buffer, lanes, costs[0], rule)
    _sweep_middle_axis(buffer, lanes, costs[1], rule)
    _transpose(buffer, turned, 0, 2)
    if _sweep_slow_axis(turned, lanes, costs[2], rule):
        _transpose(turned, buffer, 0, 2)


@compiled
def _load(buffer: Floats, turned: Floats, image: Floats, distance: Floats, label: NDArray[Any], corner: Triple) -> None:
    """Copy a block and its margin into both buffers; `corner` is the margin's first voxel."""
    z0, y0, x0 = corner
    for a in range(EDGE):
        for b in range(EDGE):
            start = (a * EDGE + b) * EDGE
            distances = distance[z0 + a, y0 + b, x0 : x0 + EDGE]
            labels = label[z0 + a, y0 + b, x0 : x0 + EDGE]
            for c in range(EDGE):
                buffer[np.uint64(start) + np.uint64(c)] = distances[c]
            for c in range(EDGE):
                buffer[np.uint64(start + _SIZE) + np.uint64(c)] = labels[c]
            for channel in range(image.shape[0]):
                row = image[channel, z0 + a, y0 + b, x0 : x0 + EDGE]
                for c in range(EDGE):
                    buffer[np.uint64(start + (2 + channel) * _SIZE) + np.uint64(c)] = row[c]
    _transpose(buffer, turned, 2, 2 + image.shape[0])


@compiled
def _store(buffer: Floats, distance: Floats, label: NDArray[Any], corner: Triple, lowest: Floats) -> None:
    """Copy a block back.

    `lowest`, shape (3, 3, 3), gets the smallest lowered distance at each corner, edge and face, and inside.
    """
    z0, y0, x0 = corner
    lowest[:] = np.inf
    for a in range(1, EDGE - 1):
        side_a = 0 if a == 1 else (2 if a == EDGE - 2 else 1)
        for b in range(1, EDGE - 1):
            side_b = 0 if b == 1 else (2 if b == EDGE - 2 else 1)
            i = (a * EDGE + b) * EDGE
            for c in range(1, EDGE - 1):
                value = buffer[i + c]
                if value < distance[z0 + a, y0 + b, x0 + c]:
                    distance[z0 + a, y0 + b, x0 + c] = value
                    label[z0 + a, y0 + b, x0 + c] = buffer[_SIZE + i + c]
                    side_c = 0 if c == 1 else (2 if c == EDGE - 2 else 1)
                    lowest[side_a, side_b, side_c] = min(lowest[side_a, side_b, side_c], value)


@compiled
def _lowest_towards(lowest: Floats, a: int, b: int, c: int) -> np.float32:
    """The smallest lowered distance that touches the neighbour block at (a, b, c), each -1, 0 or 1."""
    result = np.float32(np.inf)
    for i in range(3):
        for j in range(3):
            for k in range(3):
                if (a == 0 or i == a + 1) and (b == 0 or j == b + 1) and (c == 0 or k == c + 1):
                    result = min(result, lowest[i, j, k])
    return result


@compiled
def _sift_up(heap: Integers, place: Integers, key: Floats, i: int) -> None:
    """Move the heap's entry i up to where it belongs."""
    block = heap[i]
    while i > 0 and key[heap[(i - 1) >> 1]] > key[block]:
        heap[i] = heap[(i - 1) >> 1]
        place[heap[i]] = i
        i = (i - 1) >> 1
    heap[i] = block
    place[block] = i


@compiled
def _pop(heap: Integers, place: Integers, key: Floats, size: int) -> int:
    """Take the block with the smallest key from a heap of `size` blocks."""
    first: int = heap[0]
    block = heap[size - 1]
    i = 0
    while 2 * i + 1 < size - 1:
        child = 2 * i + 1
        if child + 1 < size - 1 and key[heap[child + 1]] < key[heap[child]]:
            child += 1
        if key[heap[child]] >= key[block]:
            break
        heap[i] = heap[child]
        place[heap[i]] = i
        i = child
    heap[i] = block
    place[block] = i
    place[first] = -1
    return first


@compiled
def _mark_pending(
    lowest: Floats, block: Triple, counts: Triple, key: Floats, heap: Integers, place: Integers, size: int
) -> int:
    """Make the blocks pending that hold or touch a lowered voxel; returns the heap's new size."""
    for a in range(max(-1, -block[0]), min(2, counts[0] - block[0])):
        for b in range(max(-1, -block[1]), min(2, counts[1] - block[1])):
            for c in range(max(-1, -block[2]), min(2, counts[2] - block[2])):
                other = ((block[0] + a) * counts[1] + block[1] + b) * counts[2] + block[2] + c
                value = _lowest_towards(lowest, a, b, c)
                if not value < key[other]:
                    continue
                key[other] = value
                if place[other] < 0:
                    heap[size], place[other] = other, size
                    size += 1
                _sift_up(heap, place, key, place[other])
    return size


@compiled
def lower_to_exact(
    image: Floats, distance: Floats, label: NDArray[Any], pending: Floats, costs: Floats, rule: Rule
) -> int:
    """Lower distances to the exact ones, in place; returns the number of blocks worked on.

    Args:
        image: float32, shape (C, 16 a + 2, 16 b + 2, 16 c + 2), NaN at walls and all round.
        distance: float32, shape of a channel: the seeds' start values, elsewhere a bound that nothing may pass.
        label: Unsigned integers, shape of a channel: the seeds' labels, elsewhere 0.
        pending: float32, shape (a, b, c): smallest start value in each block, infinite where it has none.
        costs: float32, shape (3, 2, 4): for sweeps along z, y, x: slope and constant of a straight step, one aside
            along the row, one aside across it, both. Rows run along x, in sweeps along x along z.
        rule: None for one channel and a cost without a denominator; else the number of channels, whether their
            differences add up, and the two numbers of the denominator.
    """
    counts = pending.shape
    key = pending.copy().reshape(-1)
    heap = np.empty(key.size, np.int64)
    place = np.full(key.size, -1, np.int64)
    size = 0
    for i in range(key.size):
        if key[i] < np.inf:
            heap[size], place[i] = i, size
            size += 1
            _sift_up(heap, place, key, size - 1)
    buffer = np.empty((2 + image.shape[0]) * _SIZE, np.float32)
    turned = np.empty_like(buffer)
    lowest = np.empty((3, 3, 3), np.float32)
    lanes = np.uint64(LANES)
    visits = 0
    while size > 0:
        i = _pop(heap, place, key, size)
        size -= 1
        key[i] = np.inf
        block = (i // (counts[1] * counts[2]), i // counts[2] % counts[1], i % counts[2])
        corner = (block[0] * BLOCK, block[1] * BLOCK, block[2] * BLOCK)
        _load(buffer, turned, image, distance, label, corner)
        _sweep_block(buffer, turned, lanes, costs, rule)
        _store(buffer, distance, label, corner, lowest)
        size = _mark_pending(lowest, block, counts, key, heap, place, size)
        visits += 1
    return visits


def neighbour_steps() -> Integers:
    """The 26 steps (z, y, x) to a voxel's neighbours; shape (26, 3)."""
    steps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 3)
    return steps[np.any(steps != 0, axis=1)]
