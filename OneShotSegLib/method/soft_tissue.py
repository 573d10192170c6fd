"""CTs in the window in which support and query are compared: where organs differ from each other and from fat."""

from __future__ import annotations

import numpy as np

from OneShotSegLib.imaging.boxes import bounding_box, box_on_grid, cropped, grown, whole_box
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.volume import Volume

SOFT_TISSUE = HUWindow((-160.0, 240.0), (0.0, 1.0))


def soft_tissue_around(labels: Volume, ct: Volume, margin_mm: float) -> Volume:
    """A CT in 0-1 around masks.

    Args:
        labels: Masks in the same patient, on any grid; values below 1 are unlabelled.
        ct: The CT in HU.
        margin_mm: How far beyond the masks.

    Returns:
        On the CT's own grid, cropped; all of it if the masks are empty.
    """
    box = bounding_box(labels.array > 0)
    near = None if box is None else box_on_grid(grown(box, 1, labels.shape), labels, ct)
    box = whole_box(ct.shape) if near is None else grown(near, np.ceil(margin_mm / ct.spacing), ct.shape)
    part = cropped(ct, box)
    return part.with_array(SOFT_TISSUE.apply(part.array))
