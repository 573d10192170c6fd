"""Preparation of a CT for the networks: on an axis-aligned working grid, in the 0-1 range."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.imaging.boxes import Box, bounding_box, grown, whole_box
from OneShotSegLib.imaging.intensity import AIR_HU, HUWindow
from OneShotSegLib.imaging.resampling import resample, working_grid
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
    """The box around everything but air in a prepared CT, with a margin in voxels; the whole box if all is air."""
    box = bounding_box(image > 0)
    return whole_box(image.shape) if box is None else grown(box, margin, image.shape)
