"""The structures of the phantom's reference label map."""

from __future__ import annotations

from OneShotSegLib.imaging.labelmaps import Segment

BRAINSTEM = Segment(1, "Brainstem", (0.353, 0.620, 0.529))
SPINAL_CORD = Segment(2, "SpinalCord", (0.957, 0.839, 0.192))
RIGHT_PAROTID = Segment(3, "RightParotid", (0.933, 0.459, 0.318))
LEFT_PAROTID = Segment(4, "LeftParotid", (0.545, 0.451, 0.792))
MANDIBLE = Segment(5, "Mandible", (0.945, 0.839, 0.569))
LARYNX = Segment(6, "Larynx", (0.435, 0.722, 0.824))
THYROID = Segment(7, "Thyroid", (0.384, 0.600, 0.439))

STRUCTURES = (BRAINSTEM, SPINAL_CORD, RIGHT_PAROTID, LEFT_PAROTID, MANDIBLE, LARYNX, THYROID)
BACKGROUND = Segment(8, "Background", (0.502, 0.502, 0.502))
