"""What the scanner adds to the patient: couch, streaks from metal, noise, the range of stored HU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.phantom.shapes import Field, Vector
from OneShotSegLib.phantom.tissues import AIR

METAL_FROM_HU = 2900.0
STORED_HU = (-1024, 3071)


@dataclass(frozen=True)
class Scan:
    """How one patient is scanned.

    Attributes:
        noise_hu: Standard deviation of the noise in soft tissue of the head.
        grain: In-plane correlation of the noise, standard deviation in voxels: a soft kernel has more.
        couch: Whether the couch is in the field of view.
        streak_hu: Strength of the streaks from metal in the teeth.
    """

    noise_hu: float
    grain: float
    couch: bool
    streak_hu: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Scan:
        """Draw a protocol."""
        return cls(
            noise_hu=float(rng.uniform(3, 9)),
            grain=float(rng.uniform(0.5, 0.9)),
            couch=bool(rng.random() < 0.7),
            streak_hu=float(rng.uniform(60, 160)),
        )


def acquire(
    hu: Field, positions: tuple[Field, Field, Field], spacing: Vector, scan: Scan, rng: np.random.Generator
) -> NDArray[np.int16]:
    """The stored CT of a painted patient.

    Args:
        hu: Painted HU, shape (D, H, W).
        positions: Positions z, y, x of the slices, rows and columns in mm from the patient's reference point.
        spacing: In mm, z, y, x.
        scan: The protocol.
        rng: Source of noise.
    """
    image = hu.copy()
    if scan.couch:
        _add_couch(image, positions)
    _add_streaks(image, hu, spacing, scan.streak_hu, rng)
    image += _noise(image, positions[0], scan, rng)
    return np.clip(np.rint(image), *STORED_HU).astype(np.int16)


def _add_couch(image: Field, positions: tuple[Field, Field, Field]) -> None:
    """A curved shell of carbon fibre with foam in it, under the body and only where there is air."""
    _, y, x = positions
    top = np.float32(118) - (x / 210) ** 2 * 38
    depth = y[:, None] - top[None, :]
    shell = np.clip(1.3 - np.abs(depth) / 2, 0, 1) + np.clip(1.3 - np.abs(depth - 32) / 2, 0, 1)
    layer = AIR + 700 * shell + 55 * ((depth > 0) & (depth < 32))
    air = np.clip((-500 - image) / 400, 0, 1)
    image += air * np.maximum(layer[None] - image, 0)


def _add_streaks(image: Field, hu: Field, spacing: Vector, strength: float, rng: np.random.Generator) -> None:
    """Bright and dark rays from the metal, slice by slice, fading with distance and outside the body."""
    metal = hu > METAL_FROM_HU
    for z in np.flatnonzero(metal.any(axis=(1, 2))):
        rows, columns = np.nonzero(metal[z])
        y = (np.arange(hu.shape[1]) - rows.mean())[:, None] * spacing[1]
        x = (np.arange(hu.shape[2]) - columns.mean())[None, :] * spacing[2]
        angle = np.arctan2(y, x)
        rays = np.zeros(angle.shape)
        for order in (2, 3, 5, 8, 13, 21):
            rays += np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        amount = strength * min(1.0, len(rows) / 12) * np.exp(-np.hypot(y, x) / 55)
        image[z] += ((hu[z] > -400) * amount * rays / 2).astype(np.float32)


def _noise(image: Field, heights: Field, scan: Scan, rng: np.random.Generator) -> Field:
    """Correlated noise, stronger where the shoulders absorb the rays."""
    white = rng.standard_normal(image.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(white, (0.35, scan.grain, scan.grain), truncate=2.5, mode="wrap")
    noise *= np.float32(scan.noise_hu / max(float(noise.std()), 1e-6))
    shoulders = 1 + 1.2 * np.clip((-115 - heights) / 45, 0, 1)
    found: Field = noise * shoulders.astype(np.float32)[:, None, None]
    return found
