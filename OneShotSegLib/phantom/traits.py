"""Differences between patients' organs, apart from the deformation of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Traits:
    """One patient's traits; sizes are factors on the standard anatomy.

    Attributes:
        fat_mm: Thickness of the fat under the skin.
        bone_density: Factor on the HU of bone.
        contrast_hu: HU that contrast medium adds to blood.
        muscle_fat: Share of fat in muscle.
        parotid_size: Right and left.
        parotid_hu: HU of the parotids, between fat and muscle.
        parotid_shift_mm: Right and left, upwards.
        mandible_width: Factor on the width of the mandible.
        brainstem_size: Factor on the radii of the brainstem.
        cord_size: Factor on the radii of the cord.
        larynx_size: Factor on the radii of the larynx.
        larynx_shift_mm: Upwards.
        thyroid_size: Factor on the radii of the thyroid.
        thyroid_hu: HU without contrast medium.
        eye_size: Factor on the radii of the globes.
        ossification: Of the laryngeal cartilage, 0 to 1.
        missing_teeth: Indices, 0 to 27, of missing teeth.
        fillings: Indices of teeth with metal fillings.
        ventricle_size: Factor on the radii of the ventricles.
        opacified_sinus: Whether the right maxillary sinus is full of fluid.
        removed: Names of structures that surgery removed.
    """

    fat_mm: float = 5.0
    bone_density: float = 1.0
    contrast_hu: float = 60.0
    muscle_fat: float = 0.15
    parotid_size: tuple[float, float] = (1.0, 1.0)
    parotid_hu: float = 0.0
    parotid_shift_mm: tuple[float, float] = (0.0, 0.0)
    mandible_width: float = 1.0
    brainstem_size: float = 1.0
    cord_size: float = 1.0
    larynx_size: float = 1.0
    larynx_shift_mm: float = 0.0
    thyroid_size: float = 1.0
    thyroid_hu: float = 100.0
    eye_size: float = 1.0
    ossification: float = 0.5
    missing_teeth: frozenset[int] = frozenset()
    fillings: frozenset[int] = frozenset()
    ventricle_size: float = 1.0
    opacified_sinus: bool = False
    removed: frozenset[str] = frozenset()

    @classmethod
    def random(cls, rng: np.random.Generator, removed: frozenset[str] = frozenset()) -> Traits:
        """Draw a patient."""

        def factor(spread: float) -> float:
            return float(np.clip(np.exp(rng.normal(0, spread)), 1 - 2 * spread, 1 + 2 * spread))

        parotid = factor(0.08)
        return cls(
            fat_mm=float(rng.uniform(2.5, 9.0)),
            bone_density=float(rng.uniform(0.8, 1.15)),
            contrast_hu=float(rng.choice([0.0, 60.0, 110.0, 150.0])),
            muscle_fat=float(rng.uniform(0.08, 0.28)),
            parotid_size=(parotid * factor(0.04), parotid * factor(0.04)),
            parotid_hu=float(rng.uniform(-25, 25)),
            parotid_shift_mm=(float(rng.normal(0, 1.5)), float(rng.normal(0, 1.5))),
            mandible_width=factor(0.025),
            brainstem_size=factor(0.03),
            cord_size=factor(0.06),
            larynx_size=factor(0.06),
            larynx_shift_mm=float(np.clip(rng.normal(0, 2.5), -4, 4)),
            thyroid_size=factor(0.09),
            thyroid_hu=float(rng.uniform(85, 120)),
            eye_size=factor(0.03),
            ossification=float(rng.uniform(0.1, 1.0)),
            missing_teeth=frozenset(np.flatnonzero(rng.random(28) < rng.uniform(0, 0.35)).tolist()),
            fillings=frozenset(np.flatnonzero(rng.random(28) < rng.uniform(0, 0.2)).tolist()),
            ventricle_size=factor(0.15),
            opacified_sinus=bool(rng.random() < 0.2),
            removed=removed,
        )
