"""The neck without its bones: muscles, vessels, airway, larynx with its cartilages, hyoid, thyroid, oesophagus."""

from __future__ import annotations

from collections.abc import Iterator

from OneShotSegLib.phantom.canvas import Part
from OneShotSegLib.phantom.landmarks import SIDES, TRACHEA, beside_canal
from OneShotSegLib.phantom.shapes import Shape, block, ellipsoid, placed, tube, union
from OneShotSegLib.phantom.structures import LARYNX, THYROID
from OneShotSegLib.phantom.tissues import AIR, bone, cartilage, gland, muscle, plain
from OneShotSegLib.phantom.traits import Traits


def neck_muscle_parts(traits: Traits) -> Iterator[Part]:
    """The muscles behind and beside the spine, sternomastoids, strap muscles."""
    tissue = muscle(traits.muscle_fat)
    yield Part(shape=tube(beside_canal(-15, -185, 15, 0), 31.0, stretch=(1, 1, 1.3)), tissue=tissue)
    for side in SIDES:
        deep = beside_canal(-25, -170, 17, 12 * side)
        yield Part(shape=tube(deep, 11.5), tissue=tissue)
        middle = [(0, 40, 18 * side), *beside_canal(-35, -170, 31, 19 * side)]
        yield Part(shape=tube(middle, 9.5, stretch=(1, 1, 1.5)), tissue=tissue)
        splenius = [(-4, 22, 50 * side), (-45, 36, 34 * side), (-110, 46, 22 * side), (-160, 60, 14 * side)]
        yield Part(shape=tube(splenius, [7, 8.5, 8, 6], stretch=(1, 0.9, 1.7)), tissue=tissue)
        levator = [(-22, 6, 38 * side), (-80, 18, 41 * side), (-125, 32, 50 * side), (-165, 50, 66 * side)]
        yield Part(shape=tube(levator, [6, 9, 10, 10]), tissue=tissue)
        scalene = [(-45, -4, 27 * side), (-95, 0, 32 * side), (-150, 0, 48 * side)]
        yield Part(shape=tube(scalene, [5, 9, 11]), tissue=tissue)
        yield Part(shape=tube(beside_canal(-12, -165, -29.5, 8 * side), 4.0, stretch=(1, 1, 1.7)), tissue=tissue)
        mastoid = [(-6, 8, 60 * side), (-55, -6, 54 * side), (-105, -32, 38 * side), (-160, -44, 16 * side)]
        yield Part(shape=tube(mastoid, [7, 8.5, 8.5, 6], stretch=(1, 1.55, 1)), tissue=tissue)
        strap = [(-76, -58, 9 * side), (-110, -56, 12 * side), (-160, -42, 10 * side)]
        yield Part(shape=tube(strap, 3.0, stretch=(1, 1, 2.2)), tissue=tissue)
        digastric = [(-8, 0, 50 * side), (-50, -20, 38 * side), (-68, -46, 26 * side)]
        yield Part(shape=tube(digastric, 4.2), tissue=tissue)
    septum = tube(beside_canal(-22, -170, 38, 0), 1.3, stretch=(1, 10, 1))
    yield Part(shape=septum, tissue=plain(-55, fine=15))


def vessel_parts(traits: Traits) -> Iterator[Part]:
    """Carotids, jugulars, vertebral arteries and some nodes along them."""
    blood = plain(42 + traits.contrast_hu, fine=4)
    for side in SIDES:
        carotid = [(-168, -18, 20 * side), (-120, -27, 25 * side), (-80, -28, 26 * side), (-66, -27, 27 * side)]
        yield Part(shape=tube(carotid, [4, 3.6, 3.6, 4.6]), tissue=blood)
        yield Part(shape=tube([(-66, -23, 28 * side), (-25, -18, 28 * side), (6, -20, 27 * side)], 2.9), tissue=blood)
        yield Part(
            shape=tube([(-66, -31, 28 * side), (-40, -30, 35 * side), (-20, -22, 46 * side)], [2.6, 2.4, 1.8]),
            tissue=blood,
        )
        jugular = [(2, -9, 31 * side), (-40, -13, 35 * side), (-90, -20, 36 * side), (-160, -24, 31 * side)]
        yield Part(shape=tube(jugular, [4, 4.8, 6, 6.5]), tissue=blood)
        yield Part(shape=tube(beside_canal(-20, -125, -11, 18 * side), 1.7), tissue=blood)
        for z, y, x, size in ((-52, -14, 44, 5.0), (-78, -4, 45, 3.8), (-108, -8, 44, 3.5), (-66, -52, 40, 4.0)):
            yield Part(shape=ellipsoid((z, y, x * side), (1.4 * size, size, 0.8 * size)), tissue=plain(60))


def airway_parts(traits: Traits) -> Iterator[Part]:
    """Pharynx with its muscular wall, mouth gap, soft palate, trachea and oesophagus."""
    wall = tube([(12, -40, 0), (-20, -40, 0), (-55, -41, 0), (-90, -30, 0)], [11, 11, 11, 8], stretch=(1, 0.9, 1.75))
    yield Part(shape=wall, tissue=plain(52, fine=8))
    yield Part(shape=ellipsoid((2, -41, 0), (15, 8, 14)), tissue=plain(AIR))
    yield Part(
        shape=tube([(-8, -37, 0), (-30, -36, 0), (-60, -39, 0)], [5, 4, 5], stretch=(1, 1, 2.3)), tissue=plain(AIR)
    )
    yield Part(
        shape=tube([(-10, -54, 0), (-16, -46, 0), (-27, -41, 0)], [4, 4, 2.5], stretch=(1, 1, 2.6)),
        tissue=plain(48, fine=6),
    )
    gap = tube([(-14, -82, 0), (-14, -64, 0)], 1.8, stretch=(1, 1, 6))
    yield Part(shape=gap, tissue=plain(AIR))
    yield Part(
        shape=tube([(-112, -22, 2), (-150, -11, 4), (-240, 16, 4)], 6.0, stretch=(1, 0.8, 1.3)),
        tissue=plain(42, fine=10),
    )
    yield Part(shape=tube([(-128, -21, 2), (-170, -5, 4), (-200, 6, 4)], 1.6), tissue=plain(-500))
    yield Part(shape=tube(TRACHEA, 10.2), tissue=plain(70, fine=25))
    yield Part(shape=tube(TRACHEA, 8.4), tissue=plain(AIR))


def hyoid_parts(traits: Traits) -> Iterator[Part]:
    """The hyoid: a horseshoe above the larynx, which moves with it."""
    z = -71 + traits.larynx_shift_mm
    horn = [(z + 3, -34, -19), (z, -50, -14), (z - 1, -58, 0), (z, -50, 14), (z + 3, -34, 19)]
    yield Part(
        shape=tube(horn, [1.8, 2.4, 3.4, 2.4, 1.8], stretch=(1.4, 1, 1)), tissue=bone(traits.bone_density, 1.8, 300)
    )


def larynx_shape(traits: Traits) -> Shape:
    """From the hyoid to the cricoid's lower edge, cartilages and air included."""
    size, up = traits.larynx_size, traits.larynx_shift_mm
    upper = ellipsoid((-87 + up, -45, 0), (14 * size, 16 * size, 20 * size))
    lower = ellipsoid((-105 + up, -43, 0), (14 * size, 15.5 * size, 17.5 * size))
    return union(upper, lower, smooth_mm=8)


def larynx_parts(traits: Traits) -> Iterator[Part]:
    """Soft larynx, thyroid and cricoid cartilage, epiglottis, cords and the air between."""
    size, up = traits.larynx_size, traits.larynx_shift_mm
    yield Part(shape=larynx_shape(traits), tissue=plain(46, fine=10, coarse=8), label=LARYNX.value)
    for side in SIDES:
        yield Part(shape=ellipsoid((-88 + up, -49, 9 * side), (8, 5, 4)), tissue=plain(-55, fine=20))
        lamina = tube([(-91 + up, -58, side), (-96 + up, -37, 17 * size * side)], 1.7, stretch=(6.5, 1, 1))
        yield Part(shape=lamina, tissue=cartilage(traits.ossification))
        horn = tube([(-84 + up, -36, 17.5 * size * side), (-74 + up, -33, 19 * size * side)], 1.6)
        yield Part(shape=horn, tissue=cartilage(traits.ossification))
        yield Part(shape=ellipsoid((-98 + up, -36, 6 * side), (5, 3, 3)), tissue=cartilage(traits.ossification))
    for side in SIDES:
        ring = [(-109 + up, -53, 0), (-109 + up, -45, 12 * side), (-107 + up, -33, 7 * side), (-107 + up, -31, 0)]
        yield Part(shape=tube(ring, [2.0, 2.0, 2.6, 2.8], stretch=(2.2, 1, 1)), tissue=cartilage(traits.ossification))
    yield Part(shape=tube([(-62, -41, 0), (-80 + up, -45, 0)], [6, 8], stretch=(1, 0.9, 1.4)), tissue=plain(AIR))
    yield Part(shape=tube([(-78 + up, -45, 0), (-90 + up, -44, 0)], [7.5, 5], stretch=(1, 1, 1.15)), tissue=plain(AIR))
    slit = placed(ellipsoid((0, 0, 0), (9, 9, 2.6)), (-97 + up, -45, 0))
    yield Part(shape=slit, tissue=plain(AIR))
    yield Part(shape=tube([(-103 + up, -43, 0), (-118 + up, -39, 0)], [6.5, 8.4]), tissue=plain(AIR))
    leaf = placed(block((0, 0, 0), (14, 1.5, 9), 1.2), (-74 + up, -46, 0), pitch=-18)
    yield Part(shape=leaf, tissue=plain(62, fine=8))


def thyroid_shape(size: float) -> Shape:
    """Two lobes beside the trachea and the isthmus in front of it."""
    radii = [4 * size, 8 * size, 5 * size]
    paths = [[(-108, -38, 19 * side), (-124, -34, 19 * side), (-138, -31, 17 * side)] for side in SIDES]
    lobes = [tube(path, radii, stretch=(1, 1.15, 1)) for path in paths]
    bridge = [(-127, -40, -18), (-127, -48.5, -8), (-127, -49.5, 0), (-127, -48.5, 8), (-127, -40, 18)]
    return union(*lobes, tube(bridge, 2.8, stretch=(1.9, 1, 1)), smooth_mm=3)


def thyroid_parts(traits: Traits) -> Iterator[Part]:
    """The thyroid, brighter than muscle for its iodine."""
    if THYROID.name not in traits.removed:
        hu = traits.thyroid_hu + 0.4 * traits.contrast_hu
        yield Part(shape=thyroid_shape(traits.thyroid_size), tissue=gland(hu, 9), label=THYROID.value)
