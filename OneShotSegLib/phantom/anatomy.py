"""The whole patient as parts in painting order: a later part covers the earlier ones."""

from __future__ import annotations

from collections.abc import Iterator

from OneShotSegLib.phantom import body, face, neck, skull, spine
from OneShotSegLib.phantom.canvas import Part
from OneShotSegLib.phantom.traits import Traits


def anatomy_parts(traits: Traits) -> Iterator[Part]:
    """Every part of a patient, soft tissue first, then bone, then air and glands in it."""
    yield from body.body_parts(traits)
    yield from skull.head_muscle_parts(traits)
    yield from neck.neck_muscle_parts(traits)
    yield from face.chewing_parts(traits)
    yield from neck.vessel_parts(traits)
    yield from skull.skull_parts(traits)
    yield from spine.spine_parts(traits)
    yield from skull.skull_base_parts(traits)
    yield from face.midface_parts(traits)
    yield from face.parotid_parts(traits)
    yield from face.styloid_parts(traits)
    yield from neck.airway_parts(traits)
    yield from neck.larynx_parts(traits)
    yield from neck.hyoid_parts(traits)
    yield from neck.thyroid_parts(traits)
    yield from face.mandible_parts(traits)
    yield from spine.canal_parts(traits)
    yield from spine.brainstem_parts(traits)
    yield body.skin_part(traits)
