"""GeodisTK's raster scan, for results that were made with it; its own package needs a compiler and NumPy 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.geodesic.checks import as_channels, as_spacing, check_shape
from OneShotSegLib.geodesic.compiled import compiled
from OneShotSegLib.geodesic.costs import GeodisTKCost
from OneShotSegLib.geodesic.kernels import neighbour_steps

Floats = NDArray[np.float32]


def raster_scan_distance(
    image: ArrayLike,
    seed_mask: ArrayLike,
    spacing: ArrayLike,
    iterations: int = 2,
    lamb: float = 1.0,
) -> NDArray[np.float32]:
    """The approximate distance of GeodisTK's ``geodesic3d_raster_scan``, value for value.

    A forward and a backward sweep per iteration, in GeodisTK's order and with its half neighbourhoods. It is far from
    converged after two iterations on noisy images; use it only to reproduce results that were made with it.

    Args:
        image: Intensities, shape (D, H, W) or (C, D, H, W).
        seed_mask: Shape (D, H, W); where it is not 0 the distance is 0.
        spacing: Voxel size in mm, [z, y, x].
        iterations: Number of forward and backward pairs.
        lamb: Weight of the intensity against the length, 0 to 1.

    Returns:
        float32, shape (D, H, W); 1e10 where no seed reached.
    """
    channels = as_channels(image)
    mask = np.asarray(seed_mask) != 0
    check_shape("seed_mask", mask.shape, channels.shape[1:])
    steps, lengths = _half_neighbourhood(as_spacing(spacing).astype(np.float32))
    padded = np.full((*(n + 2 for n in mask.shape), channels.shape[0]), np.nan, np.float32)
    padded[1:-1, 1:-1, 1:-1] = np.moveaxis(channels, 0, -1)
    distance = np.full(padded.shape[:3], np.float32(1e10))
    distance[1:-1, 1:-1, 1:-1][mask] = 0
    weight = np.float32(GeodisTKCost(lamb).lamb)
    for _ in range(iterations):
        _sweep(padded, distance, steps, lengths, weight, False)
        _sweep(padded, distance, -steps, lengths, weight, True)
    return np.ascontiguousarray(distance[1:-1, 1:-1, 1:-1])


def _half_neighbourhood(spacing: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The 13 steps to the neighbours that GeodisTK's forward sweep uses, and their lengths in mm.

    Its sweep runs along x, then y, then z, but the half is cut by y first: it takes z + 1 with y - 1, not z - 1 with
    y + 1. The backward sweep's half is the mirror image.
    """
    steps = neighbour_steps()
    z, y, x = steps.T
    forward = (y < 0) | ((y == 0) & ((x < 0) | ((x == 0) & (z < 0))))
    half = steps[forward]
    squares = (half != 0) * (spacing * spacing)
    return half, np.sqrt(squares[:, 0] + squares[:, 1] + squares[:, 2], dtype=np.float32)


@compiled
def _sweep(
    image: Floats,
    distance: Floats,
    offsets: NDArray[np.int64],
    lengths: Floats,
    lamb: float | np.floating,
    backward: bool,
) -> None:
    """One of GeodisTK's sweeps, in its order of voxels, on (voxels, channels) with a border of NaN.

    Args:
        image: float32, shape (D + 2, H + 2, W + 2, C); NaN on the border.
        distance: float32, shape (D + 2, H + 2, W + 2); changed in place.
        offsets: int, shape (13, 3): z, y, x of the neighbours used.
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
