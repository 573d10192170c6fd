"""A support with whole masks: a reviewed CT whose masks are propagated as they are; no strokes are made of them.

The networks need points to place it in a query: these are spread over the masks and over the tissue around them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import bounding_box, cropped, grown
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.intensity import BODY_HU
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.alignment import AlignmentReference, align, prepare_alignment
from OneShotSegLib.method.placement import Placement
from OneShotSegLib.method.propagation import EncodedScribbles, PreparedCT, encode_scribbles, propagate
from OneShotSegLib.method.scribbles import ScribblePoints, check_grid, farthest_points
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.soft_tissue import SOFT_TISSUE
from OneShotSegLib.networks.weights import Weights

POINTS_PER_LABEL = 24
POINTS_AROUND = 96
AROUND_MM = (8.0, 25.0)
MOST_VOXELS = 3000  # of a label, among which its points are chosen


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskedCT:
    """A reviewed case as it was read: a support with its whole mask.

    Attributes:
        name: The case's name; it is not used for a query of the same name.
        ct: The CT in HU.
        mask: The structures' masks on its grid; values mean what they mean in the study.
        strokes: What a reviewer painted in it, on the same grid, if anything.
    """

    name: str
    ct: Volume
    mask: LabelMap
    strokes: LabelMap | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskSupport:
    """A masked CT with what every query needs of it.

    Attributes:
        name: The case's name.
        structures: Those that its mask holds.
        scribbles: The points by which it is placed in a query, with their latent positions.
        alignment: The CT's descriptors around the masks; None if the method does not align.
        image: The CT around the masks in 0-1, on its own grid, cropped.
        labels: The masks on the same grid.
        inside: Positions all over the structures, shape (N, 3), mm.
    """

    name: str
    structures: tuple[Segment, ...]
    scribbles: EncodedScribbles
    alignment: AlignmentReference | None
    image: Volume
    labels: Volume
    inside: Vector


def prepare_mask_support(
    masked: MaskedCT, weights: Weights, method: Method, device: torch.device | str = "cpu"
) -> MaskSupport:
    """Check a masked CT and compute what all queries share.

    Raises:
        InputError: If CT or mask cannot be used; the message gives the reason.
    """
    ct = as_hounsfield(masked.ct, masked.name)
    check_grid(masked.mask.volume, ct)
    box = bounding_box(masked.mask.volume.array > 0)
    if box is None:
        raise InputError(f"{masked.name}: expected a mask with a structure, found an empty one.")
    # What lies farther from the masks than the alignment looks is not needed of it again.
    box = grown(box, np.ceil(method.alignment.margin_mm / ct.spacing), ct.shape)
    image, labels = cropped(ct, box), cropped(masked.mask.volume, box)
    there = present_labels(labels.array)
    structures = tuple(s for s in masked.mask.segments if s.value in there and not s.is_background_stroke)
    prepared = PreparedCT.prepare(ct, weights, device)
    points, inside = _points(labels, image.array > BODY_HU)
    alignment = prepare_alignment(prepared, inside, method.alignment) if method.alignment.enabled else None
    return MaskSupport(
        name=masked.name,
        structures=structures,
        scribbles=encode_scribbles(prepared, points, weights, method.propagation),
        alignment=alignment,
        image=image.with_array(SOFT_TISSUE.apply(image.array)),
        inside=inside,
        labels=labels,
    )


def place(support: MaskSupport, query: PreparedCT, weights: Weights, method: Method) -> Placement:
    """Find where a support lies in a query: by the networks' relative positions, the affine fit and the alignment."""
    affine = propagate(support.scribbles, query, weights, method.propagation, method.seed).affine
    if support.alignment is None:
        return Placement(affine=affine, displacement=None)
    return Placement(affine=affine, displacement=align(support.alignment, query, affine, method.alignment))


def _points(labels: Volume, body: NDArray[np.bool_]) -> tuple[ScribblePoints, Vector]:
    """Points by which a support is placed: spread over each structure and over the body around all of them.

    Returns:
        The points, those around labelled 0; and positions all over the structures, shape (N, 3), mm.
    """
    own = {value: _some_voxels(labels, labels.array == value) for value in present_labels(labels.array)}
    distance = distance_transform_edt(labels.array == 0, sampling=labels.spacing)
    around = _some_voxels(labels, (distance > AROUND_MM[0]) & (distance < AROUND_MM[1]) & body)
    chosen = {value: positions[farthest_points(positions, POINTS_PER_LABEL)] for value, positions in own.items()}
    if len(around):
        chosen[0] = around[farthest_points(around, POINTS_AROUND)]
    values = np.repeat(list(chosen), [len(positions) for positions in chosen.values()]).astype(np.uint8)
    return ScribblePoints(np.concatenate(list(chosen.values())), values), np.concatenate(list(own.values()))


def _some_voxels(grid: Volume, mask: NDArray[np.bool_]) -> Vector:
    """Positions of a mask's voxels, evenly chosen where there are many; shape (n, 3), mm."""
    index = np.argwhere(mask)
    return grid.to_world(index[:: max(1, len(index) // MOST_VOXELS)])
