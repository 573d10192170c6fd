"""The structures of the phantom's reference label map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """One line of the label table.

    Attributes:
        value: Value in the label maps.
        name: Name of the segment.
        colour: Red, green, blue, each 0 to 1.
    """

    value: int
    name: str
    colour: tuple[float, float, float]


BRAINSTEM = Structure(1, "Brainstem", (0.353, 0.620, 0.529))
SPINAL_CORD = Structure(2, "SpinalCord", (0.957, 0.839, 0.192))
RIGHT_PAROTID = Structure(3, "RightParotid", (0.933, 0.459, 0.318))
LEFT_PAROTID = Structure(4, "LeftParotid", (0.545, 0.451, 0.792))
MANDIBLE = Structure(5, "Mandible", (0.945, 0.839, 0.569))
LARYNX = Structure(6, "Larynx", (0.435, 0.722, 0.824))
THYROID = Structure(7, "Thyroid", (0.384, 0.600, 0.439))

STRUCTURES = (BRAINSTEM, SPINAL_CORD, RIGHT_PAROTID, LEFT_PAROTID, MANDIBLE, LARYNX, THYROID)
BACKGROUND = Structure(8, "Background", (0.502, 0.502, 0.502))
