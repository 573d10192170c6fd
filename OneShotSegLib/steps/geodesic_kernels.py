"""The compiled loops of the geodesic distances.

Volumes are flat arrays with a border of one voxel on every side. A voxel whose image is NaN (the border, and what lies
outside the region) is a wall: every step from or to it costs NaN, which is less than nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Number = float | np.floating

_CHUNK = 62


@njit(cache=True, nogil=True)
def _difference(image: Floats, u: int, v: int, sums: bool) -> float:
    """Intensity difference between two voxels of an image (voxels, channels)."""
    if image.shape[1] == 1:
        return abs(image[v, 0] - image[u, 0])
    total = np.float32(0)
    for c in range(image.shape[1]):
        step = abs(image[v, c] - image[u, c])
        total += step if sums else step * step
    return total if sums else np.sqrt(total)


@njit(cache=True, nogil=True)
def spread(  # noqa: C901
    image: Floats,
    distance: Floats,
    label: NDArray[np.int16],
    seeds: NDArray[np.int32],
    offsets: NDArray[np.int64],
    slope: Floats,
    constant: Floats,
    bend: Number,
    base: Number,
    sums: bool,
    width: Number,
) -> None:
    """Shortest paths by a ring of buckets; exact, for a voxel that improves is visited again."""
    ring = np.int64(4096)
    mask = ring - 1
    inverse = np.float32(1) / width
    head = np.full(ring, -1, np.int32)
    fill = np.zeros(ring, np.int32)
    chunks = seeds.size // _CHUNK + 2 * ring
    voxel = np.empty((chunks, _CHUNK), np.int32)
    value = np.empty((chunks, _CHUNK), np.float32)
    link = np.arange(1, chunks + 1).astype(np.int32)
    free = 0
    live = 0
    current = np.int64(distance[seeds[0]] * inverse)
    for i in range(seeds.size):
        current = min(current, np.int64(distance[seeds[i]] * inverse))
    pending = 0
    while pending < seeds.size or live > 0:
        u = seeds[0]
        d = np.float32(0)
        first = pending < seeds.size
        if first:
            u = seeds[pending]
            d = distance[u]
            pending += 1
        else:
            slot = current & mask
            h = head[slot]
            if h < 0:
                current += 1
                continue
            fill[slot] -= 1
            u = voxel[h, fill[slot]]
            d = value[h, fill[slot]]
            if fill[slot] == 0:
                head[slot] = link[h]
                fill[slot] = _CHUNK
                link[h] = free
                free = h
            live -= 1
            if d != distance[u]:
                continue
        for k in range(26):
            v = u
            nd = d
            if not first:
                v = u + offsets[k]
                diff = _difference(image, u, v, sums)
                step = slope[k] * diff + constant[k]
                if bend != 0 or base != 1:
                    step /= bend * diff + base
                nd = d + step
                if not nd <= distance[v]:
                    continue
                if nd == distance[v] and label[v] <= label[u]:
                    continue
                distance[v] = nd
                label[v] = label[u]
            slot = min(np.int64(nd * inverse), current + mask) & mask
            h = head[slot]
            if h < 0 or fill[slot] == _CHUNK:
                if free == chunks:
                    voxel = np.concatenate((voxel, np.empty_like(voxel)))
                    value = np.concatenate((value, np.empty_like(value)))
                    link = np.concatenate((link, np.arange(chunks + 1, 2 * chunks + 1).astype(np.int32)))
                    chunks *= 2
                h = free
                free = link[h]
                link[h] = head[slot]
                head[slot] = h
                fill[slot] = 0
            voxel[h, fill[slot]] = v
            value[h, fill[slot]] = nd
            fill[slot] += 1
            live += 1
            if first:
                break


@njit(cache=True, nogil=True)
def raster_sweep(
    image: Floats,
    distance: Floats,
    offsets: NDArray[np.int64],
    lengths: Floats,
    lamb: Number,
    backward: bool,
) -> None:
    """One of GeodisTK's sweeps, in its order of voxels, on (voxels, channels) with a border of NaN.

    Args:
        image: float32, shape (D + 2, H + 2, W + 2, C); NaN on the border.
        distance: float32, shape (D + 2, H + 2, W + 2); changed in place.
        offsets: int, shape (13, 3): z, y, x of the neighbours looked at.
        lengths: float32, shape (13,): length of these steps in mm.
        lamb: Weight of the intensity, a float32 as in GeodisTK.
        backward: Whether to run from the last voxel to the first.
    """
    depth, height, width = distance.shape
    plain = 1.0 - np.float64(lamb)
    for i in range(1, depth - 1):
        z = depth - 1 - i if backward else i
        for j in range(1, height - 1):
            y = height - 1 - j if backward else j
            for k in range(1, width - 1):
                x = width - 1 - k if backward else k
                best = distance[z, y, x]
                for n in range(13):
                    a, b, c = z + offsets[n, 0], y + offsets[n, 1], x + offsets[n, 2]
                    gap = np.float32(0)
                    if image.shape[3] == 1:
                        gap = abs(image[z, y, x, 0] - image[a, b, c, 0])
                    else:
                        for channel in range(image.shape[3]):
                            step = image[z, y, x, channel] - image[a, b, c, channel]
                            gap += step * step
                        gap = np.sqrt(gap)
                    speed = np.float32(plain + lamb / (np.float64(gap) + 1e-5))
                    candidate = distance[a, b, c] + lengths[n] / speed
                    if candidate < best:
                        best = candidate
                distance[z, y, x] = best


def neighbour_steps() -> NDArray[np.int64]:
    """The 26 steps (z, y, x) to a voxel's neighbours; shape (26, 3)."""
    steps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 3)
    return steps[np.any(steps != 0, axis=1)]
