"""Label maps with the names and colours of their segments; reading and writing them, also as Slicer segmentations."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import bounding_box
from OneShotSegLib.imaging.files import read_itk, write_volume
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.volume import Volume

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813

log = logging.getLogger(__name__)

BACKGROUND_NAME = "Background"
BACKGROUND_VALUE = 255
"""Out of the way of the structures, which stay 1..N however many are added later."""
MAX_LABEL = 255
ROUNDING = 1e-3
NEARLY_WHOLE = 0.05
"""What a mask of a few structures is off at most that was stored in 256 steps with a slope."""
SEGMENT_KEY = re.compile(r"Segment(\d{1,4})_(.+)", re.ASCII)
LABEL_VALUE = re.compile(r"\d{1,4}", re.ASCII)
Color = tuple[float, float, float]
BACKGROUND_COLOR: Color = (0.55, 0.55, 0.6)

# Distinct on grey CT and, in this order, for the common forms of colour blindness.
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


def name_key(name: str) -> str:
    """What two spellings of a structure's name have in common: not the case, blanks around it, or Unicode's form."""
    composed = unicodedata.normalize("NFC", " ".join(name.split()))
    return unicodedata.normalize("NFC", composed.casefold())


@dataclass(frozen=True, kw_only=True)
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
        return cls(value=value, name=f"Structure {value}", color=PALETTE[(value - 1) % len(PALETTE)])

    @property
    def is_background_stroke(self) -> bool:
        """Whether the name is that of the background stroke, in any case of letters."""
        return self.key == name_key(BACKGROUND_NAME)

    @property
    def key(self) -> str:
        """What its name is compared by; see `name_key`."""
        return name_key(self.name)


def background_segment(value: int = BACKGROUND_VALUE) -> Segment:
    """The segment of the background strokes, where we make them."""
    return Segment(value=value, name=BACKGROUND_NAME, color=BACKGROUND_COLOR)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map and its segments.

    Attributes:
        volume: uint8 voxels, 0 where nothing is painted.
        segments: The segments, in the file's order; a segment may have no voxel.
        unnamed: Values of the segments that the file has no name for; theirs was made of the value.
        has_nameless_segments: Whether the file describes segments, of which none has a name.
    """

    volume: Volume
    segments: tuple[Segment, ...]
    unnamed: frozenset[int] = frozenset()
    has_nameless_segments: bool = False

    @property
    def named(self) -> tuple[Segment, ...]:
        """The structures that the file has a name for, without the background stroke."""
        return tuple(s for s in self.segments if s.value not in self.unnamed and not s.is_background_stroke)

    def with_background(self, value: int | None) -> LabelMap:
        """The same map with the segment of this value named as the background stroke, if none is named so.

        None leaves it as it is.
        """
        if value is None or any(s.is_background_stroke and s.value != value for s in self.segments):
            return self
        known = {segment.value for segment in self.segments}
        segments = self.segments if value in known else (*self.segments, Segment.numbered(value))
        renamed = tuple(replace(s, name=BACKGROUND_NAME) if s.value == value else s for s in segments)
        return LabelMap(self.volume, renamed, self.unnamed - {value})

    def with_volume(self, volume: Volume) -> LabelMap:
        """The same segments on another label volume."""
        return LabelMap(volume, self.segments, self.unnamed)


def read_label_map(path: Path | str) -> LabelMap:
    """Read a label map; names and colours come from a Slicer segmentation (.seg.nrrd), else they are numbered.

    The layers in which Slicer keeps overlapping segments become one, the later segment on top; of two segments with one
    value in different layers, the later gets the lowest value that is free.

    Raises:
        InputError: If it is no 3D map of whole numbers from 0 to 255, or its segments are described wrongly.
    """
    import SimpleITK as sitk  # noqa: N813

    path = Path(path)
    image = read_itk(path, layers=True)
    array = sitk.GetArrayFromImage(image)
    try:
        fields = _segment_entries(image)
    except (TypeError, UnicodeError) as error:
        raise InputError(f"{path}: expected segments described in UTF-8, found other bytes in the header.") from error
    if array.ndim == 4 and not fields:
        raise InputError(f"{path}: expected one label per voxel, found {array.shape[3]} (a colour or vector image).")
    array = _whole_numbers(path, array)
    segments = [_segment(path, number, fields[number]) for number in sorted(fields)]
    if array.ndim == 4:
        layers = [_layer(path, fields[number], array.shape[3]) for number in sorted(fields)]
        array, segments = _flattened(path, array, segments, layers)
    values = [segment.value for segment in segments]
    if len(set(values)) < len(values):
        raise InputError(f"{path}: expected a label value of its own for each segment, found one used twice.")
    numbered = [Segment.numbered(value) for value in present_labels(array) if value not in values]
    nameless = {s.value for n, s in zip(sorted(fields), segments, strict=True) if not _name(fields[n])}
    direction = np.asarray(image.GetDirection()).reshape(3, 3)[::-1, ::-1]
    volume = Volume.create(array.astype(np.uint8), image.GetSpacing()[::-1], image.GetOrigin()[::-1], direction)
    unnamed = frozenset(nameless.union(s.value for s in numbered))
    return LabelMap(volume, (*segments, *numbered), unnamed, bool(segments) and len(nameless) == len(segments))


def label_map_of(volume: Volume) -> LabelMap:
    """A label map of plain labels, whole numbers from 0 to 255: its segments are numbered.

    Raises:
        InputError: If the voxels are no such labels.
    """
    array = _whole_numbers("The label map", volume.array)
    labels = volume.with_array(array.astype(np.uint8))
    present = present_labels(labels.array)
    return LabelMap(labels, tuple(Segment.numbered(value) for value in present), frozenset(present))


def _whole_numbers(path: Path | str, array: np.ndarray) -> np.ndarray:
    """Labels as whole numbers; what a scale of values, or single precision, made nearly such is rounded.

    Raises:
        InputError: If they are no whole numbers from 0 to 255.
    """
    if array.dtype.kind == "f":
        rounded = np.round(array)
        off = float(np.abs(array - rounded).max()) if np.isfinite(array).all() else np.inf
        if off > NEARLY_WHOLE:
            raise InputError(f"{path}: expected a label map of whole numbers, found fractions.")
        if off > ROUNDING:
            log.warning("%s: its values are up to %.2g beside whole numbers: they were rounded.", path, off)
        array = rounded
    low, high = array.min(), array.max()
    if low < 0 or high > MAX_LABEL:
        raise InputError(f"{path}: expected label values from 0 to {MAX_LABEL}, found {low:g} to {high:g}.")
    return array


def _segment_entries(image: sitk.Image) -> dict[int, dict[str, str]]:
    """A Slicer segmentation's header entries of each segment, by the segment's number."""
    fields: dict[int, dict[str, str]] = {}
    for key in image.GetMetaDataKeys():
        match = SEGMENT_KEY.fullmatch(key)
        if match:
            fields.setdefault(int(match[1]), {})[match[2]] = image.GetMetaData(key)
    return fields


def _segment(path: Path, number: int, fields: dict[str, str]) -> Segment:
    text = fields.get("LabelValue", str(number + 1)).strip()
    value = int(text) if LABEL_VALUE.fullmatch(text) else 0
    if not 1 <= value <= MAX_LABEL:
        raise InputError(f"{path}: expected segments with label values from 1 to {MAX_LABEL}, found {text[:20]!r}.")
    name = _name(fields) or f"Structure {value}"
    return Segment(value=value, name=name, color=_color(fields.get("Color", ""), value), tags=fields.get("Tags", ""))


def _name(fields: dict[str, str]) -> str:
    name = fields.get("Name", "")
    return name if name.strip() else ""


def _color(text: str, value: int) -> Color:
    """A header's RGB, 0-1, or the palette's if there is none."""
    try:
        parts = [float(part) for part in text.split()]
    except ValueError:
        parts = []
    if len(parts) != 3 or not np.isfinite(parts).all():
        return Segment.numbered(value).color
    red, green, blue = (min(max(part, 0.0), 1.0) for part in parts)
    return red, green, blue


def _layer(path: Path, fields: dict[str, str], count: int) -> int:
    text = fields.get("Layer", "0").strip()
    layer = int(text) if LABEL_VALUE.fullmatch(text) else count
    if layer >= count:
        raise InputError(f"{path}: expected segments in layers 0 to {count - 1}, found one in layer {text[:20]!r}.")
    return layer


def _flattened(
    path: Path, array: np.ndarray, segments: Sequence[Segment], layers: Sequence[int]
) -> tuple[np.ndarray, list[Segment]]:
    """Layers (D, H, W, L) as one map (D, H, W), and the segments with their values in it."""
    flat = np.zeros(array.shape[:3], dtype=np.uint8)
    taken: list[Segment] = []
    values = {segment.value for segment in segments}
    claimed = {(layer, segment.value) for layer, segment in zip(layers, segments, strict=True)}
    if len(claimed) < len(segments):
        raise InputError(
            f"{path}: expected a label value of its own for each segment of a layer, found one used twice."
        )

    def free_value() -> int:
        value = next((free for free in range(1, MAX_LABEL + 1) if free not in values), 0)
        if not value:
            raise InputError(f"{path}: expected at most {MAX_LABEL} segments, found more.")
        values.add(value)
        return value

    # What no segment describes is kept below the others, as in a map without layers, so that it can be said.
    for layer in range(array.shape[3]):
        for value in present_labels(array[..., layer]):
            if (layer, value) not in claimed:
                flat[array[..., layer] == value] = free_value()
    for segment, layer in zip(segments, layers, strict=True):
        value = free_value() if any(other.value == segment.value for other in taken) else segment.value
        flat[array[..., layer] == segment.value] = value
        taken.append(replace(segment, value=value))
    return flat, taken


def consecutive(labels: Volume, structures: Sequence[Segment]) -> Volume:
    """A map with these structures numbered 1, 2, ... in their order; values of no structure become background."""
    table = np.zeros(MAX_LABEL + 1, dtype=np.uint8)
    for number, structure in enumerate(structures, 1):
        table[structure.value] = number
    return labels.with_array(table[labels.array])


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
    box = bounding_box(mask)
    if box is None:
        return "0 -1 0 -1 0 -1"
    return " ".join(f"{part.start} {part.stop - 1}" for part in reversed(box))
