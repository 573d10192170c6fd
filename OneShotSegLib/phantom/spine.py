"""Vertebrae with their discs, the canal with CSF and cord, and the brainstem above it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from OneShotSegLib.phantom.canvas import Part
from OneShotSegLib.phantom.landmarks import SIDES, VERTEBRAE, along_canal, beside_canal, canal_pitch, canal_y
from OneShotSegLib.phantom.shapes import Shape, cylinder, ellipsoid, placed, tube, union
from OneShotSegLib.phantom.structures import BRAINSTEM, SPINAL_CORD
from OneShotSegLib.phantom.tissues import CSF, bone, plain
from OneShotSegLib.phantom.traits import Traits

CORD_TOP = -6.0


def spine_parts(traits: Traits) -> Iterator[Part]:
    """The column from the atlas down, without the canal's content."""
    discs = tube(beside_canal(-38, -250, -18, 0), [7.0, *[8.5] * 8, 11.0], stretch=(1, 0.92, 1.25))
    yield Part(shape=discs, tissue=plain(88, fine=10))
    density = bone(traits.bone_density * 0.85, 1.5, 330)
    for name, z in VERTEBRAE.items():
        for shape in _vertebra(name, z):
            yield Part(shape=placed(shape, (z, canal_y(z), 0), pitch=canal_pitch(z)), tissue=density)
    for shape in (*_atlas(), *_axis()):
        yield Part(shape=shape, tissue=density)


def _vertebra(name: str, z: float) -> Iterator[Shape]:
    """Body and arch around the canal's middle."""
    thoracic = name.startswith("T")
    grown = float(np.interp(z, (-200, -50), (1.25, 0.95)))
    body = cylinder((0, -9.5 - 8.5 * grown, 0), 6.6 * grown + 0.4, (8.5 * grown, 12.0 * grown))
    yield body
    for side in SIDES:
        pedicle = [(1, -9, 10 * side), (0, -1, 14.5 * side), (-1, 8, 13 * side), (-2, 14, 5 * side), (-2, 15, 0)]
        yield tube(pedicle, [3.5, 3.6, 3.2, 3.0, 3.2], stretch=(1.6, 1, 1))
        pillar = (0.0, 1.0, 18.0 * side) if not thoracic else (2.0, 9.0, 14.0 * side)
        yield placed(ellipsoid((0, 0, 0), (8.5, 5.5, 5.5)), pillar, pitch=-25)
        tip = (2.0, 6.0, 33.0 * side) if thoracic else (-2.0, -9.0, 25.0 * side)
        yield tube([(0, -3, 14 * side), tip], [3.6, 4.0])
    length = 48 if name == "C7" else (44 if thoracic else 31)
    drop = -22 if thoracic else -7
    yield tube([(-2, 15, 0), (drop, length, 0)], [3.2, 3.8], stretch=(1.7, 1, 1))


def _atlas() -> Iterator[Shape]:
    """C1: a ring with two lateral masses."""
    z = -15.0
    for side in SIDES:
        yield ellipsoid((z, -5, 20 * side), (8, 9, 7.5))
        yield tube([(z, -5, 24 * side), (z - 1, -3, 37 * side)], [4.5, 3.5])
        yield tube([(z, 2, 20 * side), (z, 13, 15 * side), (z, 19, 0)], 3.4, stretch=(1.5, 1, 1))
        yield tube([(z, -12, 15 * side), (z, -23, 0)], 3.2, stretch=(1.6, 1, 1))


def _axis() -> Iterator[Shape]:
    """C2: body and dens, shoulders under the atlas, a stout spinous process."""
    yield tube([(-34, -15.5, 0), (-20, -15, 0), (-7, -15, 0)], [8.5, 6.0, 4.8])
    yield cylinder((-36, -16, 0), 6.5, (8.0, 11.5))
    for side in SIDES:
        yield placed(ellipsoid((0, 0, 0), (6, 8, 8)), (-28, -6, 16 * side), roll=-20.0 * side)
        yield tube([(-33, -6, 14 * side), (-36, 8, 12 * side), (-37, 15, 0)], 3.8, stretch=(1.5, 1, 1))
    yield tube([(-36, 14, 0), (-41, 31, 0)], [4.0, 5.0], stretch=(1.4, 1, 1))


def canal_parts(traits: Traits) -> Iterator[Part]:
    """CSF in the canal with the cord in it, a little epidural fat behind."""
    canal = tube(along_canal(4, -300), 7.6, stretch=(1, 1, 1.3))
    yield Part(shape=canal, tissue=plain(CSF + 6, fine=3))
    cord = tube(along_canal(CORD_TOP, -300), 4.4 * traits.cord_size, stretch=(1, 1, 1.4))
    yield Part(shape=cord, tissue=plain(42, fine=2), label=SPINAL_CORD.value)


def brainstem_parts(traits: Traits) -> Iterator[Part]:
    """Midbrain, pons and medulla in their cisterns; the fourth ventricle behind the pons."""
    size = traits.brainstem_size
    cistern = union(
        ellipsoid((21, -15, 0), (22, 15, 20)),
        tube([(16, -12, 0), (-4, -1, 0)], [13, 9]),
        smooth_mm=4,
    )
    yield Part(shape=cistern, tissue=plain(CSF, fine=2))
    yield Part(shape=ellipsoid((17, 4, 0), (11, 7, 8)), tissue=plain(CSF, fine=2))
    yield Part(shape=brainstem_shape(size), tissue=plain(36, fine=2.0), label=BRAINSTEM.value)


def brainstem_shape(size: float) -> Shape:
    """The brainstem from the midbrain's top to the first millimetres under the foramen magnum."""
    pons = ellipsoid((20, -12, 0), (14 * size, 12.5 * size, 16.5 * size))
    midbrain = ellipsoid((36, -14, 0), (11 * size, 10 * size, 15 * size))
    medulla = tube([(14, -6, 0), (4, -2, 0), (CORD_TOP + 2, 0, 0)], [9 * size, 7.5 * size, 5.5 * size], (1, 1, 1.15))
    return union(midbrain, pons, medulla, smooth_mm=5)
