"""Label fusion of propagated masks: a weighted mean of their shares, then growth along the query's own image.

Each support's masks are weighted voxel by voxel by how alike its CT, warped onto the query, is to it. Where the masks
agree, their consensus is seed; in between, the border is found in the query's image by geodesic distance, as in the
expansion of scribbles. Not in the paper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.fusion.local_similarity import LocalSimilarity
from OneShotSegLib.fusion.share_sums import ShareSums
from OneShotSegLib.imaging.boxes import Box, bounding_box, box_between, cropped, grown, label_boxes
from OneShotSegLib.imaging.label_resampling import label_volume
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.expansion import Expansion, ExpansionSettings, grow_seeds
from OneShotSegLib.method.placement import Placement, read_at
from OneShotSegLib.method.settings import FusionSettings

LEAST_CORRELATION = 0.01
LEAST_WEIGHT = 1e-6
LEAST_CONSENSUS = 0.2
NEAR_THE_MOST = 0.9


@dataclass(frozen=True, eq=False, kw_only=True)
class PropagatedMasks:
    """Masks of a support, and where they lie in the query.

    Attributes:
        image: The support's CT around its masks in 0-1, on its own grid.
        labels: Its masks, on any grid in the support.
        values: Labels of the structures that it knows of, those too that it has not.
        placement: The map between support and query.
        weight: What the weight of its masks is multiplied by.
        grown: What its strokes, propagated, grew into in the query, on any axis-aligned grid there; None for a support
            without strokes.
        grown_weight: What the weight of that is multiplied by.
    """

    image: Volume
    labels: Volume | SoftLabels
    values: frozenset[int]
    placement: Placement
    weight: float = 1.0
    grown: SoftLabels | None = None
    grown_weight: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictedMasks:
    """What a trained network predicts in the query.

    Attributes:
        labels: Its masks, on any axis-aligned grid in the query.
        values: Labels of the structures that it knows of.
    """

    labels: SoftLabels
    values: frozenset[int]


@dataclass(frozen=True, eq=False, kw_only=True)
class FusedShares:
    """What share of the voxels of a grid in the query each structure has, by all candidates together.

    Attributes:
        grid: Axis-aligned, in the query; its voxels are not used.
        boxes: Where each structure can be, by label.
        shares: Its weighted mean share there, 0-1, float32, by label.
        supports: How many supports have it, by label.
        similarity: Local correlation of the query with the CT that is most like it there, 0-1, of all supports' CTs,
            warped; shape (D, H, W), float32.
    """

    grid: Volume
    boxes: Mapping[int, Box]
    shares: Mapping[int, NDArray[np.float32]]
    supports: Mapping[int, int]
    similarity: NDArray[np.float32]


def fuse_masks(
    candidates: Sequence[PropagatedMasks],
    image: Volume,
    settings: FusionSettings,
    predicted: PredictedMasks | None = None,
) -> FusedShares:
    """The weighted mean of all candidates' shares.

    A structure's share is the mean over the candidates that have it: one without it has no weight for it.

    Args:
        candidates: At least one.
        image: The query in 0-1 by the candidates' window, on the axis-aligned grid of the fusion, shape (D, H, W).
        settings: Of the fusion.
        predicted: A trained network's masks, which weigh the same everywhere; None without one.
    """
    similarity = LocalSimilarity(image.array, image.spacing, settings.similarity_mm)
    sums = ShareSums()
    having: Counter[int] = Counter()
    most_similar = np.zeros(image.shape, dtype=np.float32)
    for candidate in candidates:
        having.update(candidate.values)
        positions = candidate.placement.support_positions(image)
        correlation = similarity.to(read_at(candidate.image, positions))
        in_view = _in_view(candidate.image, positions)
        np.maximum(most_similar, correlation * in_view, out=most_similar)
        alike = np.maximum(correlation, LEAST_CORRELATION) ** np.float32(settings.similarity_power)
        alike *= in_view
        weight = alike * np.float32(candidate.weight) + LEAST_WEIGHT
        sums.add(weight, candidate.values, _warped(candidate.labels, positions))
        if candidate.grown is not None and candidate.grown_weight > 0:
            weight = alike * np.float32(candidate.grown_weight) + LEAST_WEIGHT
            sums.add(weight, candidate.values, _grown(candidate.grown, image))
    if predicted is not None:
        having.update(predicted.values)
        everywhere = np.full(image.shape, settings.network_weight, dtype=np.float32)
        sums.add(everywhere, predicted.values, _grown(predicted.labels, image))
    boxes, shares = sums.means()
    return FusedShares(
        grid=image,
        boxes=boxes,
        shares=shares,
        supports={value: having[value] for value in shares},
        similarity=most_similar,
    )


def grow_consensus(
    fused: FusedShares, image: Volume, background: int, fusion: FusionSettings, expansion: ExpansionSettings
) -> Expansion:
    """Grow masks from what most candidates agree on, along the query's image.

    Args:
        fused: What share each structure has.
        image: The query in 0-1 by the expansion's window, on the same grid.
        background: Value of the background stroke.
        fusion: Which shares are seeds.
        expansion: How seeds grow.
    """
    seeds = np.zeros(image.shape, dtype=np.uint8)
    together = np.zeros(image.shape, dtype=np.float32)
    for value, share in fused.shares.items():
        part = seeds[fused.boxes[value]]
        together[fused.boxes[value]] += share
        most = float(share.max(initial=0.0))
        sure = share > fusion.least_share(fused.supports[value])
        if not sure.any() and most > LEAST_CONSENSUS:
            # Thin or doubtful: the candidates hardly overlap, yet all have it hereabouts.
            sure = (share >= NEAR_THE_MOST * most) & (part == 0)
        part[sure] = value
    seeds[(together < fusion.background_under) & (seeds == 0)] = background
    # Seeds lie all over a structure: what is left is its border, which the image alone decides.
    return grow_seeds(image, seeds, replace(expansion, spatial_weight=fusion.spatial_weight), background)


def _in_view(image: Volume, positions: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which positions (3, D, H, W), mm, lie within an image; shape (D, H, W)."""
    inside = np.ones(positions.shape[1:], dtype=bool)
    to_index = np.linalg.inv(image.direction) / image.spacing[:, None]
    for row, extent in zip(to_index, image.shape, strict=True):
        index = np.tensordot(row.astype(np.float32), positions, axes=1) - np.float32(row @ image.origin)
        inside &= (index >= -0.5) & (index <= extent - 0.5)
    return inside


def _warped(
    labels: Volume | SoftLabels, positions: NDArray[np.float32]
) -> Iterator[tuple[int, Box, NDArray[np.float32]]]:
    """Each label with a box of the query's grid and its share of the voxels there."""
    volume = label_volume(labels)
    for value, box in label_boxes(volume.array).items():
        # One voxel more: the share falls to 0 between a mask's last voxel and the next.
        near = grown(box, 1, volume.shape)
        part = cropped(volume, near)
        target = bounding_box(_in_view(part, positions))
        if target is None:
            continue
        share = labels.share_of(value, near) if isinstance(labels, SoftLabels) else part.array == value
        yield value, target, read_at(part.with_array(share), positions[(slice(None), *target)])


def _grown(labels: SoftLabels, grid: Volume) -> Iterator[tuple[int, Box, NDArray[np.float32]]]:
    """The same of labels that lie in the query already, on an axis-aligned grid."""
    volume = labels.labels
    for value, box in label_boxes(volume.array).items():
        near = grown(box, 1, volume.shape)
        part = cropped(volume, near)
        low = np.maximum(np.floor(grid.to_index(part.origin) - 0.5), 0)
        high = np.minimum(np.ceil(grid.to_index(part.to_world(part.shape)) + 0.5), grid.shape)
        if (low >= high).any():
            continue
        target = box_between(low, high)
        index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in target), indexing="ij"), axis=-1)
        positions = np.moveaxis(grid.to_world(index), -1, 0).astype(np.float32)
        yield value, target, read_at(part.with_array(labels.share_of(value, near)), positions)
