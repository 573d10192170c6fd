"""Label maps with the names and colours of their segments, read from and written as Slicer segmentations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_itk, write_volume
from OneShotSegLib.imaging.itk import from_itk
from OneShotSegLib.imaging.resampling import present_labels
from OneShotSegLib.imaging.volume import Volume

BACKGROUND_NAME = "Background"
MAX_LABEL = 255
SEGMENT_KEY = re.compile(r"Segment(\d+)_(.+)")
Color = tuple[float, float, float]

# Distinct on grey CT, and for the common forms of colour blindness in this order.
PALETTE: tuple[Color, ...] = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
    (0.35, 0.45, 0.85),
    (0.60, 0.85, 0.55),
)


@dataclass(frozen=True)
class Segment:
    """One structure of a label map.

    Attributes:
        value: Its voxels' value, 1-255.
        name: Its name.
        color: RGB, 0-1.
        tags: Slicer's segment tags (terminology and the like) as the file had them.
    """

    value: int
    name: str
    color: Color
    tags: str = ""

    @classmethod
    def numbered(cls, value: int) -> Segment:
        """A segment for a plain label value: named after it, coloured from the palette."""
        return cls(value, f"Structure {value}", PALETTE[(value - 1) % len(PALETTE)])

    @property
    def is_background_stroke(self) -> bool:
        """Whether the name says that this is the background stroke (any case)."""
        return self.name.strip().casefold() == BACKGROUND_NAME.casefold()


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map and its segments.

    Attributes:
        volume: uint8 voxels, 0 where nothing is painted.
        segments: The segments, in the file's order; a segment may have no voxel.
    """

    volume: Volume
    segments: tuple[Segment, ...]

    def with_background(self, value: int | None) -> LabelMap:
        """The same map with the segment of this value named as the background stroke; None leaves it as it is."""
        if value is None:
            return self
        known = {segment.value for segment in self.segments}
        segments = self.segments if value in known else (*self.segments, Segment.numbered(value))
        renamed = tuple(replace(s, name=BACKGROUND_NAME) if s.value == value else s for s in segments)
        return LabelMap(self.volume, renamed)

    def with_volume(self, volume: Volume) -> LabelMap:
        """The same segments on another label volume."""
        return LabelMap(volume, self.segments)


def read_label_map(path: Path | str) -> LabelMap:
    """Read a label map; names and colours come from a Slicer segmentation (.seg.nrrd), else they are numbered.

    Raises:
        InputError: If it is no 3D map of whole numbers from 0 to 255, or a segmentation with overlapping segments.
    """
    image = read_itk(Path(path))
    volume = from_itk(image)
    array = volume.array
    if not np.all(np.isfinite(array)) or np.any(array != np.round(array)):
        raise InputError(f"{path}: expected a label map of whole numbers, found fractions.")
    if array.min() < 0 or array.max() > MAX_LABEL:
        raise InputError(
            f"{path}: expected label values from 0 to {MAX_LABEL}, found {array.min():g} to {array.max():g}."
        )
    named = _segments_of(image)
    values = {segment.value for segment in named}
    unnamed = [Segment.numbered(value) for value in present_labels(array) if value not in values]
    return LabelMap(volume.with_array(array.astype(np.uint8)), (*named, *unnamed))


def _segments_of(image: sitk.Image) -> list[Segment]:
    fields: dict[int, dict[str, str]] = {}
    for key in image.GetMetaDataKeys():
        match = SEGMENT_KEY.fullmatch(key)
        if match:
            fields.setdefault(int(match[1]), {})[match[2]] = image.GetMetaData(key)
    return [_segment(number, fields[number]) for number in sorted(fields)]


def _segment(number: int, fields: dict[str, str]) -> Segment:
    value = int(fields.get("LabelValue", number + 1))
    color = tuple(float(part) for part in fields.get("Color", "").split())
    known: Color = color if len(color) == 3 else PALETTE[(value - 1) % len(PALETTE)]
    return Segment(value, fields.get("Name", f"Structure {value}"), known, fields.get("Tags", ""))


def write_label_map(label_map: LabelMap, path: Path | str) -> None:
    """Write a label map; as .seg.nrrd it keeps names, colours and tags and opens in Slicer as a segmentation."""
    write_volume(label_map.volume, path, _metadata(label_map.segments, label_map.volume.array))


def _metadata(segments: Sequence[Segment], array: np.ndarray) -> list[tuple[str, str]]:
    entries = [
        ("Segmentation_MasterRepresentation", "Binary labelmap"),
        ("Segmentation_ContainedRepresentationNames", "Binary labelmap|"),
        ("Segmentation_ReferenceImageExtentOffset", "0 0 0"),
    ]
    for number, segment in enumerate(segments):
        entries += [(f"Segment{number}_{key}", text) for key, text in _segment_fields(segment, array)]
    return entries


def _segment_fields(segment: Segment, array: np.ndarray) -> list[tuple[str, str]]:
    fields = [
        ("ID", f"Segment_{segment.value}"),
        ("Name", segment.name),
        ("NameAutoGenerated", "0"),
        ("Color", " ".join(f"{part:.6g}" for part in segment.color)),
        ("ColorAutoGenerated", "0"),
        ("LabelValue", str(segment.value)),
        ("Layer", "0"),
        ("Extent", _extent(array == segment.value)),
    ]
    return [*fields, ("Tags", segment.tags)] if segment.tags else fields


def _extent(mask: np.ndarray) -> str:
    """First and last voxel with the label along x, y and z, as Slicer writes it; 0 -1 for none."""
    if not mask.any():
        return "0 -1 0 -1 0 -1"
    bounds = []
    for axis in (2, 1, 0):
        others = tuple(k for k in range(3) if k != axis)
        at = np.flatnonzero(mask.any(axis=others))
        bounds += [int(at[0]), int(at[-1])]
    return " ".join(str(bound) for bound in bounds)
