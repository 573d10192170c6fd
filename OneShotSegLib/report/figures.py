"""Pictures of a case for the report: CT planes as JPEG, and outlines of the structures that lie over them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.imaging.intensity import AIR_HU, BODY_HU
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.report.outlines import UNITS_PER_PIXEL, dots_path, outline_path

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
# The world axis (z, y, x) that each plane cuts, and what lies left, right, top and bottom as radiologists see it.
AXIS: dict[Plane, int] = {"axial": 0, "coronal": 1, "sagittal": 2}
SIDES: dict[Plane, str] = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}

WINDOW_HU = (-160.0, 240.0)
JPEG_QUALITY = 78
MIN_PIXEL_MM = 0.5
OVERVIEW_PIXELS = 400
CLOSE_UP_PIXELS = 176
CLOSE_UP_MM = (90.0, 220.0)
CLOSE_UP_MARGIN_MM = 22.0
BODY_MARGIN_MM = 8.0
MAX_HEIGHT_MM = 420.0


@dataclass(frozen=True)
class Overlay:
    """What lies over a picture in one structure's colour.

    Attributes:
        value: Label value.
        path: SVG path data in tenths of a pixel.
    """

    value: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One plane of a case, ready for HTML.

    Attributes:
        plane: Which plane.
        width: Pixels.
        height: Pixels.
        pixel_mm: Size of a pixel, mm.
        position_mm: Where the plane cuts the patient, LPS mm along the axis that it is normal to.
        jpeg: The CT in a soft-tissue window, grey.
        outlines: The structures' outlines.
        dots: The scribbles.
    """

    plane: Plane
    width: int
    height: int
    pixel_mm: float
    position_mm: float
    jpeg: bytes
    outlines: tuple[Overlay, ...]
    dots: tuple[Overlay, ...]

    @property
    def sides(self) -> str:
        """Letters of what lies left, right, top and bottom."""
        return SIDES[self.plane]

    @property
    def data_uri(self) -> str:
        """The JPEG as a data URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")

    @property
    def view_box(self) -> str:
        """The SVG view box in which the overlays are drawn."""
        return f"0 0 {self.width * UNITS_PER_PIXEL} {self.height * UNITS_PER_PIXEL}"

    @property
    def width_mm(self) -> float:
        """Extent from left to right, mm."""
        return self.width * self.pixel_mm

    @property
    def ruler_mm(self) -> int:
        """Length of a scale bar that fits."""
        return 50 if self.width_mm > 110 else 20


class Scene:
    """A CT with label maps, each on a grid of its own in any orientation, from which planes are drawn.

    Every plane is read at its own resolution from a thin slab around it, so that large CTs cost little memory and time.

    Args:
        ct: HU.
        labels: Drawn as outlines; None for none.
        scribbles: Drawn as dots where they lie in the plane; None for none.
    """

    def __init__(self, ct: Volume, labels: Volume | None = None, scribbles: Volume | None = None) -> None:
        self.ct = ct
        self.labels = labels
        self.scribbles = scribbles

    def overview(self, center: Vector) -> tuple[Picture, ...]:
        """The three planes through a point (LPS mm, shape (3,)), cropped around the body."""
        return tuple(self._overview(plane, center) for plane in PLANES)

    def close_up(self, structure: Volume, value: int) -> tuple[Picture, ...]:
        """The three planes through a structure's centre, cropped around it; none if it has no voxel.

        Args:
            structure: Label map that has it, on any grid.
            value: Its label value.
        """
        center, extent = center_of(structure, value), extent_of(structure, value)
        if center is None or extent is None:
            return ()
        side = float(np.clip((extent[1] - extent[0]).max() + 2 * CLOSE_UP_MARGIN_MM, *CLOSE_UP_MM))
        middle = extent.mean(axis=0)
        # Where the structure is longer than the picture, the picture stays with the centre.
        middle = np.clip(middle, center - side / 2 + CLOSE_UP_MARGIN_MM, center + side / 2 - CLOSE_UP_MARGIN_MM)
        step = max(side / CLOSE_UP_PIXELS, MIN_PIXEL_MM)
        box = np.stack([middle - side / 2, middle + side / 2])
        return tuple(self._draw(plane, _plane_grid(plane, center, box, step)) for plane in PLANES)

    def _overview(self, plane: Plane, center: Vector) -> Picture:
        whole = extent_of_grid(self.ct)
        whole[:, 0] = np.clip(whole[:, 0], center[0] - MAX_HEIGHT_MM / 2, center[0] + MAX_HEIGHT_MM / 2)
        coarse = _plane_grid(plane, center, whole, 2.0)
        box = _body_box(resample(_slab(self.ct, coarse), coarse, fill=AIR_HU, order=0))
        box = np.stack([np.maximum(box[0], whole[0]), np.minimum(box[1], whole[1])])
        within = [axis for axis in range(3) if axis != AXIS[plane]]
        step = max(float((box[1] - box[0])[within].max()) / OVERVIEW_PIXELS, MIN_PIXEL_MM)
        return self._draw(plane, _plane_grid(plane, center, box, step))

    def _draw(self, plane: Plane, grid: Volume) -> Picture:
        axis = AXIS[plane]
        image = _upright(self._slab_read(self.ct, grid, AIR_HU), plane)
        height, width = image.shape
        return Picture(
            plane=plane,
            width=width,
            height=height,
            pixel_mm=float(grid.spacing[(axis + 1) % 3]),
            position_mm=float(grid.origin[axis]),
            jpeg=_jpeg(image),
            outlines=self._outlines(plane, grid),
            dots=self._dots(plane, grid),
        )

    def _outlines(self, plane: Plane, grid: Volume) -> tuple[Overlay, ...]:
        if self.labels is None:
            return ()
        slab = _slab(self.labels, grid)
        found = []
        for value in present_labels(slab.array):
            mask = slab.with_array((slab.array == value).astype(np.float32))
            path = outline_path(_upright(resample(mask, grid).array, plane))
            found.append(Overlay(value, path))
        return tuple(overlay for overlay in found if overlay.path)

    def _dots(self, plane: Plane, grid: Volume) -> tuple[Overlay, ...]:
        points, values, tolerance = self._scribble_points
        if not len(points):
            return ()
        axis = AXIS[plane]
        index = grid.to_index(points)
        shape = np.asarray(grid.shape)
        near = np.abs(points[:, axis] - grid.origin[axis]) <= tolerance[axis]
        others = [k for k in range(3) if k != axis]
        inside = near & np.all((index > -0.5) & (index < shape - 0.5), axis=1, where=np.arange(3) != axis)
        rows, columns = index[inside][:, others].T
        rows = rows if plane == "axial" else shape[others[0]] - 1 - rows
        pixels = np.stack([columns, rows], axis=1) + 0.5
        painted = values[inside]
        return tuple(Overlay(value, dots_path(pixels[painted == value])) for value in present_labels(painted))

    @cached_property
    def _scribble_points(self) -> tuple[Vector, NDArray[Any], Vector]:
        """Positions (N, 3) and values (N,) of the scribbles' voxels, and how near a plane they count as in it (3,)."""
        if self.scribbles is None:
            return np.zeros((0, 3)), np.zeros(0, dtype=np.uint8), np.zeros(3)
        index = np.argwhere(self.scribbles.array > 0)
        values = self.scribbles.array[tuple(index.T)]
        tolerance = np.abs(self.scribbles.direction) @ self.scribbles.spacing / 2 + 1e-3
        return self.scribbles.to_world(index), values, tolerance

    @staticmethod
    def _slab_read(volume: Volume, grid: Volume, fill: float) -> NDArray[np.float32]:
        return resample(_slab(volume, grid), grid, fill=fill).array


def center_of(labels: Volume, value: int) -> Vector | None:
    """Where to look at a structure: its voxel nearest to its centre of mass, LPS mm; None if it has no voxel.

    The centre of mass itself may lie outside a curved structure, and between two slices.
    """
    index = np.argwhere(labels.array == value)
    if not len(index):
        return None
    offset = (index - index.mean(axis=0)) * labels.spacing
    return labels.to_world(index[np.argmin((offset**2).sum(axis=1))])


def extent_of(labels: Volume, value: int) -> Vector | None:
    """Lowest and highest LPS mm position of a structure's voxels, shape (2, 3); None if it has none."""
    index = np.argwhere(labels.array == value)
    if not len(index):
        return None
    return _extent(labels, index.min(axis=0) - 0.5, index.max(axis=0) + 0.5)


def extent_of_grid(volume: Volume) -> Vector:
    """Lowest and highest LPS mm position of a grid's edges, shape (2, 3)."""
    return _extent(volume, np.full(3, -0.5), np.asarray(volume.shape) - 0.5)


def _extent(volume: Volume, low: Vector, high: Vector) -> Vector:
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
    world = volume.to_world(corners)
    return np.stack([world.min(axis=0), world.max(axis=0)])


def _plane_grid(plane: Plane, center: Vector, box: Vector, step: float) -> Volume:
    """An axis-aligned grid one voxel thick, through a point, over the plane's part of a box, shape (2, 3), in mm."""
    axis = AXIS[plane]
    shape = np.maximum(np.rint((box[1] - box[0]) / step).astype(int), 1)
    origin = box.mean(axis=0) - (shape - 1) / 2 * step
    shape[axis], origin[axis] = 1, center[axis]
    spacing = np.full(3, step)
    # A thin plane: nothing is averaged across it.
    spacing[axis] = 1e-3
    return Volume.create(np.broadcast_to(np.uint8(0), tuple(int(n) for n in shape)), spacing, origin)


def _slab(volume: Volume, grid: Volume, margin: int = 4) -> Volume:
    """The part of a volume that a grid touches, with a margin in voxels (enough to interpolate and to smooth)."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape], indexing="ij")).reshape(3, -1).T
    index = volume.to_index(grid.to_world(corners))
    last = np.asarray(volume.shape)
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - margin, 0, last - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + margin + 1, low + 1, last)
    part = volume.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return Volume.create(part, volume.spacing, volume.to_world(low), volume.direction)


def _body_box(plane: Volume) -> Vector:
    """Lowest and highest position (2, 3) of the largest connected piece of tissue in a plane; all of it, if none."""
    tissue, count = ndimage.label(plane.array > BODY_HU)
    if not count:
        return extent_of_grid(plane)
    largest = int(np.bincount(tissue.ravel())[1:].argmax()) + 1
    box = extent_of(plane.with_array((tissue == largest).astype(np.uint8)), 1)
    assert box is not None  # the piece has voxels
    found: Vector = box + np.array([[-BODY_MARGIN_MM], [BODY_MARGIN_MM]])
    return found


def _upright(array: NDArray[Any], plane: Plane) -> NDArray[Any]:
    """A plane's voxels (one axis has length 1) as a picture, shape (H, W): front or head up, the right side at left."""
    flat = np.squeeze(array, axis=AXIS[plane])
    return flat if plane == "axial" else flat[::-1]


def _jpeg(image: NDArray[Any]) -> bytes:
    """HU, shape (H, W), as a grey JPEG in the soft-tissue window."""
    from PIL import Image

    low, high = WINDOW_HU
    grey = np.rint(np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
