"""The strokes of a support, as they are painted in the page: on disk after each one, so that nothing is ever lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.browser.masks import segments_json
from OneShotSegLib.browser.strokes import Hounsfield, Stroke, nothing_painted, paint, touched
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box
from OneShotSegLib.imaging.files import stem_of
from OneShotSegLib.imaging.label_grids import onto_grid
from OneShotSegLib.imaging.labelmaps import (
    BACKGROUND_VALUE,
    PALETTE,
    LabelMap,
    Segment,
    background_segment,
    name_key,
    read_label_map,
    write_label_map,
)
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.jobs.inputs import inputs_folder
from OneShotSegLib.study.layout import StudyPaths, read_json, write_json
from OneShotSegLib.study.naming import safe_name

MOST_STRUCTURES = 60
LONGEST_NAME = 80
FOLDER = "support"

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class DraftText:
    """What is kept of a draft.

    Attributes:
        ct: The support's CT.
        series: Series instance UID, where the CT is a folder with several; else ''.
        base: Strokes that were there before; '' if there were none.
        segments: The structures and the background stroke.
        strokes: The strokes, in the order in which they were painted.
    """

    ct: str
    series: str = ""
    base: str = ""
    segments: tuple[Segment, ...] = (background_segment(),)
    strokes: tuple[Stroke, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As it is on disk."""
        return {
            "ct": self.ct,
            "series": self.series,
            "base": self.base,
            "segments": segments_json(self.segments),
            "strokes": [stroke.as_json() for stroke in self.strokes],
        }

    @classmethod
    def parse(cls, content: Any) -> DraftText:
        """Read it.

        Raises:
            InputError: If it is no draft.
        """
        try:
            ct, series, base = content["ct"], content["series"], content["base"]
            segments = tuple(_segment(entry) for entry in content["segments"])
            strokes = tuple(Stroke.parse(entry) for entry in content["strokes"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("Expected strokes that were kept before, found other content.") from error
        if not all(isinstance(text, str) for text in (ct, series, base)):
            raise InputError("Expected strokes that were kept before, found other content.")
        return cls(ct, series, base, segments, strokes)


def draft_file(study: StudyPaths) -> Path:
    """Where a study's draft is kept: next to the study, with what else its runs read."""
    return inputs_folder(study) / FOLDER / "draft.json"


def read_draft(study: StudyPaths) -> DraftText | None:
    """The draft that was kept; None if there is none that can be read."""
    try:
        return DraftText.parse(read_json(draft_file(study)))
    except InputError:
        return None


class Draft:
    """The strokes of a support in memory.

    Args:
        study: The study that they are for.
        text: What is kept of it.
        grid: The CT's grid.
        hounsfield: The CT, for strokes with a range.

    Attributes:
        labels: The strokes, shape (D, H, W) of the CT.
        number: Grows with each change.
    """

    def __init__(self, study: StudyPaths, text: DraftText, grid: Volume, hounsfield: Hounsfield | None = None) -> None:
        self.study, self.text, self.grid, self.hounsfield = study, text, grid, hounsfield
        self.number = 0
        self._base = self._read_base()
        self.labels = self._painted()

    @property
    def structures(self) -> tuple[Segment, ...]:
        """The structures, without the background stroke."""
        return tuple(segment for segment in self.text.segments if not segment.is_background_stroke)

    @property
    def label_map(self) -> LabelMap:
        """The strokes and what they mean."""
        return LabelMap(self.grid.with_array(self.labels), self.text.segments)

    def add(self, stroke: Stroke) -> Box | None:
        """Paint a stroke and keep it; what was touched.

        Raises:
            InputError: If its label is none of the draft's, or it paints nothing though it lies within the CT.
            OSError: If it cannot be kept; then nothing is changed.
        """
        if stroke.value and stroke.value not in {segment.value for segment in self.text.segments}:
            raise InputError("Expected a stroke of a structure that has a name, found another: name it first.")
        found = touched(self.labels, stroke, self.grid.spacing, self.hounsfield)
        if found is None and (stroke.kind == "between" or stroke.within is not None):
            raise nothing_painted(stroke)
        self._keep(replace(self.text, strokes=(*self.text.strokes, stroke)))
        if found is None:
            return None
        box, voxels = found
        self.labels[box][voxels] = stroke.value
        return box

    def undo(self) -> bool:
        """Take the latest stroke back; whether there was one."""
        if not self.text.strokes:
            return False
        self._keep(replace(self.text, strokes=self.text.strokes[:-1]))
        self.labels = self._painted()
        return True

    def add_structures(self, names: Iterable[str], known: Sequence[Segment] = ()) -> None:
        """Name further structures.

        Args:
            names: Their names.
            known: The study's structures: one of the same name keeps its value and its colour.

        Raises:
            InputError: If a name is there already, or is none.
        """
        segments = list(self.text.segments)
        for name in names:
            clean = " ".join(name.split())
            if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
                raise InputError(f"Expected a name of 1 to {LONGEST_NAME} letters, found another.")
            if name_key(clean) in {segment.key for segment in segments}:
                raise InputError(f"There is a structure named {clean} already.")
            if len(segments) > MOST_STRUCTURES:
                raise InputError(f"Expected at most {MOST_STRUCTURES} structures, found more.")
            same = next((segment for segment in known if segment.key == name_key(clean)), None)
            taken = {segment.value for segment in (*segments, *known)}
            free = next(value for value in range(1, BACKGROUND_VALUE) if value not in taken)
            segments.append(same or Segment(value=free, name=clean, color=PALETTE[(free - 1) % len(PALETTE)]))
        self._keep(replace(self.text, segments=tuple(segments)))

    def remove_structure(self, value: int) -> None:
        """Remove a structure and its strokes."""
        segments = tuple(s for s in self.text.segments if s.value != value or s.is_background_stroke)
        strokes = tuple(s for s in self.text.strokes if s.value in {0, *(one.value for one in segments)})
        self._keep(replace(self.text, segments=segments, strokes=strokes))
        self.labels = self._painted()

    def write(self) -> Path:
        """Write the strokes for a run; the file.

        Raises:
            OSError: If it cannot be written.
        """
        name = safe_name(stem_of(Path(self.text.ct)))
        path = inputs_folder(self.study) / FOLDER / f"{name} scribbles.seg.nrrd"
        write_label_map(self.label_map, path)
        return path

    def _keep(self, text: DraftText) -> None:
        write_json(draft_file(self.study), text.as_json())
        self.text, self.number = text, self.number + 1

    def _read_base(self) -> Labels | None:
        if not self.text.base:
            return None
        found = read_label_map(Path(self.text.base))
        on_grid = onto_grid(found.volume, self.grid, strokes=True)
        if on_grid is None:
            raise InputError(f"{self.text.base}: expected strokes on the CT's grid, found another grid.")
        return on_grid.labels.array

    def _painted(self) -> Labels:
        labels = np.zeros(self.grid.shape, np.uint8) if self._base is None else self._base.copy()
        labels[~np.isin(labels, [0, *(segment.value for segment in self.text.segments)])] = 0
        for stroke in self.text.strokes:
            paint(labels, stroke, self.grid.spacing, self.hounsfield)
        return labels


def _segment(entry: Any) -> Segment:
    red, green, blue = (min(max(float(part), 0.0), 1.0) for part in entry["color"])
    value, name = entry["value"], entry["name"]
    if (
        not isinstance(value, int)
        or not 1 <= value <= BACKGROUND_VALUE
        or not isinstance(name, str)
        or not name.strip()
    ):
        raise ValueError("no segment")
    return Segment(value=value, name=name, color=(red, green, blue))
