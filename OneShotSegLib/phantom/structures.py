"""The structures of the phantom's reference label map."""

from __future__ import annotations

from OneShotSegLib.imaging.labelmaps import Segment

BRAINSTEM = Segment(value=1, name="Brainstem", color=(0.353, 0.620, 0.529))
SPINAL_CORD = Segment(value=2, name="SpinalCord", color=(0.957, 0.839, 0.192))
RIGHT_PAROTID = Segment(value=3, name="RightParotid", color=(0.933, 0.459, 0.318))
LEFT_PAROTID = Segment(value=4, name="LeftParotid", color=(0.545, 0.451, 0.792))
MANDIBLE = Segment(value=5, name="Mandible", color=(0.945, 0.839, 0.569))
LARYNX = Segment(value=6, name="Larynx", color=(0.435, 0.722, 0.824))
THYROID = Segment(value=7, name="Thyroid", color=(0.384, 0.600, 0.439))

STRUCTURES = (BRAINSTEM, SPINAL_CORD, RIGHT_PAROTID, LEFT_PAROTID, MANDIBLE, LARYNX, THYROID)
BACKGROUND = Segment(value=8, name="Background", color=(0.502, 0.502, 0.502))
