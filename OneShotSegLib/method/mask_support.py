"""A support with whole masks: a reviewed CT whose masks are propagated as they are; no strokes are made of them.

The networks need points to place it in a query: these are spread over the masks and over the tissue around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import bounding_box, cropped, grown
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.intensity import BODY_HU
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.alignment import AlignmentReference, align, prepare_alignment
from OneShotSegLib.method.placement import Placement
from OneShotSegLib.method.propagation import EncodedScribbles, PreparedCT, encode_scribbles, propagate
from OneShotSegLib.method.registration import register
from OneShotSegLib.method.scribbles import ScribblePoints, check_grid, farthest_points
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.soft_tissue import SOFT_TISSUE
from OneShotSegLib.method.support import MaskedCT
from OneShotSegLib.networks.weights import Weights

POINTS_PER_LABEL = 24
POINTS_AROUND = 96
AROUND_MM = (8.0, 25.0)
MOST_VOXELS = 3000  # of a label, among which its points are chosen


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskSupport:
    """A masked CT with what the fusion of every query needs of it.

    Attributes:
        name: The case's name.
        values: Labels of the structures that it was reviewed for, those too of which it has no voxel.
        image: The CT around the masks in 0-1, on its own grid, cropped.
        labels: The masks on the same grid.
        inside: Some positions of each structure, evenly chosen.
        volumes_ml: Volume of each structure that is there, ml, by label.
    """

    name: str
    values: frozenset[int]
    image: Volume
    labels: Volume
    inside: ScribblePoints
    volumes_ml: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """A support with whole masks, and where it lies in the query."""

    support: MaskSupport
    placement: Placement


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacementReference:
    """A masked CT with what is needed to place it in a query.

    Attributes:
        prepared: The CT on the working grids; of its own grid only the geometry is kept.
        scribbles: Points spread over the masks and around them, with their latent positions.
        alignment: The CT's descriptors around the masks; None if the method does not align.
    """

    prepared: PreparedCT
    scribbles: EncodedScribbles
    alignment: AlignmentReference | None


def prepare_mask_support(masked: MaskedCT, margin_mm: float) -> MaskSupport:
    """Check a masked CT, and cut out what matters of it.

    Args:
        masked: The CT and its mask.
        margin_mm: How far around the masks the CT is compared with a query.

    Raises:
        InputError: If CT or mask cannot be used; the message gives the reason.
    """
    ct = as_hounsfield(masked.ct, masked.name)
    check_grid(masked.mask.volume, ct)
    box = bounding_box(masked.mask.volume.array > 0)
    if box is None:
        raise InputError(f"{masked.name}: expected a mask with a structure, found an empty one.")
    box = grown(box, np.ceil(margin_mm / ct.spacing), ct.shape)
    image, labels = cropped(ct, box), cropped(masked.mask.volume, box)
    values = frozenset(segment.value for segment in masked.mask.segments if not segment.is_background_stroke)
    there = present_labels(labels.array)
    voxel_ml = float(np.prod(labels.spacing)) / 1000
    return MaskSupport(
        name=masked.name,
        values=values,
        image=image.with_array(SOFT_TISSUE.apply(image.array)),
        labels=labels,
        inside=_labelled({value: some_voxels(labels, value) for value in there}),
        volumes_ml={value: int((labels.array == value).sum()) * voxel_ml for value in there},
    )


def prepare_placement(
    masked: MaskedCT, support: MaskSupport, weights: Weights, method: Method, device: torch.device | str = "cpu"
) -> PlacementReference:
    """Compute what every query needs to find where the support lies in it.

    Raises:
        InputError: If the CT cannot be used.
    """
    ct = as_hounsfield(masked.ct, masked.name)
    prepared = PreparedCT.prepare(ct, weights, device)
    points = _points(support, ct)
    alignment = None
    if method.alignment.enabled:
        alignment = prepare_alignment(prepared, support.inside.positions, method.alignment)
    encoded = encode_scribbles(prepared, points, weights, method.propagation)
    grid = ct.with_array(np.broadcast_to(np.int16(0), ct.shape))
    return PlacementReference(prepared=replace(prepared, ct=grid), scribbles=encoded, alignment=alignment)


def place(
    reference: PlacementReference, inside: Vector, query: PreparedCT, weights: Weights, method: Method
) -> Placement:
    """Find where a support lies in a query.

    As scribbles are propagated: by the networks' relative positions, the registration of the images and the alignment.

    Args:
        reference: The support.
        inside: Positions all over its structures, shape (N, 3), mm.
        query: The query.
        weights: Both networks.
        method: Settings of the steps.
    """
    affine = propagate(reference.scribbles, query, weights, method.propagation, method.seed).affine
    if method.registration.enabled:
        window = weights.coarse.info.window
        affine = register(reference.prepared, inside, query, [affine], window, method.registration)
    if reference.alignment is None:
        return Placement(affine=affine, displacement=None)
    return Placement(affine=affine, displacement=align(reference.alignment, query, affine, method.alignment))


def _points(support: MaskSupport, ct: Volume) -> ScribblePoints:
    """Points spread over each structure, and, labelled 0, over the body around all of them."""
    inside, labels = support.inside, support.labels
    chosen = {}
    for value in present_labels(inside.labels):
        own = inside.only(value)
        chosen[value] = own[farthest_points(own, POINTS_PER_LABEL)]
    distance = distance_transform_edt(labels.array == 0, sampling=labels.spacing)
    ring = labels.to_world(np.argwhere((distance > AROUND_MM[0]) & (distance < AROUND_MM[1])))
    index = np.rint(ct.to_index(ring)).astype(np.int64)
    body = ring[ct.array[tuple(index.T)] > BODY_HU]
    some = body[:: max(1, len(body) // MOST_VOXELS)]
    if len(some):
        chosen[0] = some[farthest_points(some, POINTS_AROUND)]
    return _labelled(chosen)


def _labelled(positions: Mapping[int, Vector]) -> ScribblePoints:
    values = np.repeat(list(positions), [len(own) for own in positions.values()]).astype(np.uint8)
    return ScribblePoints(np.concatenate(list(positions.values())), values)


def some_voxels(labels: Volume, value: int | None = None) -> Vector:
    """Positions of the voxels of one label or of all, evenly chosen where there are many; shape (n, 3), mm."""
    index = np.argwhere(labels.array > 0 if value is None else labels.array == value)
    return labels.to_world(index[:: max(1, len(index) // MOST_VOXELS)])
