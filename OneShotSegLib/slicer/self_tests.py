"""The module's own tests, for a real Slicer: everything but the computation itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from OneShotSegLib.imaging.labelmaps import BACKGROUND_NAME, LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.review_session import ReviewSession
from OneShotSegLib.slicer.mrml.scribble_segments import new_scribbles
from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, label_map_from_node, segments_of
from OneShotSegLib.slicer.mrml.structures import StructureCatalog
from OneShotSegLib.slicer.mrml.support import check_support
from OneShotSegLib.slicer.mrml.volumes import add_volume_node, volume_from_node
from OneShotSegLib.slicer.sample_data import load_cohort
from OneShotSegLib.slicer.sections.scene_inputs import export_volume
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality


def expect(condition: bool, message: str) -> None:
    """Fail with a message."""
    if not condition:
        raise AssertionError(message)


def oblique_volume() -> Volume:
    """A small CT whose axes are turned and whose voxels are uneven."""
    turn, _upper = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))
    values = np.random.default_rng(8).integers(-1000, 1500, (9, 11, 13)).astype(np.int16)
    return Volume.create(values, (3.0, 0.9, 1.1), (-40.5, 12.25, 7.0), turn)


def an_oblique_volume_comes_back_exactly() -> None:
    """Volume -> node -> Volume."""
    before = oblique_volume()
    after = volume_from_node(add_volume_node(before, "oblique"))
    expect(np.array_equal(before.array, after.array), "voxels changed")
    for name in ("spacing", "origin", "direction"):
        expect(np.array_equal(getattr(before, name), getattr(after, name)), f"{name} changed")


def label_values_names_and_colors_are_kept() -> None:
    """LabelMap -> node -> LabelMap -> file -> node, with values that are not 1, 2, 3."""
    grid = oblique_volume()
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[1:3, 2:5, 3:6] = 7
    array[5:7, 6:9, 8:10] = 3
    segments = (
        Segment(value=7, name="Seven", color=(0.1, 0.2, 0.3)),
        Segment(value=3, name="Three", color=(0.9, 0.5, 0.1)),
    )
    node = add_segmentation_node(LabelMap(grid.with_array(array), segments), "labels")
    back = label_map_from_node(node, grid)
    expect(np.array_equal(back.volume.array, array), "labels changed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.seg.nrrd"
        write_label_map(back, path)
        loaded = slicer.util.loadSegmentation(str(path))
        again = label_map_from_node(loaded, grid)
        expect(np.array_equal(again.volume.array, array), "labels changed in the file")
        expect([s.name for s in again.segments] == ["Seven", "Three"], "names changed")
        expect([s.value for s in read_label_map(path).segments] == [7, 3], "values changed")


def new_scribbles_have_a_background_segment() -> None:
    """And the check finds that nothing is painted yet."""
    ct = add_volume_node(oblique_volume(), "ct")
    node = new_scribbles(ct, ["Mandible"], StructureCatalog())
    expect([s.GetName() for _id, s in segments_of(node)] == [BACKGROUND_NAME, "Mandible"], "segments differ")
    texts = [finding.text for finding in check_support(ct, node)]
    expect(any("background stroke" in text for text in texts), f"the background is not named in {texts}")


def the_phantoms_are_ready_to_be_propagated() -> None:
    """The tutorial's data: nothing is missing in its scribbles."""
    support, _query, scribbles = load_cohort(2, coarseness=3.0)
    findings = check_support(support, scribbles)
    expect(not [finding for finding in findings if finding.forbids], f"findings: {findings}")
    with tempfile.TemporaryDirectory() as folder:
        export = export_volume(support, Path(folder) / "support")
        export.prepare()()
        expect(export.path.is_file(), "no file was written")


def decisions_are_on_disk_at_once() -> None:
    """A second session on the same folder sees what the first decided."""
    with tempfile.TemporaryDirectory() as folder:
        study = StudyPaths(Path(folder))
        for name, score in (("good", 0.9), ("doubtful", 0.2)):
            structures = (StructureQuality(value=1, name="Mandible", state="found", score=score),)
            write_quality(CaseQuality(case=name, score=score, structures=structures), study.case(name).quality)
        session = ReviewSession(study)
        expect([row.case for row in session.rows] == ["doubtful", "good"], "the doubtful case is not first")
        session.accept("doubtful")
        expect(ReviewSession(study).row("doubtful").state == "accepted", "the decision was lost")


def the_panel_opens_and_shows_what_is_missing() -> None:
    """The widget of the running application, if it has one."""
    widget: Any = getattr(slicer.modules, "OneShotSegWidget", None)
    if widget is None or widget.panel is None:
        return
    widget.initializeParameterNode()
    widget.panel.context.parameters.study_folder = ""
    widget.ui.propagateButton.click()
    expect(bool(widget.panel.context.messages.text), "no message about the missing study folder")


ALL = (
    an_oblique_volume_comes_back_exactly,
    label_values_names_and_colors_are_kept,
    new_scribbles_have_a_background_segment,
    the_phantoms_are_ready_to_be_propagated,
    decisions_are_on_disk_at_once,
    the_panel_opens_and_shows_what_is_missing,
)
