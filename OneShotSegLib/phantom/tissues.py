"""Tissues: the HU of a part at a depth under its own surface.

A tissue is called with the depth in mm (positive inside) and the texture of the same voxels, and gives HU. Figures are
those of a 120 kV CT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from OneShotSegLib.phantom.shapes import Field, Vector

AIR = -1000.0
FAT = -98.0
MUSCLE = 55.0
CSF = 8.0


@dataclass(frozen=True, eq=False)
class Texture:
    """Smooth random fields of unit variance, each of the grid's shape (or that of a box of it).

    Attributes:
        fine: Grain of about 2 mm.
        coarse: Patches of about 6 mm.
    """

    fine: Field
    coarse: Field

    @classmethod
    def random(cls, shape: tuple[int, ...], spacing: Vector, rng: np.random.Generator) -> Texture:
        """Draw both fields on a grid of a spacing in mm (z, y, x)."""
        return cls(_smooth_noise(shape, 1.9 / spacing, rng), _smooth_noise(shape, 5.5 / spacing, rng))

    def within(self, box: tuple[slice, ...]) -> Texture:
        """The texture of a box of voxels."""
        return Texture(self.fine[box], self.coarse[box])


def _smooth_noise(shape: tuple[int, ...], sigma: Vector, rng: np.random.Generator) -> Field:
    """White noise smoothed by sigma voxels (z, y, x), rescaled to unit variance."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, truncate=2.5, mode="wrap")
    found: Field = noise / np.float32(max(float(noise.std()), 1e-6))
    return found


Tissue = Callable[[Field, Texture], Field]


def plain(hu: float, fine: float = 0.0, coarse: float = 0.0) -> Tissue:
    """One mean HU with fine and coarse texture of the given standard deviations in HU."""

    def values(depth: Field, texture: Texture) -> Field:
        return np.float32(hu) + np.float32(fine) * texture.fine + np.float32(coarse) * texture.coarse

    return values


def step(depth: Field, at_mm: float, width_mm: float = 1.5) -> Field:
    """0 above a depth, 1 below it, linear over a width that represents the partial volume."""
    found: Field = np.clip((depth - np.float32(at_mm)) / np.float32(width_mm) + np.float32(0.5), 0, 1)
    return found


def layered(outer: float, inner: float, thickness_mm: float, inner_fine: float = 0.0) -> Tissue:
    """An outer layer of one HU around a core of another: skin over fat, cortex over marrow."""

    def values(depth: Field, texture: Texture) -> Field:
        core = np.float32(inner) + np.float32(inner_fine) * texture.fine
        return np.float32(outer) + step(depth, thickness_mm) * (core - np.float32(outer))

    return values


def bone(density: float = 1.0, cortex_mm: float = 2.0, marrow: float = 330.0) -> Tissue:
    """Cortical bone over spongy marrow."""
    return layered(1150.0 * density, marrow * density, cortex_mm, inner_fine=75.0)


def muscle(fatty: float = 0.15) -> Tissue:
    """Muscle with streaks of fat between its bundles; ``fatty`` is about the share of fat."""

    def values(depth: Field, texture: Texture) -> Field:
        streak = np.clip(np.float32(4.5 * fatty) - np.abs(texture.coarse + 0.3 * texture.fine) * 5, 0, 1)
        surface = 1 - step(depth, 0.6, 2.5)
        found: Field = np.float32(MUSCLE) + 3 * texture.fine - np.float32(75) * np.maximum(streak, 0.8 * surface)
        return found

    return values


def gland(hu: float, fatty: float = 22.0) -> Tissue:
    """A lobulated gland: fat between lobules gives it a coarse grain."""
    return plain(hu, fine=fatty, coarse=0.4 * fatty)


def brain() -> Tissue:
    """Grey matter over white matter, and sulci of CSF from the surface inwards."""

    def values(depth: Field, texture: Texture) -> Field:
        white = step(depth + 2.5 * texture.coarse, 5.0, 3.0)
        tissue = 39 - 9 * white + 1.5 * texture.fine
        furrow = np.clip(1.9 - 4.5 * np.abs(texture.coarse), 0, 1) * (1 - step(depth, 9.0, 10.0))
        return (tissue + (CSF - tissue) * np.maximum(0.8 * furrow, 1 - step(depth, 1.2))).astype(np.float32)

    return values


def air_cells(bone_hu: float = 500.0) -> Tissue:
    """Bone with air cells, as in the mastoid and the ethmoid."""

    def values(depth: Field, texture: Texture) -> Field:
        cells = np.clip(1.2 * texture.fine + np.float32(0.35), -1, 1)
        interior = np.float32(bone_hu - 600) - np.float32(600) * cells
        found: Field = np.float32(bone_hu) + step(depth, 1.8) * (interior - np.float32(bone_hu))
        return found

    return values


def cartilage(ossified: float) -> Tissue:
    """Laryngeal cartilage, ossified in patches (0 none, 1 much)."""

    def values(depth: Field, texture: Texture) -> Field:
        found: Field = np.float32(110) + np.float32(420 * ossified) * np.clip(texture.coarse + 0.4, 0, 1.3)
        return found

    return values


def lung() -> Tissue:
    """Lung with its vessels."""

    def values(depth: Field, texture: Texture) -> Field:
        vessel = np.clip(texture.fine - np.float32(1.9), 0, 1)
        found: Field = np.float32(-860) + 15 * texture.coarse + np.float32(700) * vessel
        return found

    return values
