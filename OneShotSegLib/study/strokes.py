"""``strokes.seg.nrrd``: the strokes that a reviewer painted in a query, all of them so far, on the query's own grid.

A stroke in a query is the most certain seed that there is: it counts too when the case becomes a support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_grids import onto_grid
from OneShotSegLib.imaging.label_matching import compare_names, name_notes, translated
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, background_segment, read_label_map, write_label_map
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths


class FoundStrokes(NamedTuple):
    """Strokes as they were read.

    Attributes:
        labels: On the CT's grid, with the study's values, the background stroke's included.
        notes: One sentence for each kind of thing that was not used, or not taken as it was.
    """

    labels: LabelMap
    notes: tuple[str, ...] = ()


def stroke_segments(description: StudyDescription) -> tuple[Segment, ...]:
    """What strokes in a study's queries may be: its structures, and the background stroke."""
    return (*description.structures, background_segment(description.background_label))


def match_strokes(labels: LabelMap, segments: Sequence[Segment], source: Path, ct: Volume) -> FoundStrokes:
    """Strokes from a label map: its segments found by name, on the CT's own grid; a map without names goes by value.

    Not every structure needs a stroke.

    Args:
        labels: The map.
        segments: What strokes may be; see `stroke_segments`.
        source: The map's file, for the sentences.
        ct: The CT.

    Raises:
        InputError: If a name is there twice or none matches, or the map's grid does not fit the CT.
    """
    named = [segment for segment in labels.segments if segment.value not in labels.unnamed]
    values: dict[int, int]
    if named:
        _, others = compare_names([segment.name for segment in named], segments, source)
        notes = [*name_notes((), others, source)]
        known = {segment.key: segment.value for segment in segments}
        values = {segment.value: known[segment.key] for segment in named if segment.key in known}
    else:
        values, notes = {segment.value: segment.value for segment in segments}, []
        if labels.has_nameless_segments:
            notes.append(f"{source.name}: its segments have no names: they were matched by value.")
    unused = [value for value in present_labels(labels.volume.array) if value in labels.unnamed and value not in values]
    notes += [f"{source.name}: value(s) that were not asked for, not used: {str(unused)[1:-1]}."] if unused else []
    found = onto_grid(translated(labels, values, tuple(segments)).volume, ct, strokes=True)
    if found is None:
        raise InputError(
            f"{source}: expected strokes on the grid of the case's CT ({ct.describe_grid()}) or on a part of it, found "
            f"another grid ({labels.volume.describe_grid()})."
        )
    notes += [f"{source.name}: {found.note}."] if found.note else []
    return FoundStrokes(LabelMap(found.labels, tuple(segments)), tuple(notes))


def read_strokes(files: CasePaths, segments: Sequence[Segment], ct: Volume) -> NDArray[np.uint8]:
    """The strokes that a case has, with the study's values, shape (D, H, W) of the CT; 0 everywhere if it has none.

    Raises:
        InputError: If the file cannot be read, or is not one of this case.
    """
    if not files.strokes.is_file():
        return np.zeros(ct.shape, np.uint8)
    return match_strokes(read_label_map(files.strokes), segments, files.strokes, ct).labels.volume.array


def write_strokes(files: CasePaths, strokes: NDArray[np.uint8], segments: Sequence[Segment], ct: Volume) -> None:
    """Keep all of a case's strokes; without any there is no file.

    Args:
        files: The case's files.
        strokes: With the study's values, shape (D, H, W) of the CT; 0 where nothing is painted.
        segments: What strokes may be; see `stroke_segments`.
        ct: The CT.

    Raises:
        OSError: If it could not be written.
    """
    if strokes.any():
        write_label_map(LabelMap(replace(ct, array=strokes), tuple(segments)), files.strokes)
    else:
        files.strokes.unlink(missing_ok=True)
