"""A CT made ready for the networks: checked, on an axis-aligned working grid, in the 0-1 range."""

from __future__ import annotations

from numpy.typing import ArrayLike

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
    on_grid = resample(ct, working_grid(ct, spacing), fill=AIR_HU)
    return on_grid.with_array(window.apply(on_grid.array))
