"""Comparison of paired organs: the left and the right one of a patient are of the same tissue.

The tissue of an organ varies far more between patients than between a patient's two sides. So a comparison with the
support does not show that surgery removed one side, as the fat and scar in its place resemble the organ of some other
patient; a comparison with the other side does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Volume

# Parotids of 59 patients differ by 5 HU in the middle and 19 HU at most, contoured by hand; as pseudo masks by 33 HU.
MOST_BETWEEN_SIDES_HU = 40.0
SOFT_TISSUE_HU = (-200.0, 300.0)
FAT_HU = -100.0
LEAST_VOXELS = 30
SIDES = {"left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right"}


@dataclass(frozen=True, kw_only=True)
class UnlikeSides:
    """Paired organs of a patient whose tissues differ.

    Attributes:
        suspect: The side that differs more from the support's.
        other: The other side.
        difference_hu: Difference of their median HU.
        is_missing: Whether fat or scar lies in the suspect's place: it is nearer to fat than the other side.
    """

    suspect: Segment
    other: Segment
    difference_hu: float
    is_missing: bool


def paired_organs(segments: Sequence[Segment]) -> Iterator[tuple[Segment, Segment]]:
    """Pairs whose names differ in the side alone, left first: Parotid_L and Parotid_R, LeftEye and RightEye."""
    sides: dict[tuple[str, ...], dict[str, Segment]] = {}
    for segment in segments:
        words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", segment.name)]
        named = [SIDES[word] for word in words if word in SIDES]
        if len(named) == 1:
            rest = tuple(word for word in words if word not in SIDES)
            sides.setdefault(rest, {}).setdefault(named[0], segment)
    for pair in sides.values():
        if len(pair) == 2:
            yield pair["left"], pair["right"]


def unlike_sides(
    segments: Sequence[Segment], query: tuple[Volume, Volume], support: tuple[Volume, Volume]
) -> list[UnlikeSides]:
    """Pairs of soft-tissue organs that differ more than the two sides of a patient usually do.

    Args:
        segments: The structures to compare.
        query: Its masks, on any grid, and its CT in HU.
        support: The same of the support.
    """
    found = []
    for pair in paired_organs(segments):
        tissue = [tissue_hu(*query, segment.value) for segment in pair]
        difference = abs(tissue[0] - tissue[1])
        if not difference > MOST_BETWEEN_SIDES_HU:  # nor where the tissue is unknown (NaN)
            continue
        wanted = [tissue_hu(*support, segment.value) for segment in pair]
        if abs(wanted[0] - wanted[1]) <= MOST_BETWEEN_SIDES_HU:
            suspect = int(np.argmax(np.abs(np.subtract(tissue, wanted))))
            from_fat = np.abs(np.subtract(tissue, FAT_HU))
            is_missing = bool(from_fat[suspect] < from_fat[1 - suspect])
            found.append(
                UnlikeSides(
                    suspect=pair[suspect],
                    other=pair[1 - suspect],
                    difference_hu=round(difference, 1),
                    is_missing=is_missing,
                )
            )
    return found


def tissue_hu(labels: Volume, ct: Volume, value: int) -> float:
    """Median HU of the soft tissue within a mask; NaN where there is hardly any, as in lungs and bones."""
    index = np.rint(ct.to_index(labels.to_world(np.argwhere(labels.array == value)))).astype(np.int64)
    inside = np.all((index >= 0) & (index < ct.shape), axis=1)
    hu = ct.array[tuple(index[inside].T)]
    low, high = SOFT_TISSUE_HU
    soft = hu[(hu > low) & (hu < high)]
    return float(np.median(soft)) if len(soft) >= max(LEAST_VOXELS, len(hu) / 2) else float("nan")
