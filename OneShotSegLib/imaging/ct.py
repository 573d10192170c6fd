"""A CT made ready for the networks: checked, on an axis-aligned working grid, in the 0-1 range."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from OneShotSegLib.imaging.intensity import AIR_HU, HUWindow
from OneShotSegLib.imaging.resampling import Box, resample, working_grid
from OneShotSegLib.imaging.volume import Volume


def prepare_ct(ct: Volume, spacing: ArrayLike, window: HUWindow) -> Volume:
    """Resample a CT in HU to an axis-aligned LPS grid of the given spacing and map it to 0-1; outside it is air.

    Args:
        ct: Any grid, any orientation, HU.
        spacing: Working voxel size, mm [z, y, x].
        window: HU to 0-1.
    """
    return read_ct(ct, working_grid(ct, spacing), window)


def read_ct(ct: Volume, grid: Volume, window: HUWindow) -> Volume:
    """A CT in HU on another grid, mapped to 0-1; outside it is air."""
    on_grid = resample(ct, grid, fill=AIR_HU)
    return on_grid.with_array(window.apply(on_grid.array))


def body_box(image: NDArray[np.float32], margin: int = 2) -> Box:
    """The index ranges [z, y, x] of all that is no air in a prepared CT, with a margin in voxels; all if it is air."""
    found = ndimage.find_objects((image > 0).astype(np.uint8))
    if not found:
        return tuple(slice(0, n) for n in image.shape)
    extents = zip(found[0], image.shape, strict=True)
    return tuple(slice(max(0, part.start - margin), min(n, part.stop + margin)) for part, n in extents)
