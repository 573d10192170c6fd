"""From class probabilities on a working grid to labels on a volume's own grid, with borders within working voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.boxes import Box, bounding_box, box_on_grid, cropped, grown
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.volume import Volume

MARGIN_VOXELS = 2


def most_likely(probabilities: NDArray[np.float32], grid: Volume, target: Volume) -> NDArray[np.uint8]:
    """The most likely channel at each voxel of another grid; interpolated probabilities give borders without steps.

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
    there = box_on_grid(box, grid, target)
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
    """The box around all voxels whose most likely class is not the background, with a margin; None without such."""
    box = bounding_box(probabilities.argmax(axis=0) > 0)
    return None if box is None else grown(box, MARGIN_VOXELS, probabilities.shape[1:])
