"""The pictures of each case of the report, drawn from the study's files; what is gone becomes a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.hounsfield import examine_hounsfield
from OneShotSegLib.imaging.labelmaps import Segment, read_label_map
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.report.content import CaseContent, StudyContent
from OneShotSegLib.report.figures import Picture, Scene, center_of, extent_of_grid
from OneShotSegLib.study.case_ct import check_ct, read_case_ct
from OneShotSegLib.study.results import counting_mask, read_mask


@dataclass(frozen=True)
class CasePictures:
    """The pictures of one case (or of the support).

    Attributes:
        overview: Three planes of the body.
        close_ups: Label value to three planes around that structure.
        note: Why there are no pictures, or what they show.
    """

    overview: tuple[Picture, ...] = ()
    close_ups: Mapping[int, tuple[Picture, ...]] = field(default_factory=dict)
    note: str = ""


def draw_case(case: CaseContent, structures: Sequence[Segment]) -> CasePictures:
    """The pictures of a case that is done: planes through its worst structure, and close-ups of every structure.

    Args:
        case: The case.
        structures: The study's structures, with which the mask is matched by name.
    """
    return _drawn(lambda: _case(case, structures), case.source)


def draw_support(study: StudyContent) -> CasePictures:
    """The pictures of the support with its scribbles as dots."""
    return _drawn(lambda: _support(study), study.support)


def _drawn(draw: Callable[[], CasePictures], ct: Path | None) -> CasePictures:
    """The pictures, or the reason why there are none."""
    if ct is None or not ct.exists():
        place = f" It was …/{_short(ct)}." if ct else ""
        return CasePictures(note=f"No pictures: the CT is no longer where it was.{place}")
    try:
        return draw()
    except InputError as error:
        return CasePictures(note=f"No pictures: {error}")


def _short(path: Path) -> str:
    """The end of a path: enough to find the file, without the folders of whoever made the study."""
    return "/".join(path.parts[-2:])


def _hounsfield(ct: Volume, path: Path) -> Volume:
    """The CT as the method saw it; what was mended was already logged by the run."""
    return examine_hounsfield(ct, str(path))[0]


def _case(case: CaseContent, structures: Sequence[Segment]) -> CasePictures:
    mask = counting_mask(case.paths, case.review.state)
    read = read_case_ct(case.source, case.series)
    check_ct(case.paths, read, f"…/{_short(case.source)}")
    ct = _hounsfield(read, case.source)
    matched = read_mask(mask, structures)
    labels = matched.labels.volume
    scribbles = read_label_map(case.paths.scribbles).volume if case.paths.scribbles.is_file() else None
    scene = Scene(ct, labels, scribbles)
    worst = center_of(labels, case.worst.value) if case.worst else None
    corrected = ("The outlines are the reviewer's corrected mask.",) if mask == case.paths.edited_mask else ()
    return CasePictures(
        overview=scene.overview(_middle(ct) if worst is None else worst),
        close_ups={row.label.value: scene.close_up(labels, row.label.value) for row in case.rows},
        note=" ".join((*corrected, *matched.notes)),
    )


def _support(study: StudyContent) -> CasePictures:
    assert study.support is not None  # checked before drawing
    support = next(one for one in study.description.supports if one.get("ct"))
    ct = _hounsfield(read_volume(study.support, support.get("series", "")), study.support)
    strokes = read_label_map(study.paths.support_scribbles(support)).volume
    scene = Scene(ct, None, strokes)
    structures = strokes.with_array(
        np.isin(strokes.array, [label.value for label in study.labels]).astype(np.uint8),
    )
    center = center_of(structures, 1)
    return CasePictures(
        overview=scene.overview(_middle(ct) if center is None else center),
        close_ups={label.value: scene.close_up(strokes, label.value) for label in study.labels},
    )


def _middle(volume: Volume) -> Vector:
    found: Vector = extent_of_grid(volume).mean(axis=0)
    return found
