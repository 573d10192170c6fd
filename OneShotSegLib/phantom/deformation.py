"""The map from a patient to the standard anatomy: size, pose and smooth individual deformation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from OneShotSegLib.phantom.shapes import Points, Vector, rotation, vector

PIVOT = vector([-95.0, 8.0, 0.0])
"""The neck bends about C5/C6."""

CONTROL_SPACING_MM = 55.0
CONTROL_LOW = vector([-420.0, -330.0, -330.0])
CONTROL_SHAPE = (14, 13, 13)


@dataclass(frozen=True, eq=False, kw_only=True)
class Deformation:
    """The map from a patient's positions to anatomical positions, both in mm (z, y, x).

    Attributes:
        size: Patient size over the standard anatomy's, along z, y, x.
        head_turn: Flexion, turn and tilt of the head against the trunk, in degrees.
        body_turn: Rotation of the whole patient on the couch, in degrees (pitch, yaw, roll).
        controls: Displacements at the nodes of a coarse lattice in mm, shape (3, *CONTROL_SHAPE).
    """

    size: Vector
    head_turn: tuple[float, float, float]
    body_turn: tuple[float, float, float]
    controls: NDArray[np.float32]

    @classmethod
    def identity(cls) -> Deformation:
        """The standard anatomy itself."""
        still = (0.0, 0.0, 0.0)
        return cls(
            size=vector([1, 1, 1]),
            head_turn=still,
            body_turn=still,
            controls=np.zeros((3, *CONTROL_SHAPE), dtype=np.float32),
        )

    @classmethod
    def random(cls, rng: np.random.Generator, strength: float = 1.0) -> Deformation:
        """A patient's individual shape and pose; strength 0 is the standard anatomy, 1 the usual spread."""
        size = 1 + strength * (rng.normal(0, 0.035) + rng.normal(0, 0.022, 3))
        head = strength * rng.normal(0, (5.5, 3.5, 2.0))
        body = strength * rng.normal(0, (1.5, 1.5, 1.5))
        controls = strength * rng.normal(0, 6.0, (3, *CONTROL_SHAPE))
        # A tail of the normal distribution must not fold the neck or the lattice.
        return cls(
            size=vector(np.clip(size, 0.86, 1.14)),
            head_turn=(
                float(np.clip(head[0], -11, 11)),
                float(np.clip(head[1], -7, 7)),
                float(np.clip(head[2], -4, 4)),
            ),
            body_turn=(float(body[0]), float(body[1]), float(body[2])),
            controls=np.clip(controls, -13, 13).astype(np.float32),
        )

    def to_anatomy(self, positions: ArrayLike) -> Points:
        """Patient positions (3, ...) in mm to anatomical positions (3, ...)."""
        points = vector(positions)
        shape = points.shape
        points = points.reshape(3, -1)
        points = (vector(rotation(*self.body_turn)).T @ points) / self.size[:, None]
        points = self._unbend(points)
        return (points + self._displacement(points)).reshape(shape)

    def _unbend(self, points: Points) -> Points:
        """Undo the neck's bending: full rotation at the head, none at the trunk, blended along the neck."""
        fraction = np.clip((points[0] + 150) / 130, 0, 1)
        share = fraction * fraction * (3 - 2 * fraction)
        bent = points - PIVOT[:, None]
        for axes, degrees in (((0, 1), -self.head_turn[0]), ((1, 2), -self.head_turn[1]), ((0, 2), -self.head_turn[2])):
            angle = np.float32(np.radians(degrees)) * share
            cosine, sine = np.cos(angle), np.sin(angle)
            first, second = bent[axes[0]], bent[axes[1]]
            bent[axes[0]], bent[axes[1]] = cosine * first + sine * second, cosine * second - sine * first
        return bent + PIVOT[:, None]

    def _displacement(self, points: Points) -> Points:
        """The lattice's smooth displacement at positions (3, n)."""
        if not self.controls.any():
            return np.zeros_like(points)
        index = (points - CONTROL_LOW[:, None]) / np.float32(CONTROL_SPACING_MM)
        return np.stack(
            [
                # Without the prefilter the lattice is a B-spline: twice differentiable and never beyond its controls.
                ndimage.map_coordinates(one, index, order=3, mode="nearest", prefilter=False)
                for one in self.controls
            ]
        )
