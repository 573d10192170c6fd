"""The support's own mask, grown from its strokes: what a stroke grows into is seen as soon as it is painted.

It is the mask that `support.prepare_support` makes, without networks: of them only an HU window is needed. What does
not depend on the strokes is computed once per support. Imports no PyTorch, so that it is there within a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box, box_on_grid, cropped, whole_box
from OneShotSegLib.imaging.ct import read_ct
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.resampling import working_grid
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.expansion import ExpansionSettings, expand, measure_extent, part_in_extent
from OneShotSegLib.method.scribbles import check_grid, points_of
from OneShotSegLib.method.structures import structures_of
from OneShotSegLib.method.tubular_tracking import TrackingSettings, track_tubular


@dataclass(frozen=True, kw_only=True)
class OwnMaskSettings:
    """How strokes grow in their own CT; the values are those of `settings.DEFAULT`, which needs PyTorch.

    Attributes:
        tracking: How tubular structures are tracked beyond their strokes.
        expansion: How strokes grow.
        smooth_mm: Width of the smoothing of the borders on the CT's own grid, mm.
        window: HU to 0-1.
    """

    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    expansion: ExpansionSettings = field(default_factory=ExpansionSettings)
    smooth_mm: float = 2.0
    window: HUWindow = field(default_factory=HUWindow)


class OwnMask(NamedTuple):
    """A support's own mask.

    Attributes:
        labels: The part of the mask that holds all of it, shape of the box.
        box: Where that part lies in the CT; outside of it the mask is empty.
        segments: The structures that have strokes.
        without_strokes: Names of those that have none, and are left out.
    """

    labels: NDArray[np.uint8]
    box: Box
    segments: tuple[Segment, ...]
    without_strokes: tuple[str, ...]


class SupportPreview:
    """A support whose own mask is grown again and again, as strokes are added.

    Args:
        ct: The CT in HU.
        settings: Of the growth.
    """

    def __init__(self, ct: Volume, settings: OwnMaskSettings | None = None) -> None:
        self.ct, self.settings = ct, settings or OwnMaskSettings()
        spacing = self.settings.expansion.spacing
        if spacing is None:
            raise InputError("Expected settings with a voxel size for the expansion, found none.")
        self._image = read_ct(ct, working_grid(ct, spacing), self.settings.window)

    def grow(self, scribbles: LabelMap, check: Callable[[], None] = lambda: None) -> OwnMask:
        """Grow strokes into masks.

        Args:
            scribbles: All strokes, on the CT's grid; structures without strokes are left out.
            check: Called between the steps; what it raises ends the growth.

        Raises:
            InputError: If there is no stroke on the background or on any structure, or the grid is another one.
        """
        check_grid(scribbles.volume, self.ct)
        around = bounding_box(scribbles.volume.array > 0)
        # All that follows looks at the strokes alone: a CT has fifty million voxels.
        strokes = scribbles.volume if around is None else cropped(scribbles.volume, around)
        painted = set(present_labels(strokes.array))
        there = tuple(s for s in scribbles.segments if s.value in painted or s.is_background_stroke)
        structures = structures_of(LabelMap(strokes, there))
        check()
        settings = self.settings
        points = track_tubular(points_of(strokes), structures, self._image, self.ct, settings.tracking)
        check()
        extent = measure_extent(points, structures, settings.expansion, self._image)
        part = part_in_extent(self._image, points, extent, settings.expansion)
        expansion = expand(part, points, structures, extent, settings.expansion)
        check()
        box = box_on_grid(whole_box(part.shape), part, self.ct) or tuple(slice(0, 1) for _ in range(3))
        labels = resample_labels(expansion.soft, cropped(self.ct, box), settings.smooth_mm)
        check()
        missing = tuple(s.name for s in scribbles.segments if s not in there)
        return OwnMask(labels.array, box, structures.foreground, missing)

    def whole(self, found: OwnMask) -> LabelMap:
        """A mask on the CT's whole grid."""
        array = np.zeros(self.ct.shape, np.uint8)
        array[found.box] = found.labels
        return LabelMap(self.ct.with_array(array), found.segments)
