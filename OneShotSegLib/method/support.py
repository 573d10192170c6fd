"""The support: a scribbled CT with what every query needs of it, computed once per study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from OneShotSegLib.imaging.ct import read_ct
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.resampling import working_grid
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.alignment import AlignmentReference, prepare_alignment
from OneShotSegLib.method.denoising import PatchFeatures, features_at
from OneShotSegLib.method.expansion import Expansion, StructureExtent, expand, measure_extent, part_in_extent
from OneShotSegLib.method.propagation import EncodedScribbles, PreparedCT, encode_scribbles
from OneShotSegLib.method.scribbles import check_grid, points_of, thin
from OneShotSegLib.method.settings import Method
from OneShotSegLib.method.soft_tissue import soft_tissue_around
from OneShotSegLib.method.structures import Structures, structures_of
from OneShotSegLib.method.tubular_tracking import track_tubular
from OneShotSegLib.networks.weights import Weights


@dataclass(frozen=True, eq=False)
class ScribbledCT:
    """A support as it was read: the CT in HU and, on its grid, the scribbles."""

    ct: Volume
    scribbles: LabelMap


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskedCT:
    """A reviewed case as a support with its whole mask.

    Attributes:
        name: The case's name in its study; it is not used for that case itself.
        ct: The CT in HU.
        mask: The mask on the CT's grid, with the study's values. Its segments are the structures that the case was
            reviewed for: of any other structure the mask says nothing, not even that it is absent.
        strokes: What a reviewer painted into the case, on the same grid, background stroke included; None for nothing.
    """

    name: str
    ct: Volume
    mask: LabelMap
    strokes: LabelMap | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Support:
    """A scribbled CT with what is computed of it once per study.

    Attributes:
        prepared: The CT on the working grids.
        structures: What the labels mean.
        scribbles: All scribble points, and the latent positions of some.
        alignment: The CT's descriptors around the structures' strokes; None if the method does not align.
        described: Indices of the scribble points whose features are compared, shape (k,).
        features: What the fine network computes for them; None where denoising decides nothing.
        extent: How far each structure extends from its strokes, by label.
        expansion: The masks grown from the strokes in the support itself.
        image: The CT around these masks in 0-1, on its own grid, for the comparison with queries.
    """

    prepared: PreparedCT
    structures: Structures
    scribbles: EncodedScribbles
    alignment: AlignmentReference | None
    described: NDArray[np.intp]
    features: PatchFeatures | None
    extent: Mapping[int, StructureExtent]
    expansion: Expansion
    image: Volume


def prepare_support(
    ct: Volume, scribbles: LabelMap, weights: Weights, method: Method, device: torch.device | str = "cpu"
) -> Support:
    """Check the support and compute what all queries share.

    Raises:
        InputError: If CT or scribbles cannot be used; the message gives the reason.
    """
    ct = as_hounsfield(ct, "The support")
    structures = structures_of(scribbles)
    check_grid(scribbles.volume, ct)
    prepared = PreparedCT.prepare(ct, weights, device)
    image = expansion_image(prepared, weights, method)
    points = track_tubular(points_of(scribbles.volume), structures, image, ct, method.tracking)
    encoded = encode_scribbles(prepared, points, weights, method.propagation)
    limit = method.denoising.points_per_label
    described = np.arange(len(points)) if limit is None else thin(points, limit)
    features = None
    if method.denoising.decides:
        features = features_at(weights.fine, prepared.fine, points.positions[described])
    strokes = points.positions[points.labels != structures.background.value]
    alignment = prepare_alignment(prepared, strokes, method.alignment) if method.alignment.enabled else None
    extent = measure_extent(points, structures, method.expansion, image)
    in_extent = part_in_extent(image, points, extent, method.expansion)
    expansion = expand(in_extent, points, structures, extent, method.expansion)
    return Support(
        prepared=prepared,
        structures=structures,
        scribbles=encoded,
        alignment=alignment,
        described=described,
        features=features,
        extent=extent,
        expansion=expansion,
        image=soft_tissue_around(expansion.labels, ct, method.alignment.margin_mm),
    )


def expansion_image(
    prepared: PreparedCT, weights: Weights, method: Method, part_of: Callable[[Volume], Volume] = lambda grid: grid
) -> Volume:
    """The CT in 0-1 on which scribbles grow: on the expansion's grid, or only on a part of it.

    Args:
        prepared: The CT.
        weights: Both networks; the fine one's HU window is used.
        method: Settings of the steps.
        part_of: Picks the part of the grid that matters.
    """
    if method.expansion.spacing is None:
        return part_of(prepared.fine_volume)
    grid = part_of(working_grid(prepared.ct, method.expansion.spacing))
    return read_ct(prepared.ct, grid, weights.fine.info.window)
