"""The braincase with its content, and the bones of the skull base."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from OneShotSegLib.phantom.canvas import Part
from OneShotSegLib.phantom.landmarks import SIDES
from OneShotSegLib.phantom.shapes import (
    Field,
    Points,
    Shape,
    block,
    ellipsoid,
    inset,
    intersection,
    placed,
    tube,
    vector,
)
from OneShotSegLib.phantom.tissues import AIR, CSF, air_cells, bone, brain, layered, muscle, plain
from OneShotSegLib.phantom.traits import Traits

_FLOOR_Y = (-115.0, -64.0, -52.0, -40.0, -34.0, -8.0, 3.0, 12.0)
_FLOOR_MIDLINE = (44.0, 41.0, 39.0, 32.0, 34.0, 2.0, -14.0, -40.0)
_FLOOR_SIDE = (44.0, 42.0, 16.0, 10.0, 10.0, 12.0, -6.0, -40.0)


def braincase(vault_mm: float = 0.0, floor_mm: float = 0.0) -> Shape:
    """A vault over the steps of the three cranial fossae.

    Without arguments its outer surface; else the space inside bone of these thicknesses, thinner on the floor.
    """
    vault = inset(ellipsoid((56, -14, 0), (80, 93, 74)), vault_mm)

    def distance(points: Points) -> Field:
        z, y, x = points
        sideways = np.clip((np.abs(x) - 11) / 16, 0, 1)
        # Each orbit pushes its roof up into the front fossa.
        orbit = 9 * np.exp(-(((np.abs(x) - 31) / 15) ** 2) - ((y + 84) / 18) ** 2)
        middle = np.interp(y, _FLOOR_Y, _FLOOR_MIDLINE).astype(np.float32)
        side = np.interp(y, _FLOOR_Y, _FLOOR_SIDE).astype(np.float32)
        floor = middle + sideways * (side - middle) + orbit.astype(np.float32)
        # The floor is steep in places: 0.8 keeps its height difference close to a distance.
        found: Field = np.maximum(vault.distance(points), np.float32(0.8) * (floor - z) + np.float32(floor_mm))
        return found

    return Shape(distance, vector([-30, -107, -74]), vault.high)


def skull_parts(traits: Traits) -> Iterator[Part]:
    """Braincase, and brain with its ventricles and fissures."""
    yield Part(
        shape=braincase(), tissue=layered(1250 * traits.bone_density, 620 * traits.bone_density, 2.0, inner_fine=80)
    )
    inside = braincase(5.6, 2.8)
    yield Part(shape=inside, tissue=brain())
    for part in (*_midline_parts(), *_paired_parts(traits.ventricle_size)):
        yield Part(shape=intersection(part.shape, inside), tissue=part.tissue)


def _paired_parts(size: float) -> Iterator[Part]:
    """Cerebellum, lateral ventricles with the grey nuclei beside them."""
    for side in SIDES:
        yield Part(shape=ellipsoid((12, 34, 23 * side), (22, 26, 26)), tissue=plain(37, fine=3, coarse=2))
        horn = [(66, -52, 9 * side), (76, -20, 9 * side), (72, 8, 14 * side), (54, 16, 24 * side), (44, 0, 30 * side)]
        radii = [5 * size, 7 * size, 8 * size, 6 * size, 3 * size]
        yield Part(shape=tube(horn, radii, stretch=(1.2, 1, 0.9)), tissue=plain(CSF, fine=2))
        yield Part(shape=ellipsoid((56, -12, 13 * side), (11, 15, 9)), tissue=plain(38, fine=1.5))
        yield Part(shape=ellipsoid((62, -38, 19 * side), (11, 16, 8)), tissue=plain(40, fine=1.5))
    yield Part(shape=block((52, -12, 0), (10, 12, 2.5), 2), tissue=plain(CSF, fine=2))


def _midline_parts() -> Iterator[Part]:
    """Falx, tentorium and the fissures of CSF beside the falx."""
    yield Part(shape=block((96, -10, 0), (26, 78, 2.4), 1), tissue=plain(14, fine=3))
    yield Part(shape=block((96, -8, 0), (34, 80, 0.9), 0.5), tissue=plain(62, fine=2))
    for side in SIDES:
        leaf = placed(block((0, 0, 0), (1.2, 28, 27), 1), (32, 38, 26 * side), pitch=-12, roll=20.0 * side)
        yield Part(shape=leaf, tissue=plain(52, fine=2))
        fissure = tube([(34, -48, 30 * side), (46, -30, 46 * side), (52, -2, 52 * side)], 3.0, stretch=(1.4, 1, 1))
        yield Part(shape=fissure, tissue=plain(CSF + 6, fine=3))
    sinus = tube([(130, -14, 0), (116, 36, 0), (84, 68, 0), (56, 73, 0), (30, 68, 0)], 3.2)
    yield Part(shape=sinus, tissue=plain(62, fine=2))
    yield Part(shape=ellipsoid((36, -34, 0), (6, 10, 13)), tissue=plain(CSF + 2, fine=2))


def skull_base_parts(traits: Traits) -> Iterator[Part]:
    """Clivus, petrous bones, mastoids with their cells, ear canals, sphenoid and its wings."""
    dense = bone(traits.bone_density * 1.1, 3.5, 700)
    spongy = bone(traits.bone_density, 1.8, 380)
    clivus = placed(block((0, 0, 0), (19, 5.5, 14), 3), (15, -26, 0), pitch=40)
    yield Part(shape=clivus, tissue=spongy)
    for side in SIDES:
        yield Part(
            shape=tube([(10, -3, 56 * side), (15, -16, 32 * side), (17, -28, 15 * side)], [12, 9, 6]), tissue=dense
        )
        mastoid = placed(ellipsoid((0, 0, 0), (22, 15, 11)), (-1, 8, 54 * side), roll=-12.0 * side)
        yield Part(shape=mastoid, tissue=air_cells(600 * traits.bone_density))
        yield Part(shape=ellipsoid((-6, 3, 12 * side), (6, 10, 5)), tissue=spongy)
        yield Part(shape=tube([(10, -8, 84 * side), (9, -9, 58 * side)], 3.2), tissue=plain(AIR))
        yield Part(shape=ellipsoid((11, -11, 48 * side), (6, 4, 4)), tissue=plain(-750, fine=200))
        yield Part(shape=tube([(13, -12, 33 * side), (15, -17, 30 * side)], 2.2), tissue=plain(30))
        wing = tube([(33, -55, 14 * side), (36, -60, 38 * side), (32, -58, 56 * side)], [4, 3, 4], stretch=(1.5, 1, 1))
        yield Part(shape=wing, tissue=spongy)
        plate = block((-2, -47, 13.5 * side), (13, 7, 1.5), 1)
        yield Part(shape=plate, tissue=spongy)
    yield Part(shape=ellipsoid((24, -44, 0), (14, 16, 19), squareness=4), tissue=spongy)
    yield Part(shape=ellipsoid((24, -45, 6), (10, 12, 8), squareness=4), tissue=plain(AIR))
    yield Part(shape=ellipsoid((23, -45, -9), (10, 12, 6), squareness=4), tissue=plain(AIR))


def head_muscle_parts(traits: Traits) -> Iterator[Part]:
    """Temporal muscles on the vault and the muscles under the occiput; painted before the bone."""
    tissue = muscle(traits.muscle_fat * 0.6)
    for side in SIDES:
        temporal = placed(ellipsoid((0, 0, 0), (42, 36, 9)), (36, -38, 67 * side), roll=9.0 * side)
        yield Part(shape=temporal, tissue=tissue)
        yield Part(shape=ellipsoid((-12, 34, 17 * side), (18, 17, 15)), tissue=muscle(traits.muscle_fat))
