"""The body's outline, its fat, the trunk, the shoulders and the lungs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from OneShotSegLib.phantom.canvas import Part
from OneShotSegLib.phantom.landmarks import SIDES, canal_y
from OneShotSegLib.phantom.shapes import Shape, block, ellipsoid, inset, intersection, placed, tube, union, vector
from OneShotSegLib.phantom.tissues import AIR, FAT, bone, layered, lung, muscle, plain
from OneShotSegLib.phantom.traits import Traits

SKIN_MM = 2.2


def _trunk() -> Shape:
    """Chest and shoulders, wider than any field of view here."""
    chest = ellipsoid((-300, 22, 0), (140, 82, 185), squareness=4)
    slopes = [tube([(-132, 32, 38 * side), (-178, 26, 150 * side)], [28, 46]) for side in SIDES]
    return union(chest, *slopes, smooth_mm=40)


def _everywhere() -> Shape:
    """All of space: fills the body until ``skin_part`` removes what lies outside it."""
    far = vector([np.inf] * 3)
    return Shape(lambda points: np.full(points.shape[1:], -100, dtype=np.float32), -far, far)


def _head_and_neck() -> Shape:
    skull = ellipsoid((57, -14, 0), (86, 99, 80))
    face = tube([(45, -42, 0), (-20, -48, 0), (-52, -56, 0), (-68, -78, 0)], [66, 63, 47, 25])
    cheeks = ellipsoid((-22, -24, 0), (40, 40, 69))
    path = [(-10, 8, 0), (-60, 4, 0), (-100, -1, 0), (-135, 8, 0), (-200, 22, 0)]
    neck = tube(path, [58, 54, 53, 58, 72], stretch=(1, 1.1, 1.08))
    nose = tube([(34, -101, 0), (8, -119, 0), (0, -114, 0)], [8, 8, 11])
    lips = ellipsoid((-36, -100, 0), (18, 9, 24))
    return union(skull, face, cheeks, neck, nose, lips, smooth_mm=16)


def _ear(side: int) -> Shape:
    return placed(ellipsoid((0, 0, 0), (28, 15, 4.5)), (2, 2, 75 * side), yaw=-20.0 * side)


def outline(traits: Traits) -> Shape:
    """The body enclosed by the skin; more fat makes it thicker."""
    whole = union(union(_head_and_neck(), _trunk(), smooth_mm=36), _ear(-1), _ear(1), smooth_mm=3)
    return inset(whole, 0.45 * (4.0 - traits.fat_mm))


def body_parts(traits: Traits) -> Iterator[Part]:
    """Fat, the trunk's muscle, lungs and shoulder girdle."""
    yield Part(shape=_everywhere(), tissue=plain(FAT, fine=9.0))
    base = ellipsoid((-330, 25, 0), (203, 220, 330))
    yield Part(
        shape=intersection(inset(outline(traits), 3 + 1.4 * traits.fat_mm), base),
        tissue=muscle(traits.muscle_fat + 0.02),
    )
    yield Part(shape=tube([(30, -102, 0), (10, -116, 0), (2, -114, 0)], [5, 6, 9]), tissue=plain(25, fine=15))
    yield from _chest_parts(traits)
    yield from _shoulder_parts(traits)


def skin_part(traits: Traits) -> Part:
    """Skin over everything and air outside it: muscles and glands that bulge out are cut off here."""
    body = outline(traits)
    outside = replace(_everywhere(), distance=lambda points: -body.distance(points) - np.float32(SKIN_MM))
    return Part(shape=outside, tissue=layered(10.0, AIR, SKIN_MM), clears_label=True)


def _chest_parts(traits: Traits) -> Iterator[Part]:
    yield Part(shape=ellipsoid((-225, 5, 0), (78, 38, 30), squareness=4), tissue=plain(-60, fine=45, coarse=25))
    for side in SIDES:
        yield Part(shape=ellipsoid((-262, 22, 74 * side), (112, 66, 66)), tissue=muscle(traits.muscle_fat))
        for rib in range(5):
            yield Part(shape=_rib(rib, side), tissue=bone(traits.bone_density, 1.6))
        yield Part(shape=ellipsoid((-262, 22, 72 * side), (106, 60, 59)), tissue=lung())
    aorta = tube([(-240, 22, 18), (-212, 5, 12), (-212, -18, -8), (-245, -25, -14)], 13)
    yield Part(shape=aorta, tissue=plain(42 + traits.contrast_hu, fine=4))


def _rib(number: int, side: int) -> Shape:
    """A rib as a hoop in the muscle around the lung, lower in front; the first is short: the lung's top is narrow."""
    back = -152.0 - 20 * number
    path = [(back + 2, canal_y(back) - 4, 16.0 * side)]
    for turn in np.radians(np.arange(-10, 171, 22.5)):
        z = back - 14 * turn
        # The section at this height of the ellipsoid of muscle that ``_chest_parts`` puts around the lung.
        wide = float(np.sqrt(max(0.05, 1 - ((z + 262) / 112) ** 2)))
        path.append((z, 22 + 63 * wide * float(np.cos(turn)), (74 + 62 * wide * float(np.sin(turn))) * side))
    path.append((back - 48, -46, 22.0 * side))
    return tube(path, 4.0, stretch=(1.5, 1, 1))


def _shoulder_parts(traits: Traits) -> Iterator[Part]:
    compact = bone(traits.bone_density, 2.0, 260)
    for side in SIDES:
        yield from _fat_planes(side)
        clavicle = [(-178, -42, 14 * side), (-163, -46, 50 * side), (-150, -8, 105 * side), (-150, 14, 150 * side)]
        yield Part(shape=tube(clavicle, 6.5), tissue=compact)
        blade = placed(block((0, 0, 0), (60, 4, 42), 3.5), (-215, 82, 98 * side), yaw=-22.0 * side, pitch=8)
        yield Part(shape=blade, tissue=compact)
        spine = tube([(-176, 72, 70 * side), (-160, 52, 130 * side), (-150, 22, 160 * side)], 6.0)
        yield Part(shape=spine, tissue=compact)
        yield Part(shape=ellipsoid((-182, 22, 165 * side), (25, 24, 24)), tissue=bone(traits.bone_density, 2.5, 240))
        trapezius = tube([(-20, 52, 10 * side), (-90, 50, 34 * side), (-132, 48, 70 * side), (-150, 36, 130 * side)], 9)
        yield Part(shape=intersection(trapezius, inset(outline(traits), 4.0)), tissue=muscle(traits.muscle_fat))
    sternum = block((-215, -49, 0), (36, 6, 20), 4)
    yield Part(shape=sternum, tissue=compact)


def _fat_planes(side: int) -> Iterator[Part]:
    """Fat over the clavicle, in the axilla, and between the muscle layers of the back."""
    loose = plain(FAT + 5, fine=12)
    yield Part(shape=ellipsoid((-152, -6, 66 * side), (17, 13, 30)), tissue=loose)
    yield Part(shape=tube([(-185, -8, 112 * side), (-235, 5, 122 * side)], [9, 13]), tissue=loose)
    for depth, width in ((57, 120), (74, 90)):
        path = [(-170, depth + 6, 12 * side), (-178, depth - 2, 0.6 * width * side), (-190, depth - 16, width * side)]
        yield Part(shape=tube(path, 1.5, stretch=(22, 1, 1)), tissue=plain(-70, fine=20))
