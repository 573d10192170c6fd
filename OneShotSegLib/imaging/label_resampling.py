"""Resampling of label maps by the share of each voxel that belongs to each label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.boxes import Box, box_on_grid, box_shape, cropped, grown, label_boxes, union, within
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume


def resample_labels(labels: Volume | SoftLabels, grid: Volume, smooth_mm: float = 0.0) -> Volume:
    """Resample a label map: each voxel of the grid gets the label with the greatest share of it (ties: the lower).

    Nearest-neighbour interpolation makes steps and loses thin structures on coarser grids; shares do not. Each label is
    resampled only where its smoothed shape can be, so small structures on a large grid cost little.

    Args:
        labels: Label map, shape (D, H, W); values below 1 are unlabelled. `SoftLabels` are
            resampled with their shares.
        grid: The grid of the result, shape (D', H', W'); its voxels are not used.
        smooth_mm: Standard deviation of a Gaussian that smooths each label's border first; half the radius of the
            largest ball within the label where that is less, so that thin structures do not vanish.

    Returns:
        A map of the labels' type, shape (D', H', W').
    """
    volume = label_volume(labels)
    if labels is volume and volume.same_grid(grid) and smooth_mm <= 0:
        return volume
    result = np.zeros(grid.shape, dtype=volume.array.dtype)
    of_label = resampling_boxes(labels, grid, smooth_mm)
    if not of_label:
        return grid.with_array(result)
    whole = union([boxes.target for boxes in of_label.values()])
    best = np.zeros(box_shape(whole), dtype=np.float32)
    labelled = np.zeros_like(best)
    for value, boxes in sorted(of_label.items()):
        share = label_share(labels, value, boxes, grid, smooth_mm)
        inside = within(boxes.target, whole)
        wins = share > best[inside]
        result[boxes.target][wins] = value
        best[inside][wins] = share[wins]
        labelled[inside] += share
    result[whole][1 - labelled >= best] = 0
    return grid.with_array(result)


class ResamplingBoxes(NamedTuple):
    """The boxes between which a label is resampled.

    Attributes:
        source: In the label map: all voxels that the label's smoothed shape depends on.
        target: In the grid: all voxels that this shape can touch.
    """

    source: Box
    target: Box


def label_volume(labels: Volume | SoftLabels) -> Volume:
    """The label map without its voxels' shares."""
    return labels.labels if isinstance(labels, SoftLabels) else labels


def resampling_boxes(labels: Volume | SoftLabels, grid: Volume, smooth_mm: float = 0.0) -> dict[int, ResamplingBoxes]:
    """The boxes of each label of which some lies within the grid, by label."""
    volume = label_volume(labels)
    found = {value: _boxes(volume, box, grid, smooth_mm) for value, box in label_boxes(volume.array).items()}
    return {value: boxes for value, boxes in found.items() if boxes is not None}


def label_share(
    labels: Volume | SoftLabels, value: int, boxes: ResamplingBoxes, grid: Volume, smooth_mm: float = 0.0
) -> NDArray[np.float32]:
    """The share of each voxel of a label's target box that belongs to the label, 0-1.

    Args:
        labels: As for `resample_labels`.
        value: The label.
        boxes: Its boxes, from `resampling_boxes`.
        grid: As for `resample_labels`.
        smooth_mm: As for `resample_labels`.
    """
    from scipy import ndimage

    part = cropped(label_volume(labels), boxes.source)
    mask = part.array == value
    share = labels.share_of(value, boxes.source) if isinstance(labels, SoftLabels) else mask.astype(np.float32)
    if smooth_mm > 0:
        thickness = float(ndimage.distance_transform_edt(mask, sampling=part.spacing).max())
        share = ndimage.gaussian_filter(share, min(smooth_mm, thickness / 2) / part.spacing, mode="nearest")
    return resample(part.with_array(share), cropped(grid, boxes.target)).array


def _boxes(labels: Volume, box: Box, grid: Volume, smooth_mm: float) -> ResamplingBoxes | None:
    """The boxes of a label whose voxels lie in ``box``; None if none of it lies within the grid."""
    cosines = grid.direction.T @ labels.direction
    beyond = 1.5 * np.sqrt((cosines**2).T @ grid.spacing**2) + 2 * smooth_mm
    margin = np.ceil(beyond / labels.spacing).astype(int) + 2
    source = grown(box, margin, labels.shape)
    target = box_on_grid(source, labels, grid)
    return None if target is None else ResamplingBoxes(source, target)
