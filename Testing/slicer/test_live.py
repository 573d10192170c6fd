"""What a stroke does at once: the support's own mask, and a query's mask that regrows; with the real worker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Session
from made_study import make_study
from test_runs import alive
from test_session import choose, look_at

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.layout import StudyPaths

LONG = 240
"""Seconds until a process is there on a machine that others use."""


@pytest.fixture
def support(session: Session, tmp_path: Path) -> Any:
    """A phantom with its strokes, in the scene and chosen; the strokes' node."""
    from OneShotSegLib.slicer.sample_data import load_cohort

    nodes = load_cohort(2, coarseness=3.0)
    choose(session, nodes, str(tmp_path / "study"))
    return nodes[-1]


def preview_of(session: Session) -> Any:
    return session.panel.preview.node


def is_shown(session: Session) -> bool:
    node = preview_of(session)
    return node is not None and node.GetSegmentation().GetNumberOfSegments() > 0


def test_from_a_loaded_scene_to_the_first_mask_there_are_six_clicks_and_no_other_module(
    session: Session, application: Any, tmp_path: Path
) -> None:
    from PySide6 import QtCore, QtTest

    from OneShotSegLib.slicer.mrml.display import show_volume
    from OneShotSegLib.slicer.sample_data import load_cohort

    *cts, strokes = load_cohort(3, coarseness=3.0)
    application.scene.RemoveNode(strokes)
    show_volume(cts[0])
    session.widget.exit()
    session.enter()
    ui, clicks = session.ui, list[str]()

    def click(widget: Any) -> None:
        assert widget.isVisible()
        assert widget.isEnabled()
        clicks.append(widget.objectName())
        QtTest.QTest.mouseClick(widget, QtCore.Qt.MouseButton.LeftButton)

    click(ui.structureBox.lineEdit())
    QtTest.QTest.keyClicks(ui.structureBox.lineEdit(), "Mandible")
    click(ui.newScribblesButton)
    node = session.parameters.scribbles
    assert session.panel.context.editor.segmentation is node
    stroke(node, "Mandible", (10, 20, 20), (3, 4, 4))
    # In the editor's list, which the stand-in has not: or the key Q.
    clicks.append("Background")
    session.panel.context.editor.choose(node.GetSegmentation().GetSegmentIdBySegmentName("Background"))
    stroke(node, "Background", (10, 10, 10), (3, 20, 2))
    # In the dialog that Slicer's path widget opens.
    clicks += ["...", "Choose"]
    ui.studyFolderEdit.setCurrentPath(str(tmp_path / "study"))
    click(ui.propagateButton)
    session.until(lambda: list((tmp_path / "study").glob("cases/*/pseudo.seg.nrrd")), LONG)
    session.until_idle()
    assert len(clicks) == 6
    assert application.selected == []
    assert [row[0] for row in session.rows] == ["phantom_02", "phantom_01"]


def erase(node: Any, name: str) -> None:
    """Remove the strokes of a segment, as the editor does it."""
    import slicer

    segmentation = node.GetSegmentation()
    segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(name)).RemoveRepresentation("Binary labelmap")
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


def stroke(node: Any, name: str, start: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    """Paint a block of a segment, as the editor does it."""
    import slicer

    from OneShotSegLib.slicer.mrml.segmentations import oriented_image, reference_grid

    segmentation = node.GetSegmentation()
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(name))
    array = np.full(shape, segment.GetLabelValue(), dtype=np.uint8)
    segment.AddRepresentation("Binary labelmap", oriented_image(reference_grid(node), array, start))
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


def test_strokes_grow_at_once_into_a_node_of_their_own(
    session: Session, support: Any, application: Any, tmp_path: Path
) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import segments_of

    preview, live = session.panel.preview, session.panel.live
    assert live.pid is None, "a process runs before anything is painted"
    session.ui.paintButton.click()
    session.until(lambda: is_shown(session), LONG)
    names = [segment.GetName() for _id, segment in segments_of(preview_of(session))]
    assert "Mandible" in names
    assert "Background" not in names
    assert not preview_of(session).GetSaveWithScene()
    assert preview_of(session).GetName() not in application.unsaved()
    assert session.parameters.scribbles is support

    began = time.monotonic()
    erase(support, "Mandible")
    session.until(lambda: "Mandible" in session.ui.previewLabel.text, LONG)
    if os.environ.get("ONESHOTSEG_QUIET"):
        assert time.monotonic() - began < 2

    erase(support, "Background")
    session.until(lambda: "background" in session.ui.previewLabel.text, LONG)
    assert not is_shown(session)

    first = live.pid
    assert first is not None
    session.ui.previewBox.setChecked(False)
    assert preview_of(session) is None
    assert not alive(first)
    stroke(support, "Mandible", (1, 1, 1), (2, 2, 2))
    for _round in range(20):
        session.application.process_events()
        session.panel.tick()
    assert live.pid is None
    assert not preview.is_on

    stroke(support, "Background", (6, 6, 6), (2, 6, 6))
    session.ui.previewBox.setChecked(True)
    session.until(lambda: is_shown(session), LONG)
    second = live.pid
    assert second is not None
    application.scene.Clear(0)
    assert not alive(second)
    assert live.pid is None


def test_a_worker_that_dies_is_named_and_the_next_stroke_starts_another(session: Session, support: Any) -> None:
    live = session.panel.live
    session.ui.paintButton.click()
    session.until(lambda: is_shown(session), LONG)
    first = live.pid
    os.kill(first, signal.SIGKILL)
    session.until(lambda: live.pid is None, LONG)
    erase(support, "Mandible")
    session.until(lambda: live.pid not in (None, first) and "Mandible" in session.ui.previewLabel.text, LONG)


def test_nothing_is_previewed_if_packages_are_missing(session: Session, support: Any) -> None:
    preview = session.panel.preview
    preview._is_ready = lambda: False
    session.ui.paintButton.click()
    assert "install" in session.ui.previewLabel.text
    assert session.panel.live.pid is None


def study_with_cts(folder: Path) -> StudyPaths:
    """A study of three cases whose CTs show tissue in air."""
    study = make_study(folder / "study", 3)
    hu = np.random.default_rng(0).normal(40, 15, (16, 32, 32))
    hu[:, :, :1], hu[:, :, 1:4] = -1000, -80
    for case in ("case_00", "case_01", "case_02"):
        write_volume(Volume.create(hu.astype(np.int16), (3, 1, 1)), folder / "cts" / f"{case}.nii.gz")
    return study


def test_accepting_is_given_up_if_the_mask_could_not_regrow(session: Session, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", 3)
    session.parameters.study_folder = str(study.root)
    session.settle()
    look_at(session, "case_00")
    review = session.panel.review
    review.on_regrow()
    stroke(review.regrowing.node, "Mandible", (2, 2, 2), (2, 4, 4))
    review.on_regrow()
    review.on_accept()
    session.until(lambda: "expected a CT in HU" in session.message, LONG)
    session.settle()
    assert review.session.row("case_00").state == "pending"


def test_one_stroke_regrows_a_mask_becomes_its_correction_and_is_taken_back(
    session: Session, application: Any, tmp_path: Path
) -> None:
    study = study_with_cts(tmp_path)
    session.parameters.study_folder = str(study.root)
    session.settle()
    look_at(session, "case_00")
    review = session.panel.review
    files = study.case("case_00")
    before = read_label_map(files.pseudo_mask).volume.array
    review.on_regrow()
    node = review.regrowing.node
    editor = application.scene.GetSingletonNode("OneShotSegEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSegmentationNode() is node
    assert node.GetSegmentation().GetSegment(editor.GetSelectedSegmentID()).GetName() == "Mandible"
    assert not node.GetSaveWithScene()

    stroke(node, "Mandible", (2, 2, 2), (2, 4, 4))
    session.ui.regrowButton.click()
    # Accepting waits until the correction is there.
    session.ui.acceptButton.click()
    session.until(lambda: review.session.row("case_00").state == "edited", LONG)
    after = read_label_map(files.edited_mask).volume.array
    assert (after[2:4, 2:6, 2:6] == 2).all()
    assert (before[2:4, 2:6, 2:6] == 0).all()
    assert read_label_map(files.strokes).volume.array.any()

    look_at(session, "case_00")
    assert scene_mask(review, "case_00").volume.array[2, 2, 2] == 2
    review.on_regrow()
    stroke(review.regrowing.node, "Background", (2, 2, 2), (2, 4, 4))
    review.on_regrow()
    session.until(lambda: "saved as its correction" in session.message, LONG)
    assert review.session.row("case_00").state == "pending"
    assert scene_mask(review, "case_00").volume.array[2, 2, 2] == 0
    assert not review.case_nodes.corrections.has_unsaved
    assert session.ui.undoButton.enabled
    session.ui.undoButton.click()
    session.until(lambda: "taken back" in session.message, LONG)
    np.testing.assert_array_equal(scene_mask(review, "case_00").volume.array, after)
    np.testing.assert_array_equal(read_label_map(files.edited_mask).volume.array, after)
    assert application.unsaved() == []

    review.on_regrow()
    assert "found none" in session.message or session.panel.live.busy or review.regrowing.busy
    session.until(lambda: "found none" in session.message, LONG)


def scene_mask(review: Any, case: str) -> Any:
    from OneShotSegLib.slicer.mrml.segmentations import label_map_from_node, reference_grid

    node = review.case_nodes.mask_node(case)
    return label_map_from_node(node, reference_grid(node))


def test_the_brush_is_half_as_wide_as_the_structure_and_then_the_users(
    session: Session, application: Any, tmp_path: Path
) -> None:
    study = make_study(tmp_path / "study", 1, (16, 64, 64))
    session.parameters.study_folder = str(study.root)
    session.settle()
    look_at(session, "case_00")
    mask = session.panel.review.case_nodes.mask_node("case_00")
    stroke(mask, "Brainstem", (4, 10, 10), (4, 40, 20))
    session.ui.editButton.click()
    node = application.scene.GetSingletonNode("OneShotSegEditor", "vtkMRMLSegmentEditorNode")

    def diameter() -> str:
        assert node.GetAttribute("BrushDiameterIsRelative") == "0"
        return str(node.GetAttribute("BrushAbsoluteDiameter"))

    assert diameter() == "1.5"  # the mandible is three voxels of 1 mm wide
    segmentation = mask.GetSegmentation()
    brainstem = segmentation.GetSegmentIdBySegmentName("Brainstem")
    node.SetSelectedSegmentID(brainstem)
    assert diameter() == "10"
    node.SetAttribute("BrushAbsoluteDiameter", "4")
    node.SetSelectedSegmentID(segmentation.GetSegmentIdBySegmentName("Mandible"))
    node.SetSelectedSegmentID(brainstem)
    assert diameter() == "4"


def test_a_structure_of_which_nothing_is_known_gets_a_brush_of_6_mm(session: Session, application: Any) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node

    session.ui.previewBox.setChecked(False)
    session.parameters.support_volume = add_volume_node(Volume.create(np.zeros((8, 8, 8), np.int16)), "ct")
    session.ui.structureBox.setCurrentText("Mandible")
    session.ui.newScribblesButton.click()
    node = application.scene.GetSingletonNode("OneShotSegEditor", "vtkMRMLSegmentEditorNode")
    assert node.GetAttribute("BrushAbsoluteDiameter") == "6"


def test_parts_of_a_mask_are_replaced_whatever_their_box() -> None:
    from OneShotSegLib.imaging.labelmaps import Segment
    from OneShotSegLib.interface.live_parts import with_part
    from OneShotSegLib.interface.snapshots import Layer, Snapshot

    grid = Volume.create(np.zeros((10, 12, 14), np.uint8), (3, 1, 1), (5, 6, 7))
    whole = np.random.default_rng(0).integers(0, 3, grid.shape).astype(np.uint8)
    for low, high in (((0, 0, 0), (3, 4, 5)), ((2, 3, 4), (10, 12, 14)), ((4, 4, 4), (5, 5, 5))):
        own = tuple(slice(2, 6) for _axis in range(3))
        layer = Layer(Volume.create(whole[own], grid.spacing, grid.to_world([2, 2, 2]), grid.direction), {1: 1, 2: 2})
        segments = tuple(Segment.numbered(value) for value in (1, 2))
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        part = np.full([b - a for a, b in zip(low, high, strict=True)], 2, np.uint8)
        found = with_part(Snapshot((layer,), segments), grid, part, box)
        expected = np.zeros_like(whole)
        expected[own] = whole[own]
        expected[box] = 2
        array = np.zeros_like(whole)
        inner = tuple(slice(s, s + n) for s, n in zip(found.start, found.array.shape, strict=True))
        array[inner] = found.array
        np.testing.assert_array_equal(array, expected)


def test_a_structure_that_grows_into_nothing_is_named(
    session: Session, support: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = session.panel.preview
    monkeypatch.setattr(preview, "_show", lambda *_given: None)
    answer = {"without_strokes": ["Larynx"], "volumes_ml": {"Brainstem": 1.9, "Mandible": 0.0}}
    preview._grown(preview._generation, None, answer)
    said = session.ui.previewLabel.text.splitlines()
    assert said == [
        "Preview, without strokes yet: Larynx",
        "Too thin to grow: Mandible. Paint more, or with a wider brush.",
    ]
