"""Class probabilities on a working grid as labels on a volume's own grid, borders finer than the working voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.imaging.resampling import Box, cropped, resample
from OneShotSegLib.imaging.volume import Volume

MARGIN_VOXELS = 2


def most_likely(probabilities: NDArray[np.float32], grid: Volume, target: Volume) -> NDArray[np.uint8]:
    """The most likely channel at each voxel of another grid; probabilities are read linearly, so no stairs appear.

    Args:
        probabilities: Shape (classes, D, H, W); channel 0 is the background, and what lies outside.
        grid: Where they lie, shape (D, H, W); its voxels are not used.
        target: Where to read them, shape (D', H', W'); its voxels are not used.

    Returns:
        Channels, shape (D', H', W').
    """
    result = np.zeros(target.shape, dtype=np.uint8)
    box = foreground_box(probabilities)
    if box is None:
        return result
    there = _reached(cropped(grid, box), target)
    if there is None:
        return result
    part, onto = cropped(grid, box), cropped(target, there)
    best = resample(part.with_array(probabilities[0][box]), onto, fill=1.0).array
    chosen = np.zeros(onto.shape, dtype=np.uint8)
    for channel in range(1, len(probabilities)):
        value = resample(part.with_array(probabilities[channel][box]), onto).array
        wins = value > best
        chosen[wins] = channel
        best[wins] = value[wins]
    result[there] = chosen
    return result


def foreground_box(probabilities: NDArray[np.float32]) -> Box | None:
    """The index ranges that hold all voxels where another channel than the background wins, with a margin."""
    found = ndimage.find_objects((probabilities.argmax(axis=0) > 0).astype(np.uint8))
    if not found:
        return None
    extents = zip(found[0], probabilities.shape[1:], strict=True)
    return tuple(slice(max(0, p.start - MARGIN_VOXELS), min(n, p.stop + MARGIN_VOXELS)) for p, n in extents)


def _reached(part: Volume, target: Volume) -> Box | None:
    """The index ranges of the target that lie within a part of another grid."""
    extent = np.asarray(part.shape)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in extent], indexing="ij")).reshape(3, -1).T
    index = target.to_index(part.to_world(corners))
    first = np.maximum(np.floor(index.min(axis=0)), 0).astype(int)
    last = np.minimum(np.ceil(index.max(axis=0)) + 1, target.shape).astype(int)
    if (first >= last).any():
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
