"""Synthetic CTs of a trunk: skin fat, muscle, a spine, two lungs above; of any build and field of view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from OneShotSegLib.imaging.body_profile import BodyProfile
from OneShotSegLib.imaging.volume import Volume

SPACING = (5.0, 4.0, 4.0)
AIR, FAT, MUSCLE, BONE, LUNG = -1000, -100, 50, 600, -800
LUNGS_FROM = 150.0


def body(
    low: float = -200.0, high: float = 200.0, size: float = 1.0, fat_mm: float = 20.0, spine_mm: float = 20.0
) -> Volume:
    """A CT of a trunk.

    Args:
        low: Lower end of the field of view, mm from the trunk's middle.
        high: Upper end.
        size: Factor on width and depth.
        fat_mm: Thickness of the fat under the skin.
        spine_mm: Radius of the spine.
    """
    z = np.arange(low, high, SPACING[0])[:, None, None]
    y, x = (np.arange(-240.0, 240.0, step) for step in SPACING[1:])
    y, x = y[None, :, None], x[None, None, :]
    width, depth = size * (140 + 30 * np.cos(z / 60)), size * (100 + 20 * np.sin(z / 45))
    skin = np.hypot(x / width, y / depth)
    inner = np.hypot(x / np.maximum(width - fat_mm, 1), y / np.maximum(depth - fat_mm, 1))
    array = np.where(skin < 1, FAT, AIR)
    array = np.where(inner < 1, MUSCLE, array)
    lungs = np.minimum(np.hypot((x - 60) / 35, y / 45), np.hypot((x + 60) / 35, y / 45))
    array = np.where((lungs < 1) & (z > LUNGS_FROM) & (inner < 1), LUNG, array)
    array = np.where((np.hypot(x, y - 40) < spine_mm) & (inner < 1), BONE, array)
    return Volume.create(array.astype(np.int16), SPACING, (low, -240.0, -240.0))


def batch(count: int = 9) -> list[Volume]:
    """CTs of ordinary differences: build, fat, and a few cm of the field of view."""
    steps = np.linspace(-1, 1, count)
    return [
        body(
            low=-200 + 15 * np.sin(7 * step),
            high=200 + 15 * np.cos(5 * step),
            size=1 + 0.06 * step,
            fat_mm=20 + 5 * np.sin(3 * step),
            spine_mm=20 + 2 * np.cos(4 * step),
        )
        for step in steps
    ]


def profiles(cts: Sequence[Volume]) -> list[BodyProfile]:
    """Their profiles."""
    return [BodyProfile.of(ct, "ct") for ct in cts]
