"""The patients of the phantom cohort; each is made from its index and the cohort's seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.stroke_simulation import strokes_from_mask
from OneShotSegLib.phantom.anatomy import anatomy_parts
from OneShotSegLib.phantom.canvas import Canvas
from OneShotSegLib.phantom.deformation import Deformation
from OneShotSegLib.phantom.scanner import Scan, acquire
from OneShotSegLib.phantom.shapes import Points, vector
from OneShotSegLib.phantom.structures import BACKGROUND, STRUCTURES
from OneShotSegLib.phantom.tissues import Texture
from OneShotSegLib.phantom.traits import Traits

DEFAULT_SEED = 2024
LATTICE_STEP = 4
"""Step, in voxels, of the points at which the deformation is computed; it varies slowly, and is linear in between."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A field of view, and the structures that surgery had removed.

    Attributes:
        top: Upper end in mm over the foramen magnum.
        bottom: Lower end in mm.
        slice_mm: Slice spacing.
        pixel_mm: In-plane spacing.
        columns: Columns of voxels.
        rows: Rows of voxels.
        removed: Structures that the patient no longer has.
    """

    top: float
    bottom: float
    slice_mm: float
    pixel_mm: float
    columns: int
    rows: int
    removed: frozenset[str] = frozenset()


PROTOCOLS = (
    Protocol(top=148, bottom=-145, slice_mm=3.0, pixel_mm=2.2, columns=128, rows=120),
    Protocol(top=146, bottom=-175, slice_mm=3.5, pixel_mm=2.4, columns=124, rows=112),
    Protocol(top=90, bottom=-150, slice_mm=2.5, pixel_mm=2.0, columns=128, rows=124),
    Protocol(top=148, bottom=-205, slice_mm=4.0, pixel_mm=2.6, columns=128, rows=104),
    Protocol(top=146, bottom=-100, slice_mm=3.0, pixel_mm=1.9, columns=116, rows=128),
    Protocol(
        top=145, bottom=-150, slice_mm=3.0, pixel_mm=2.1, columns=128, rows=120, removed=frozenset({"RightParotid"})
    ),
    Protocol(top=110, bottom=-185, slice_mm=3.0, pixel_mm=2.3, columns=128, rows=116),
    Protocol(top=148, bottom=-160, slice_mm=3.6, pixel_mm=2.0, columns=128, rows=128),
    Protocol(top=120, bottom=-145, slice_mm=2.7, pixel_mm=2.5, columns=112, rows=104),
    Protocol(top=146, bottom=-150, slice_mm=4.0, pixel_mm=1.9, columns=124, rows=128, removed=frozenset({"Thyroid"})),
)
"""Patient ``index`` is scanned with protocol ``index % 10``: number 4's scan ends in the larynx, above the thyroid."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PhantomCase:
    """One patient.

    Attributes:
        name: File name stem.
        ct: int16 HU.
        reference: uint8 label map on the CT's grid, values of ``STRUCTURES``.
        traits: The organs' individual traits.
        deformation: The individual shape and pose.
        reference_point: Position of the standard anatomy's origin before the deformation, in LPS mm (z, y, x).
    """

    name: str
    ct: Volume
    reference: Volume
    traits: Traits
    deformation: Deformation
    reference_point: Vector

    @property
    def present(self) -> tuple[Segment, ...]:
        """The structures that the reference has."""
        values = set(np.unique(self.reference.array).tolist())
        return tuple(structure for structure in STRUCTURES if structure.value in values)

    @property
    def absent(self) -> tuple[Segment, ...]:
        """The structures that surgery removed or that are out of the field of view."""
        return tuple(structure for structure in STRUCTURES if structure not in self.present)

    def to_anatomy(self, world: ArrayLike) -> Points:
        """LPS mm positions (..., 3) to positions (..., 3) in the standard anatomy, the same point in every patient."""
        local = np.asarray(world, dtype=np.float64) - self.reference_point
        return np.moveaxis(self.deformation.to_anatomy(np.moveaxis(local, -1, 0)), 0, -1)


def make_patient(index: int, seed: int = DEFAULT_SEED, coarseness: float = 1.0, variation: float = 1.0) -> PhantomCase:
    """Make patient ``index`` of a cohort.

    Args:
        index: Number of the patient, from 0; also chooses the field of view and the spacing.
        seed: The cohort.
        coarseness: Factor on the spacing, for quick tests; the field of view stays.
        variation: Strength of deformation and pose: 0 leaves the standard shape, 1 is usual.

    Raises:
        ValueError: If the index or the variation is negative, or the coarseness not over 0.
    """
    if index < 0 or coarseness <= 0 or variation < 0:
        raise ValueError(f"Index, coarseness, variation must not be negative; got {index}, {coarseness}, {variation}.")
    # A random stream for each part of the phantom, so that a change to one leaves the draws of the others as they were.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence([seed, index]).spawn(5)]
    protocol = PROTOCOLS[index % len(PROTOCOLS)]
    traits = Traits.random(streams[0], protocol.removed)
    deformation = Deformation.random(streams[1], variation)
    grid = _grid(protocol, deformation, coarseness, streams[2])
    spacing = vector(grid.spacing)
    canvas = Canvas(_anatomical_points(grid, deformation), spacing, Texture.random(grid.shape, spacing, streams[3]))
    for part in anatomy_parts(traits):
        canvas.paint(part)
    axes = _axes(grid)
    ct = acquire(canvas.hu, axes, spacing, Scan.random(streams[4]), streams[4])
    shift = np.round(streams[2].uniform((-900, -180, -60), (-300, -40, 60)), 1)
    placed = Volume.create(ct, grid.spacing, grid.origin + shift)
    return PhantomCase(
        name=f"phantom_{index:02d}",
        ct=placed,
        reference=placed.with_array(canvas.labels),
        traits=traits,
        deformation=deformation,
        reference_point=shift,
    )


def make_cohort(count: int = 12, seed: int = DEFAULT_SEED, coarseness: float = 1.0) -> Iterator[PhantomCase]:
    """Patients 0 to ``count - 1``, one at a time."""
    for index in range(count):
        yield make_patient(index, seed, coarseness)


def scribbles(case: PhantomCase) -> Volume:
    """What a clinician would paint in this case: a few strokes per structure, and background strokes around them."""
    strokes = strokes_from_mask(case.reference.array, case.reference.spacing, BACKGROUND.value, case.ct.array > -300)
    return case.reference.with_array(strokes)


def _grid(protocol: Protocol, deformation: Deformation, coarseness: float, rng: np.random.Generator) -> Volume:
    """An empty volume around the patient, whose reference point is at 0."""
    size = deformation.size[0]
    spacing = np.array([protocol.slice_mm, protocol.pixel_mm, protocol.pixel_mm]) * coarseness
    length = (protocol.top - protocol.bottom) * size
    extent = np.array([length, protocol.rows * protocol.pixel_mm, protocol.columns * protocol.pixel_mm])
    shape = np.maximum(np.round(extent / spacing), 8).astype(int)
    middle_y = -8 + rng.uniform(-5, 5)
    low = np.array([protocol.bottom * size, middle_y - extent[1] / 2, rng.uniform(-6, 6) - extent[2] / 2])
    return Volume.create(np.zeros(tuple(shape), dtype=np.uint8), np.round(spacing, 4), low + spacing / 2)


def _axes(grid: Volume) -> tuple[Points, Points, Points]:
    """Positions of slices, rows and columns in mm."""
    z, y, x = (vector(o + s * np.arange(n)) for o, s, n in zip(grid.origin, grid.spacing, grid.shape, strict=True))
    return z, y, x


def _anatomical_points(grid: Volume, deformation: Deformation) -> Points:
    """Anatomical position of every voxel, shape (3, D, H, W)."""
    nodes = [-(-n // LATTICE_STEP) + 1 for n in grid.shape]
    axes = [o + s * LATTICE_STEP * np.arange(n) for o, s, n in zip(grid.origin, grid.spacing, nodes, strict=True)]
    coarse = deformation.to_anatomy(np.stack(np.meshgrid(*axes, indexing="ij")))
    for axis, size in enumerate(grid.shape, start=1):
        coarse = _stretch(coarse, axis, size)
    return coarse


def _stretch(values: Points, axis: int, size: int) -> Points:
    """Linear interpolation along one axis from every LATTICE_STEP-th sample to all ``size`` samples."""
    at = np.arange(size)
    lower = at // LATTICE_STEP
    weight = vector(at % LATTICE_STEP) / LATTICE_STEP
    weight = weight.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return vector(values.take(lower, axis) * (1 - weight) + values.take(lower + 1, axis) * weight)
