"""Landmarks of the standard anatomy, which the parts are placed by.

Anatomical positions are in mm, written z, y, x: z grows upwards from the foramen magnum, y backwards from the middle of
the spinal canal there, x to the patient's left.
"""

from __future__ import annotations

import numpy as np

_CANAL_Z = (-330.0, -240.0, -190.0, -150.0, -120.0, -90.0, -60.0, -30.0, 0.0, 25.0)
_CANAL_Y = (46.0, 43.0, 36.0, 25.0, 15.0, 7.0, 3.0, 2.0, 0.0, -4.0)

SIDES = (-1, 1)
"""Right, left: the sign of x."""

VERTEBRAE = {
    "C3": -51.0,
    "C4": -68.0,
    "C5": -85.0,
    "C6": -102.0,
    "C7": -120.0,
    "T1": -140.0,
    "T2": -161.0,
    "T3": -183.0,
    "T4": -206.0,
    "T5": -230.0,
}
"""Height of the bodies' centres."""

TRACHEA = ((-116, -40, 0), (-130, -36, 0), (-150, -28, 0), (-190, -10, 0), (-240, 6, 0))
EYE = (27.0, -88.0, 32.0)
ORBIT_APEX = (26.0, -50.0, 15.0)


def canal_y(z: float) -> float:
    """Front-to-back position of the middle of the spinal canal at a height."""
    return float(np.interp(z, _CANAL_Z, _CANAL_Y))


def canal_pitch(z: float) -> float:
    """Inclination of the canal at a height in degrees, as ``rotation`` takes it."""
    slope = (canal_y(z + 8) - canal_y(z - 8)) / 16
    return float(np.degrees(np.arctan(slope)))


def along_canal(top: float, bottom: float, step: float = 15.0) -> list[tuple[float, float, float]]:
    """Nodes of the canal's midline from one height to another."""
    count = max(2, int(np.ceil(abs(top - bottom) / step)) + 1)
    return [(float(z), canal_y(float(z)), 0.0) for z in np.linspace(top, bottom, count)]


def beside_canal(top: float, bottom: float, back: float, side: float) -> list[tuple[float, float, float]]:
    """Nodes that follow the canal, ``back`` mm behind and ``side`` mm to the left of it."""
    return [(z, y + back, x + side) for z, y, x in along_canal(top, bottom, 25.0)]


def dental_arch(count: int, upper: bool) -> list[tuple[float, float]]:
    """Places (y, x) of the teeth of one jaw, from the right last molar to the left one."""
    depth, width, front = (46.0, 27.0, -97.0) if upper else (46.0, 31.5, -93.0)
    angles = np.linspace(-1, 1, count)
    return [(front + depth * abs(a) ** 1.9, width * float(np.sign(a)) * abs(a) ** 0.72) for a in angles]
