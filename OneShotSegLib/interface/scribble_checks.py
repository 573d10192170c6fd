"""What is missing in the scribbles of a support before they can be propagated.

Nothing here needs Slicer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.hounsfield import examine_hounsfield
from OneShotSegLib.imaging.intensity import BODY_HU
from OneShotSegLib.imaging.labelmaps import BACKGROUND_NAME, LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.i18n import tr as _
from OneShotSegLib.interface.snapshots import Overlap, Snapshot

FEW_VOXELS = 10
OUTSIDE_SHARE = 0.2
COARSE_STEP = 4


@dataclass(frozen=True)
class Finding:
    """One thing that is missing or wrong in the scribbles.

    Attributes:
        severity: "error" forbids propagating, "warning" does not.
        template: One sentence, with names of fields in braces.
        fields: Name and value of each field.
    """

    severity: Literal["error", "warning"]
    template: str
    fields: tuple[tuple[str, object], ...] = ()

    @property
    def text(self) -> str:
        """The sentence, in the user's language where this is read: a child process knows none."""
        return _(self.template).format(**dict(self.fields)) if self.template else ""

    @property
    def forbids(self) -> bool:
        """Whether propagating makes no sense until it is put right."""
        return self.severity == "error"


def check_content(snapshot: Snapshot, ct: Volume) -> tuple[Finding, ...]:
    """What is missing before the strokes of a segmentation can be propagated."""
    scribbles, overlaps = snapshot.merged_with_overlaps(ct)
    return check_scribbles(scribbles, ct, overlaps)


def check_scribbles(scribbles: LabelMap, ct: Volume, overlaps: tuple[Overlap, ...] = ()) -> tuple[Finding, ...]:
    """What is missing or wrong; nothing if all is well.

    Args:
        scribbles: The strokes on the CT's grid.
        ct: The support, HU.
        overlaps: Segments that share voxels.
    """
    at, values = _painted(scribbles.volume.array)
    counts = np.bincount(values, minlength=256)
    structures = [segment for segment in scribbles.segments if not segment.is_background_stroke]
    return (
        *_check_ct(ct),
        *_check_background(scribbles, counts),
        *_check_structures(structures, counts),
        *_check_names(scribbles.segments),
        *(_overlap(pair) for pair in overlaps),
        *_check_inside(at, values, structures, ct),
    )


def _painted(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Voxels and values of the strokes; slice by slice, which needs little memory."""
    found = []
    for number, plane in enumerate(array):
        rows, columns = np.nonzero(plane)
        if len(rows):
            found.append(np.stack([np.full(len(rows), number), rows, columns], axis=1))
    at = np.concatenate(found) if found else np.zeros((0, 3), dtype=np.int64)
    return at, array[tuple(at.T)]


def _error(template: str, **fields: object) -> Finding:
    return Finding("error", template, tuple(fields.items()))


def _warning(template: str, **fields: object) -> Finding:
    return Finding("warning", template, tuple(fields.items()))


def _check_ct(ct: Volume) -> Iterator[Finding]:
    try:
        yield from (_warning("{note}", note=note) for note in examine_hounsfield(ct, "Support")[1])
    except InputError as error:
        yield _error("{note}", note=str(error))


def _check_background(scribbles: LabelMap, counts: NDArray[Any]) -> Iterator[Finding]:
    background = [segment for segment in scribbles.segments if segment.is_background_stroke]
    if not background:
        yield _error(_("There is no segment named {name}."), name=BACKGROUND_NAME)
    elif not any(counts[segment.value] for segment in background):
        yield _error(_("There is no background stroke yet: paint a few around the structures."))


def _check_structures(structures: list[Segment], counts: NDArray[Any]) -> Iterator[Finding]:
    if not structures:
        yield _error(_("There is no structure yet: add one and paint strokes on it."))
    for segment in structures:
        if counts[segment.value] == 0:
            yield _error(_("{name} has no strokes yet."), name=segment.name)
        elif counts[segment.value] < FEW_VOXELS:
            text = _("{name} has only {count} painted voxels: a few longer strokes work better.")
            yield _warning(text, name=segment.name, count=int(counts[segment.value]))


def _check_names(segments: tuple[Segment, ...]) -> Iterator[Finding]:
    names = [segment.name.strip().casefold() for segment in segments]
    for segment, name in zip(segments, names, strict=True):
        if names.count(name) > 1 and names.index(name) == segments.index(segment):
            yield _error(_("Two segments are named {name}: give each its own name."), name=segment.name)


def _overlap(pair: Overlap) -> Finding:
    text = _("{first} and {second} share {count} voxels: erase one of the two there.")
    return _error(text, first=pair.first, second=pair.second, count=pair.voxels)


def _check_inside(at: NDArray[Any], values: NDArray[Any], structures: list[Segment], ct: Volume) -> Iterator[Finding]:
    outside = air_around(ct.array)
    coarse = tuple(np.minimum(at // COARSE_STEP, np.array(outside.shape) - 1).T)
    in_air = outside[coarse] & (ct.array[tuple(at.T)] < BODY_HU)
    for segment in structures:
        own = in_air[values == segment.value]
        share = float(own.mean()) if len(own) else 0.0
        if share > OUTSIDE_SHARE:
            text = _("{name}: {percent} % of its strokes lie in the air outside the body.")
            yield _warning(text, name=segment.name, percent=round(100 * share))


def air_around(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """The air that reaches the volume's sides, on every fourth voxel: airways and lungs do not count."""
    # Only now: Slicer's own process imports this file, and must not import SciPy at start-up.
    from scipy import ndimage

    air = hu[::COARSE_STEP, ::COARSE_STEP, ::COARSE_STEP] < BODY_HU
    parts, _count = ndimage.label(air)
    sides = [parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1]]
    reaching = np.unique(np.concatenate([side.ravel() for side in sides]))
    return np.isin(parts, reaching[reaching > 0])
