"""Scribbles as a clinician would paint them, from a full label map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from OneShotSegLib.imaging.boxes import box_between, grown

BoolMask = NDArray[np.bool_]

DAB_VOXELS = 4
"""A line shorter than this is painted as a dab of the brush."""


@dataclass(frozen=True, kw_only=True)
class PaintingStyle:
    """How strokes are painted.

    Attributes:
        slices: Slices on which each structure gets a stroke, at least.
        one_more_per_mm: Length of a structure, mm, that adds one slice.
        brush: Width of the brush as a share of the structure's own at each place; 0 for a line of single voxels.
        gap_mm: Distance of a background stroke from the structures: nobody paints right along an edge.
    """

    slices: int = 4
    one_more_per_mm: float = 20.0
    brush: float = 0.5
    gap_mm: float = 5.0


DEFAULT_STYLE = PaintingStyle()


def strokes_from_mask(
    labels: NDArray[np.integer],
    spacing: ArrayLike,
    background: int,
    inside_body: BoolMask | None = None,
    style: PaintingStyle = DEFAULT_STYLE,
) -> NDArray[np.uint8]:
    """Strokes for every structure of a label map and background strokes around them; deterministic.

    Each structure gets one medial stroke on each of some axial slices spread over it. On the same slices a background
    stroke goes around the structures.

    Args:
        labels: Label map, shape (D, H, W), 0 outside the structures.
        spacing: In mm, z, y, x.
        background: Value of the background strokes.
        inside_body: Where background strokes may lie; everywhere if None. Shape (D, H, W).
        style: How they are painted.

    Returns:
        Label map of the strokes, shape (D, H, W).
    """
    size = np.asarray(spacing, dtype=np.float64)
    strokes = np.zeros(labels.shape, dtype=np.uint8)
    values = [int(value) for value in np.unique(labels) if value not in (0, background)]
    chosen: set[int] = set()
    for value in values:
        mask = labels == value
        for z in slices_to_paint(mask, float(size[0]), style):
            strokes[z][brushed(medial_stroke(mask[z], size[1:]), mask[z], size[1:], style.brush)] = value
            chosen.add(z)
    for z in sorted(chosen):
        allowed = None if inside_body is None else inside_body[z]
        strokes[z][background_stroke(labels[z] > 0, size[1:], style.gap_mm, allowed)] = background
    return strokes


def slices_to_paint(mask: BoolMask, slice_mm: float, style: PaintingStyle = DEFAULT_STYLE) -> list[int]:
    """Slices spread over a structure, away from its thin ends."""
    occupied = np.flatnonzero(mask.any(axis=(1, 2)))
    if len(occupied) == 0:
        return []
    count = style.slices + int(len(occupied) * slice_mm // style.one_more_per_mm)
    fractions = (np.arange(count) + 0.5) / count
    return sorted({int(occupied[int(fraction * len(occupied))]) for fraction in fractions})


def medial_stroke(mask: BoolMask, spacing: NDArray[np.float64]) -> BoolMask:
    """A line along the middle of a region's largest piece, or a dab where it is round; shape (H, W)."""
    pieces, count = ndimage.label(mask)
    if count == 0:
        return np.zeros_like(mask)
    largest = pieces == 1 + int(np.argmax(ndimage.sum_labels(mask, pieces, np.arange(1, count + 1))))
    depth = _depth(largest, spacing)
    line = thinned(largest)
    # A painter ends a stroke before the border and leaves out the side branches of a skeleton.
    line &= depth >= 0.5 * depth[line].max()
    joined, _ = ndimage.label(line, structure=np.ones((3, 3)))
    sizes = np.bincount(joined.ravel())
    sizes[0] = 0
    stroke: BoolMask = joined == int(sizes.argmax())
    if np.count_nonzero(stroke) < DAB_VOXELS:
        stroke = ndimage.binary_dilation(stroke) & (depth >= 0.4 * depth.max())
    return stroke


def brushed(line: BoolMask, mask: BoolMask, spacing: NDArray[np.float64], brush: float) -> BoolMask:
    """A line painted with a brush of ``brush`` times the region's own width at each place, shape (H, W)."""
    depth = _depth(mask, spacing)
    painted = line.copy()
    for place in np.argwhere(line):
        radius = brush * depth[tuple(place)]
        # Only around the place: a slice of a clinical CT is much larger than a brush.
        margin = np.ceil(radius / spacing).astype(int)
        near = grown(box_between(place, place + 1), margin, line.shape)
        rows, columns = (np.arange(part.start, part.stop) - p for part, p in zip(near, place, strict=True))
        dab = np.hypot(rows[:, None] * spacing[0], columns[None] * spacing[1]) <= radius
        painted[near] |= dab
    return painted & mask


def _depth(mask: BoolMask, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of a region's pixels from its border, mm; the image's edge is border too."""
    found: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1]
    return found


def thinned(mask: BoolMask) -> BoolMask:
    """A region's skeleton by Zhang and Suen's thinning, shape (H, W)."""
    image = np.pad(mask, 1)
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            removable = _removable(image, first)
            changed |= bool(removable.any())
            image &= ~removable
    result = image[1:-1, 1:-1]
    # Thinning can eat a square of 2 x 2 voxels whole.
    return result if result.any() else mask.copy()


def _removable(image: BoolMask, first: bool) -> BoolMask:
    """The border voxels that one half step of the thinning takes away."""
    moves = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    around = [np.roll(image, (-dy, -dx), axis=(0, 1)) for dy, dx in moves]
    count = np.sum(around, axis=0)
    changes = sum((~a & b).astype(np.uint8) for a, b in zip(around, around[1:] + around[:1], strict=True))
    north, east, south, west = around[0], around[2], around[4], around[6]
    if first:
        side = ~(north & east & south) & ~(east & south & west)
    else:
        side = ~(north & east & west) & ~(north & south & west)
    found: BoolMask = image & (count >= 2) & (count <= 6) & (changes == 1) & side
    return found


def background_stroke(
    structures: BoolMask, spacing: NDArray[np.float64], gap_mm: float, allowed: BoolMask | None = None
) -> BoolMask:
    """A thin line around the structures of a slice, ``gap_mm`` away from them, shape (H, W)."""
    distance = ndimage.distance_transform_edt(~structures, sampling=spacing)
    line = (distance >= gap_mm) & (distance < gap_mm + 1.1 * spacing.max())
    found: BoolMask = line if allowed is None else line & allowed
    return found
