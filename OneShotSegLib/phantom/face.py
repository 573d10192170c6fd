"""The facial skeleton, teeth and mandible, the air of nose and sinuses, eyes, chewing muscles, parotids."""

from __future__ import annotations

from collections.abc import Iterator

from OneShotSegLib.phantom.canvas import Part
from OneShotSegLib.phantom.landmarks import EYE, ORBIT_APEX, SIDES, dental_arch
from OneShotSegLib.phantom.shapes import Shape, block, ellipsoid, placed, tube, union, without
from OneShotSegLib.phantom.structures import LEFT_PAROTID, MANDIBLE, RIGHT_PAROTID
from OneShotSegLib.phantom.tissues import AIR, FAT, air_cells, bone, gland, muscle, plain
from OneShotSegLib.phantom.traits import Traits

TEETH_PER_JAW = 14
METAL = 3400.0


def midface_parts(traits: Traits) -> Iterator[Part]:
    """Cheek bones, maxilla, palate, orbits, nasal cavity and sinuses."""
    thin = bone(traits.bone_density, 1.5, 300)
    yield Part(shape=tube([(47, -98, -38), (42, -104, -14), (42, -104, 14), (47, -98, 38)], 6.5), tissue=thin)
    for side in SIDES:
        yield Part(shape=ellipsoid((6, -73, 29 * side), (23, 24, 18.5)), tissue=thin)
        yield Part(shape=tube([(20, -78, 49 * side), (4, -86, 42 * side), (2, -78, 52 * side)], 6.5), tissue=thin)
        yield Part(
            shape=tube([(6, -78, 53 * side), (5, -55, 64 * side), (8, -26, 66 * side)], [4.5, 3, 3.5]), tissue=thin
        )
        yield Part(shape=tube([(46, -92, 46 * side), (20, -80, 50 * side)], 4.5), tissue=thin)
        yield Part(shape=tube([(40, -102, 5 * side), (14, -100, 11 * side)], 3.8), tissue=thin)
    palate = tube([(-11, -94, 0), (-9, -52, 0)], 3.0, stretch=(1, 1, 6))
    yield Part(shape=palate, tissue=thin)
    arch = [(-19.0, y + 3, x) for y, x in dental_arch(9, upper=True)]
    yield Part(shape=tube(arch, 5.0, stretch=(2.0, 1, 1)), tissue=thin)
    for side in SIDES:
        fluid = traits.opacified_sinus and side < 0
        yield Part(shape=ellipsoid((6, -73, 29 * side), (20.5, 21.5, 16)), tissue=plain(22 if fluid else AIR))
    yield from _nose_parts()
    yield from _orbit_parts(traits)


def _nose_parts() -> Iterator[Part]:
    """Nasal cavity with septum and turbinates, ethmoid cells, frontal sinus."""
    yield Part(shape=ellipsoid((26, -74, 0), (15, 22, 14), squareness=4), tissue=air_cells(350))
    yield Part(shape=ellipsoid((7, -73, 0), (17, 29, 12.5), squareness=4), tissue=plain(AIR))
    yield Part(shape=block((10, -80, 0), (18, 32, 1.4), 1), tissue=plain(140, fine=40))
    for side in SIDES:
        yield Part(
            shape=tube([(0, -96, 9 * side), (0, -58, 9 * side)], 3.6, stretch=(1.5, 1, 1)), tissue=plain(60, fine=40)
        )
        yield Part(
            shape=tube([(14, -88, 8 * side), (13, -58, 7 * side)], 2.8, stretch=(1.4, 1, 1)), tissue=plain(60, fine=40)
        )
        yield Part(shape=ellipsoid((50, -98, 10 * side), (9, 4.5, 8)), tissue=plain(AIR))
        yield Part(
            shape=tube([(0, -104, 5 * side), (-6, -112, 6 * side), (-9, -116, 7 * side)], 3.2), tissue=plain(AIR)
        )


def _orbit_parts(traits: Traits) -> Iterator[Part]:
    """Fat cone in a thin shell of bone, globe with lens, optic nerve, four straight muscles."""
    z, y, x = EYE
    for side in SIDES:
        centre, apex = (z, y, x * side), (ORBIT_APEX[0], ORBIT_APEX[1], ORBIT_APEX[2] * side)
        yield Part(
            shape=tube([(z, y + 4, x * side), apex], [20.5, 5.0]), tissue=bone(traits.bone_density * 0.8, 2, 500)
        )
        yield Part(shape=tube([(z, y, x * side), apex], [19.0, 3.0]), tissue=plain(FAT, fine=8))
        for dz, dx in ((11, 0), (-11, 0), (0, 11), (0, -11)):
            path = [(z + dz, y + 4, (x + dx) * side), (z + 0.7 * dz, y + 16, (x + 0.6 * dx) * side), apex]
            yield Part(shape=tube(path, [1.6, 2.8, 1.5]), tissue=plain(55))
        yield Part(shape=tube([centre, apex], 2.4), tissue=plain(40))
        radius = 12.3 * traits.eye_size
        lids = [(z + 3, y - 9, (x - 16) * side), (z + 3, y - 13, x * side), (z + 2, y - 5, (x + 17) * side)]
        yield Part(shape=tube(lids, 5), tissue=plain(30))
        yield Part(shape=ellipsoid(centre, (radius, radius, radius)), tissue=plain(48))
        yield Part(shape=ellipsoid(centre, (radius - 1.5,) * 3), tissue=plain(12, fine=2))
        yield Part(shape=ellipsoid((z, y - 8, x * side), (4.5, 2.3, 4.5)), tissue=plain(90))


def mandible_shape(width: float) -> Shape:
    """Body, rami, condyles and coronoid processes."""
    arch = [(-52, -36, 45), (-57, -62, 34.5), (-61, -84, 20.5), (-63, -92, 9)]
    body = [(z, y, -x * width) for z, y, x in arch] + [(z, y, x * width) for z, y, x in reversed(arch)]
    pieces = [tube(body, [5.2, 5.4, 5.4, 5.4, 5.4, 5.4, 5.4, 5.2], stretch=(1.85, 1, 1))]
    ridge = [(-50.0, y, x * width) for y, x in dental_arch(9, upper=False)]
    pieces.append(tube(ridge, 4.3, stretch=(1.7, 1, 1)))
    for side in SIDES:
        pieces.append(tube([(-50, -34, 46 * width * side), (-15, -34, 49 * width * side)], 4.2, stretch=(1, 3.6, 1)))
        neck = [(-16, -28, 49 * width * side), (-2, -22, 50 * width * side), (6, -20, 50 * width * side)]
        pieces.append(tube(neck, [4.5, 4.2, 5.2], stretch=(1, 1, 1.35)))
        coronoid = [(-18, -43, 49 * width * side), (3, -50, 48 * width * side)]
        pieces.append(tube(coronoid, [5.2, 2.8], stretch=(1, 1.6, 0.8)))
    return union(*pieces, smooth_mm=6)


def mandible_parts(traits: Traits) -> Iterator[Part]:
    """Mandible and the teeth of both jaws, some missing, some filled with metal."""
    cortical = bone(traits.bone_density * 1.25, 2.3, 420)
    yield Part(shape=mandible_shape(traits.mandible_width), tissue=cortical, label=MANDIBLE.value)
    for upper in (False, True):
        for place, (y, x) in enumerate(dental_arch(TEETH_PER_JAW, upper)):
            number = place + (TEETH_PER_JAW if upper else 0)
            if number not in traits.missing_teeth:
                yield from _tooth(y, x * traits.mandible_width, place, upper, number in traits.fillings)


def _tooth(y: float, x: float, place: int, upper: bool, filled: bool) -> Iterator[Part]:
    """A root and a crown of enamel."""
    molar = place < 5 or place >= TEETH_PER_JAW - 5
    crown, neck, tip = (-33.0, -27.0, -16.0) if upper else (-41.0, -45.0, -56.0)
    width = 4.6 if molar else 3.2
    yield Part(shape=tube([(neck, y, x), (tip, y, x)], [width * 0.8, 1.8]), tissue=plain(1750))
    yield Part(shape=tube([(crown, y, x), (neck, y, x)], width), tissue=plain(2650))
    if filled and molar:
        yield Part(shape=ellipsoid((crown, y, x), (3.5, 3.5, 3.5)), tissue=plain(METAL))


def chewing_parts(traits: Traits) -> Iterator[Part]:
    """Masseters, pterygoids, tongue, floor of the mouth, submandibular glands; painted before the bone."""
    tissue = muscle(traits.muscle_fat * 0.7)
    width = traits.mandible_width
    for side in SIDES:
        masseter = [(2, -58, 60 * width * side), (-28, -48, 57 * width * side), (-50, -42, 54 * width * side)]
        yield Part(shape=tube(masseter, [6, 7.5, 5], stretch=(1, 1.9, 1)), tissue=tissue)
        medial = [(2, -46, 20 * side), (-25, -42, 34 * side), (-48, -38, 41 * side)]
        yield Part(shape=tube(medial, [4, 6.5, 5], stretch=(1, 1.6, 1)), tissue=tissue)
        yield Part(shape=tube([(4, -50, 20 * side), (3, -28, 44 * side)], [8, 5]), tissue=tissue)
        yield Part(shape=tube([(-34, -70, 42 * side), (-24, -92, 36 * side)], 2.6, stretch=(5, 1, 1)), tissue=tissue)
        yield Part(shape=tube([(-64, -80, 12 * side), (-70, -50, 30 * side)], 3.5), tissue=tissue)
        yield Part(shape=ellipsoid((-64, -42, 33 * side), (14, 15, 8)), tissue=gland(55, 12))
        yield Part(shape=tube([(-54, -80, 12 * side), (-58, -60, 24 * side)], 4.5), tissue=gland(35, 15))
    yield Part(shape=ellipsoid((-38, -66, 0), (23, 27, 25)), tissue=plain(45, fine=16, coarse=10))
    yield Part(shape=tube([(-56, -72, 0), (-66, -62, 0)], [14, 8], stretch=(1, 1.4, 1.2)), tissue=tissue)
    yield Part(shape=tube([(-24, -98, -26), (-30, -103, 0), (-24, -98, 26)], 4.5, stretch=(3.2, 1, 1)), tissue=tissue)
    yield Part(shape=tube([(-52, -96, -20), (-52, -100, 0), (-52, -96, 20)], 3.5, stretch=(2.5, 1, 1)), tissue=tissue)


def parotid_shape(traits: Traits, side: int) -> Shape:
    """Superficial lobe over the masseter's edge, deep lobe behind the ramus, tail under the ear."""
    right = side < 0
    size = traits.parotid_size[0 if right else 1]
    z = -20 + traits.parotid_shift_mm[0 if right else 1]
    superficial = ellipsoid((z, -20, 60 * side), (25 * size, 17 * size, 7.5 * size))
    deep = ellipsoid((z + 2, -9, 50 * side), (17 * size, 8 * size, 11 * size))
    tail = ellipsoid((z - 22, -8, 57 * side), (14 * size, 10 * size, 8 * size))
    return union(superficial, deep, tail, smooth_mm=9)


def parotid_parts(traits: Traits) -> Iterator[Part]:
    """Both parotids with the retromandibular vein; scar in fat in place of a removed one."""
    hollow = mandible_shape(traits.mandible_width)
    for side, structure in ((-1, RIGHT_PAROTID), (1, LEFT_PAROTID)):
        shape = parotid_shape(traits, side)
        if structure.name in traits.removed:
            yield Part(shape=shape, tissue=plain(FAT + 35, fine=30))
            continue
        yield Part(shape=without(shape, hollow), tissue=gland(traits.parotid_hu), label=structure.value)
        vein = tube([(4, -14, 53 * side), (-42, -14, 54 * side)], 2.6)
        yield Part(shape=vein, tissue=plain(45 + traits.contrast_hu))


def styloid_parts(traits: Traits) -> Iterator[Part]:
    """Styloid processes: thin spikes medial to the parotids."""
    for side in SIDES:
        path = placed(tube([(0, 0, 0), (-28, -9, -7 * side)], [2.2, 1.2]), (0, -8, 45 * side))
        yield Part(shape=path, tissue=bone(traits.bone_density, 3, 700))
