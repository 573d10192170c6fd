"""Regrowth: a query's mask grown anew around a reviewer's strokes, along the image, and nowhere else.

A stroke says two things: its own voxels have its label, and what lies under it was wrong. So only voxels change whose
label lies under the stroke, and only to the stroke's label: a background stroke in a leak takes from the leaking
structure alone, a stroke on what is missing takes from the background alone.

They change where the stroke, or what surely has its label, is nearer along the image than what surely keeps its own,
by exact geodesic distances. Sure are all other strokes, and voxels that belong to their label for the most part. Around
the stroke nothing else is sure: a stroke is painted in the middle of what is wrong, so this extends about as far behind
the stroke as the stroke's own label begins before it. Nothing changes beyond a fixed distance. Not in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, label
from scipy.spatial import cKDTree

from OneShotSegLib.geodesic import IntensityCost, geodesic_distances
from OneShotSegLib.imaging.boxes import Box, bounding_box, box_between, cropped, grown, union
from OneShotSegLib.imaging.ct import read_ct
from OneShotSegLib.imaging.intensity import HUWindow
from OneShotSegLib.imaging.labels import paint_points, present_labels
from OneShotSegLib.imaging.resampling import resample, working_grid
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Vector, Volume

BoolMask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]
NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
FAR = 1e4
STROKE, SURE = 1, 2
RIM_MM = 4.0


@dataclass(frozen=True, kw_only=True)
class RegrowthSettings:
    """How a mask regrows from strokes.

    Attributes:
        spacing: Voxel size of the grid it grows on, mm [z, y, x].
        limit_mm: Nothing farther than this from the nearest new stroke's voxel changes.
        widest_mm: Distance over which a stroke can change labels, mm, below the limit by some voxels of that grid.
        depth_factor: How far nothing but strokes is sure around a stroke, in units of its depth: its distance from
            what has its label already.
        margin_mm: What is added to that.
        missing_mm: Depth from which the stroke's structure counts as missing here; deeper is no more than that.
        width_factor: How far nothing is sure around a stroke in a structure that is missing, in units of half the
            stroke's width, where that is more.
        sure_share: Share of a voxel from which it surely belongs to its label.
        inner_mm: Where shares are not known, the depth within a label's mask from which its voxels are sure.
        farthest: How much farther than what keeps its label a stroke may be, and still take a voxel with the help of
            what surely has the stroke's label.
        least_share: Share of a stroke's wrong voxels from which a label counts as lying under the stroke.
        spatial_weight: Cost of 1 mm of path in addition to the intensity differences.
        smooth_mm: Standard deviation of the Gaussian that smooths the image first.
    """

    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)
    limit_mm: float = 40.0
    widest_mm: float = 30.0
    depth_factor: float = 1.0
    margin_mm: float = 2.0
    missing_mm: float = 15.0
    width_factor: float = 3.5
    sure_share: float = 0.85
    inner_mm: float = 4.2
    farthest: float = 2.0
    least_share: float = 0.2
    spatial_weight: float = 0.01
    smooth_mm: float = 1.0


DEFAULT_REGROWTH = RegrowthSettings()


@dataclass(frozen=True, eq=False, kw_only=True)
class ReviewedCT:
    """A query under review, with what does not depend on its strokes.

    Attributes:
        ct: The CT in HU, shape (D, H, W).
        background: Value of the background strokes.
        prior: The pseudo mask with its voxels' shares, on any axis-aligned grid; None if it is not known.
        window: HU to 0-1.
    """

    ct: Volume
    background: int
    prior: SoftLabels | None = None
    window: HUWindow = field(default_factory=HUWindow)

    def mask_value(self, stroke: int) -> int:
        """The value in a mask of what a stroke of this value paints."""
        return 0 if stroke == self.background else stroke


class Regrown(NamedTuple):
    """A regrown mask.

    Attributes:
        mask: Labels, shape (D, H, W), 0 for background.
        box: Where it was worked on: outside of it the mask is as it was; None if nowhere.
    """

    mask: Labels
    box: Box | None


class StrokeGroup(NamedTuple):
    """New strokes of one value that touch one another.

    Attributes:
        value: Their value, as painted.
        voxels: Their indices, shape (N, 3).
    """

    value: int
    voxels: NDArray[np.intp]


def regrow(
    case: ReviewedCT,
    mask: Labels,
    strokes: Labels,
    new: BoolMask,
    settings: RegrowthSettings = DEFAULT_REGROWTH,
    check: Callable[[], None] = lambda: None,
) -> Regrown:
    """Grow a mask anew around new strokes.

    Args:
        case: The case.
        mask: Its mask on the CT's grid, shape (D, H, W); 0 is background.
        strokes: All strokes of its reviewer, old and new, on the same grid; 0 where nothing is painted.
        new: Which of the painted voxels are new, on the same grid.
        settings: Of the regrowth.
        check: Called between the steps; what it raises ends the regrowth.

    Returns:
        Another mask, in which every new stroke has its label, no older stroke lost its own, and nothing farther than
        the limit from a new stroke differs.
    """
    result = mask.copy()
    boxes = []
    for group in stroke_groups(case.ct, strokes, new, settings):
        check()
        boxes.append(_box_around(group.voxels, case.ct, settings.limit_mm))
        _regrow_around(case, result, strokes, group, boxes[-1], settings, check)
    return Regrown(result, union(boxes) if boxes else None)


def stroke_groups(ct: Volume, strokes: Labels, new: BoolMask, settings: RegrowthSettings) -> list[StrokeGroup]:
    """The new strokes, shape (D, H, W), those of one value that touch one another together; the largest first."""
    box = bounding_box(new)
    if box is None:
        return []
    index = np.argwhere(new[box]) + [part.start for part in box]
    values = strokes[tuple(index.T)]
    # Cells as large as the grid's voxels, where the CT's are smaller; neighbours among voxels are neighbours there.
    cells = np.floor(index * np.minimum(ct.spacing / settings.spacing, 1.0)).astype(int)
    cells -= cells.min(axis=0)
    groups = []
    for value in present_labels(values):
        own = values == value
        painted = np.zeros(cells.max(axis=0) + 1, dtype=bool)
        painted[tuple(cells[own].T)] = True
        number = label(painted, NEIGHBOURS)[0][tuple(cells[own].T)]
        order = np.argsort(number, kind="stable")
        parts = np.split(index[own][order], np.flatnonzero(np.diff(number[order])) + 1)
        groups += [StrokeGroup(value, part) for part in parts]
    return sorted(groups, key=lambda group: -len(group.voxels))


def _regrow_around(
    case: ReviewedCT,
    mask: Labels,
    strokes: Labels,
    group: StrokeGroup,
    box: Box,
    settings: RegrowthSettings,
    check: Callable[[], None],
) -> None:
    """Change a mask in place around strokes of one value that touch one another."""
    own = case.mask_value(group.value)
    under = mask[tuple(group.voxels.T)]
    wrong = under != own
    if not wrong.any():
        return
    counts = np.bincount(under[wrong], minlength=256)
    contested = np.flatnonzero(counts >= max(settings.least_share * counts.sum(), 1))
    part, painted = mask[box], np.zeros(cropped(case.ct, box).shape, dtype=bool)
    painted[tuple((group.voxels - [p.start for p in box]).T)] = True
    around = _Surroundings.of(case, part, strokes[box], painted, group.value, cropped(case.ct, box), settings)
    check()
    share = _share_of_stroke(around, _unsure_mm(around, painted, settings), contested, settings, check)
    takes = (resample(around.grid.with_array(share), cropped(case.ct, box)).array > 0.5) & np.isin(part, contested)
    # A stroke that is there already keeps its label, whatever the new one says of its neighbours.
    takes &= strokes[box] == 0
    index = np.argwhere(takes)
    near = np.isfinite(_distances_mm(index, np.argwhere(painted), case.ct.spacing, settings.limit_mm))
    part[tuple(index[near].T)] = own
    part[painted] = own


@dataclass(frozen=True, eq=False, kw_only=True)
class _Surroundings:
    """What lies around strokes, on the grid on which the mask grows.

    Attributes:
        own: The value that the strokes give, as masks have it.
        grid: The grid.
        image: The CT in 0-1, smoothed, shape (d, h, w).
        labels: The mask.
        start: Where the strokes are.
        others: Where other strokes are that give another value.
        far_from: Distance from the strokes, mm.
        shares: How much of each voxel belongs to its label.
    """

    own: int
    grid: Volume
    image: Floats
    labels: Labels
    start: BoolMask
    others: BoolMask
    far_from: NDArray[np.float64]
    shares: Floats

    @classmethod
    def of(
        cls,
        case: ReviewedCT,
        mask: Labels,
        strokes: Labels,
        painted: BoolMask,
        value: int,
        ct: Volume,
        settings: RegrowthSettings,
    ) -> _Surroundings:
        """Read it from a crop of the CT with mask and strokes."""
        grid = working_grid(ct, settings.spacing)
        grid = cropped(grid, _box_of(grid, ct.to_world(np.argwhere(painted)), settings.widest_mm + RIM_MM))
        start = _painted_on(ct.with_array(painted.astype(np.uint8)), grid) > 0
        seeds = _painted_on(ct.with_array(strokes), grid)
        labels = resample(ct.with_array(mask), grid, order=0).array
        image = read_ct(ct, grid, case.window).array
        return cls(
            own=case.mask_value(value),
            grid=grid,
            image=gaussian_filter(image, settings.smooth_mm / grid.spacing),
            labels=labels,
            start=start,
            others=(seeds > 0) & (seeds != value) & ~start,
            far_from=distance_transform_edt(~start, sampling=grid.spacing),
            shares=_shares(case.prior, labels, grid, settings),
        )


def _shares(prior: SoftLabels | None, labels: Labels, grid: Volume, settings: RegrowthSettings) -> Floats:
    """How much of each voxel belongs to its label: as the prior has it where it has that label, else by depth."""
    found = np.zeros(labels.shape, np.float32)
    for value in np.unique(labels):
        mask = labels == value
        # The grid's edge is no border of a structure.
        depth = distance_transform_edt(np.pad(mask, 1, mode="edge"), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
        found[mask] = np.minimum(0.5 + (settings.sure_share - 0.5) * depth[mask] / settings.inner_mm, 1.0)
    if prior is None:
        return found
    shares = resample(prior.labels.with_array(prior.shares), grid, order=0).array
    same = resample(prior.labels, grid, order=0).array == labels
    # Outside the prior's grid nothing is known: there the shares are 0.
    return np.where(same & (shares > 0), shares, found).astype(np.float32)


def _unsure_mm(around: _Surroundings, painted: BoolMask, settings: RegrowthSettings) -> float:
    """How far around the strokes nothing but other strokes is sure."""
    there = (around.labels == around.own) & ~around.start
    depth = np.inf
    if there.any():
        # Between voxels' centres; the border lies half a voxel before the centre.
        distance = distance_transform_edt(~there, sampling=around.grid.spacing)
        depth = float(distance[around.start].max()) - float(around.grid.spacing.max()) / 2
    unsure = settings.depth_factor * min(depth, settings.missing_mm) + settings.margin_mm
    if around.own and depth >= settings.missing_mm:
        unsure = max(unsure, settings.width_factor * _half_width(around))
    return float(min(unsure, settings.widest_mm))


def _half_width(around: _Surroundings) -> float:
    """Half the width of the strokes within the slices, mm."""
    spacing = around.grid.spacing[1:]
    planes = around.start[around.start.any(axis=(1, 2))]
    return max(float(distance_transform_edt(np.pad(plane, 1), sampling=spacing).max()) for plane in planes)


def _share_of_stroke(
    around: _Surroundings,
    unsure_mm: float,
    contested: Collection[int],
    settings: RegrowthSettings,
    check: Callable[[], None],
) -> Floats:
    """How much of each voxel the strokes take, 0-1, shape (d, h, w)."""
    can_change = np.isin(around.labels, list(contested))
    is_own = around.labels == around.own
    sure = around.shares >= settings.sure_share
    beyond = around.far_from > settings.widest_mm
    keeping = (around.others | (can_change & (beyond | (sure & (around.far_from > unsure_mm))))) & ~around.start
    region = can_change | is_own | around.others | around.start
    seeds = np.where(around.start, STROKE, np.where(is_own & sure & ~keeping, SURE, 0)).astype(np.uint8)
    near = _distance(around, seeds > 0, region, settings)
    check()
    far = _distance(around, keeping, region, settings)
    check()
    alone = _distance(around, around.start, region, settings)
    share = far / np.maximum(near + far, 1e-6)
    share[(alone > settings.farthest * far) | beyond] = 0
    share[around.start] = 1
    found: Floats = _continued(share, region).astype(np.float32)
    return found


def _distance(around: _Surroundings, seeds: BoolMask, region: BoolMask, settings: RegrowthSettings) -> Floats:
    if not seeds.any():
        return np.full(seeds.shape, FAR, np.float32)
    cost = IntensityCost(1.0, settings.spatial_weight)
    found = geodesic_distances(around.image, seeds.astype(np.uint8), around.grid.spacing, cost, region=region)
    return np.minimum(found.distance, np.float32(FAR))


def _continued(values: Floats, region: BoolMask) -> Floats:
    """Values of a region, continued beyond its border, so that it is not the border's voxels that are interpolated."""
    rim = binary_dilation(region, NEIGHBOURS) & ~region
    if not rim.any():
        return values
    nearest = distance_transform_edt(~region, return_distances=False, return_indices=True)
    found = values.copy()
    found[rim] = values[tuple(axis[rim] for axis in nearest)]
    return found


def _painted_on(labels: Volume, grid: Volume) -> Labels:
    """Strokes on another grid: none is lost on a coarser one, and none is full of gaps on a finer one."""
    box = bounding_box(labels.array > 0)
    if box is None:
        return np.zeros(grid.shape, np.uint8)
    part = cropped(labels, box)
    index = np.argwhere(part.array > 0)
    points = paint_points(grid, part.to_world(index), part.array[tuple(index.T)])
    return np.where(points > 0, points, resample(part, grid, order=0).array)


def _distances_mm(
    index: NDArray[np.intp], painted: NDArray[np.intp], spacing: Vector, limit_mm: float
) -> NDArray[np.float64]:
    """Distance of voxels (N, 3) from the nearest painted one (M, 3), mm; infinite beyond the limit."""
    if not len(index):
        return np.empty(0)
    tree = cKDTree(painted * spacing)
    found: NDArray[np.float64] = tree.query(index * spacing, distance_upper_bound=np.nextafter(limit_mm, np.inf))[0]
    return found


def _box_around(index: NDArray[np.intp], ct: Volume, margin_mm: float) -> Box:
    """The box of a CT with all voxels within a distance of some, (N, 3)."""
    box = box_between(index.min(axis=0), index.max(axis=0) + 1)
    return grown(box, np.ceil(margin_mm / ct.spacing).astype(int) + 1, ct.shape)


def _box_of(grid: Volume, world: Vector, margin_mm: float) -> Box:
    """The box of a grid with all voxels within a distance of positions, (N, 3)."""
    index, margin = grid.to_index(world), margin_mm / grid.spacing
    most = np.asarray(grid.shape)
    low = np.clip(np.floor(index.min(axis=0) - margin).astype(int), 0, most - 1)
    return box_between(low, np.clip(np.ceil(index.max(axis=0) + margin).astype(int) + 1, low + 1, most))
