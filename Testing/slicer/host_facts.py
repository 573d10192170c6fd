"""Drives a review in Slicer's own Python on real Qt widgets: what a clinician met in real Slicer, one line per fact.

A script for a host that opens the module and puts `widget`, `slicer` and `host` in scope; `host` presses keys, types,
imports scenes, says what Slicer would save at exit and for how long nothing moved. This folder must be on Python's
path.
"""

# ruff: noqa: F821

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_study import name_support

from OneShotSegLib.slicer.jobs import dependencies
from OneShotSegLib.study.layout import StudyPaths

dependencies.Dependencies.missing = lambda self: ()
HEAVY = {"scipy", "SimpleITK", "torch", "numba"} & set(sys.modules)
CASES = 30
PATIENCE = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""How much longer things take because others use the machine too."""
study = StudyPaths(Path(tempfile.mkdtemp()) / "study")
MAKE = f"""
from pathlib import Path
from made_study import make_study
make_study(Path({str(study.root)!r}), {CASES}, (200, 512, 512))
"""
subprocess.run([sys.executable, "-c", MAKE], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=True)
panel, ui = widget.panel, widget.ui
failed: list[str] = []


def fact(check: Callable[[], Any]) -> None:
    """Check one fact, and go on with the next."""
    try:
        result = check()
        print(f"  fact holds: {check.__name__.replace('_', ' ')}" + (f" ({result})" if result else ""))
    except Exception as error:
        failed.append(check.__name__)
        print(f"  fact FAILS: {check.__name__.replace('_', ' ')}: {error or traceback.format_exc(limit=-1)}")


def parameters() -> Any:
    return panel.context.parameters


def states() -> list[str]:
    return [row.state for row in panel.review.session.rows]


def shown() -> bool:
    case, nodes = panel.review.current, panel.review.case_nodes
    if not case or nodes is None or nodes.ct_node(case) is None or nodes.mask_node(case) is None:
        return False
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    return composite.GetBackgroundVolumeID() == nodes.ct_node(case).GetID()


@fact
def starting_imports_nothing_heavy() -> None:
    assert not HEAVY, HEAVY


@fact
def thirty_cases_open_without_reading_their_masks() -> str:
    host.longest_block()
    began = time.monotonic()
    parameters().study_folder = str(study.root)
    assert len(panel.review.session.rows) == CASES
    panel.review.select(panel.review.session.rows[0].case)
    seconds = host.wait(60 * PATIENCE, shown)
    assert seconds is not None, "not shown within a minute"
    whole, block = time.monotonic() - began, host.longest_block()
    assert whole < 8 * PATIENCE, f"the CT that was clicked came after {whole:.1f} s"
    assert block < PATIENCE, f"blocked for {block:.2f} s {block.stack}"
    return f"{whole:.1f} s, blocked {block:.2f} s at most"


@fact
def the_next_case_is_there_within_a_second() -> str:
    host.wait(15 * PATIENCE, lambda: not panel.context.background.busy)
    before, began = panel.review.current, time.monotonic()
    host.press_key(slicer.util.mainWindow(), "A")
    assert host.wait(30 * PATIENCE, lambda: panel.review.current != before and shown(), 0.02) is not None
    seconds = time.monotonic() - began
    assert seconds < PATIENCE, f"{seconds:.1f} s"
    return f"{seconds:.2f} s"


@fact
def a_key_that_is_held_decides_no_case_that_nobody_saw() -> None:
    host.wait(15 * PATIENCE, lambda: not panel.context.background.busy)
    before = states().count("accepted")
    host.press_key(slicer.util.mainWindow(), "A", repeat=30)
    host.wait(2)
    decided = states().count("accepted") - before
    assert decided == 1, f"{decided} cases were accepted"
    host.wait(20 * PATIENCE, shown)


@fact
def correcting_opens_the_doubtful_structure() -> None:
    host.wait(20 * PATIENCE, shown)
    case = panel.review.current
    ui.editButton.click()
    host.wait(1)
    mask = panel.review.case_nodes.mask_node(case)
    nodes = [n for n in slicer.util.getNodesByClass("vtkMRMLSegmentEditorNode") if n.GetSegmentationNode() is mask]
    names = [mask.GetSegmentation().GetSegment(n.GetSelectedSegmentID()).GetName() for n in nodes]
    assert names == [panel.review.session.row(case).worst], names
    assert slicer.util.selectedModule() == "OneShotSeg", "another module is shown"


@fact
def the_first_strokes_go_into_the_structure() -> None:
    slicer.util.selectModule("OneShotSeg")
    parameters().support_volume = panel.review.case_nodes.ct_node(panel.review.current)
    ui.structureBox.setCurrentText("Thyroid")
    ui.newScribblesButton.click()
    host.wait(1)
    node = parameters().scribbles
    editors = [n for n in slicer.util.getNodesByClass("vtkMRMLSegmentEditorNode") if n.GetSegmentationNode() is node]
    names = [node.GetSegmentation().GetSegment(n.GetSelectedSegmentID()).GetName() for n in editors]
    assert names == ["Thyroid"], names
    parameters().scribbles = None
    slicer.mrmlScene.RemoveNode(node)
    slicer.util.selectModule("OneShotSeg")


@fact
def slicer_has_nothing_to_save_after_a_review() -> None:
    names = [node.name for node in host.unsaved()]
    assert not names, f"{len(names)} nodes: {names[:4]}"


@fact
def a_click_on_the_selected_row_shows_the_case() -> None:
    slicer.util.setSliceViewerLayers(background=None)
    ui.reviewTable.cellClicked.emit(ui.reviewTable.currentRow(), 0)
    assert host.wait(5 * PATIENCE, shown) is not None


@fact
def a_typed_path_counts_once_it_is_whole() -> None:
    ui.batchCollapsibleButton.collapsed = False
    seen: list[str] = []
    original = panel.review.open
    panel.review.open = lambda paths: (seen.append(str(paths.root)) if paths else None, original(paths))
    host.type_text(ui.studyFolderEdit, "/tmp/no such study")
    assert not seen, f"{len(seen)} studies were opened"
    host.press_key(ui.reviewTable, "Return")
    panel.review.open = original
    parameters().study_folder = str(study.root)


@fact
def cts_of_an_imported_scene_are_offered() -> None:
    import numpy

    count = ui.volumesList.count
    host.import_scene(lambda: slicer.util.addVolumeFromArray(numpy.zeros((4, 4, 4), numpy.int16), name="imported"))
    assert host.wait(2, lambda: ui.volumesList.count == count + 1) is not None
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("imported"))


@fact
def the_support_stands_beside_the_case_and_leaves_nothing_behind() -> None:
    name_support(study, CASES - 1)
    parameters().study_folder = ""
    parameters().study_folder = str(study.root)
    first = panel.review.session.rows[1].case
    panel.review.select(first)
    assert host.wait(20 * PATIENCE, lambda: panel.review.current == first and shown()) is not None
    layout = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    before = layout.GetViewArrangement()
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    ui.besideButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutThreeOverThreeView
    # The host has no views for a layout's further slice nodes: their logics make what Slicer's views would.
    logics = []
    for name in ("Red+", "Green+", "Yellow+"):
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(slicer.mrmlScene)
        logic.SetSliceNode(slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode"))
        logics.append(logic)
    beside = panel.review.beside
    assert host.wait(20 * PATIENCE, beside._is_there) is not None, panel.context.messages.text
    assert logics[0].GetSliceCompositeNode().GetBackgroundVolumeID() == beside._ct.GetID()
    red, lower = (slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode") for name in ("Red", "Red+"))
    red.SetSliceOffset(red.GetSliceOffset() + 30)
    # The masks of all cases are the same one.
    assert abs(lower.GetSliceOffset() - red.GetSliceOffset()) < 0.01, (lower.GetSliceOffset(), red.GetSliceOffset())
    assert not [node.name for node in host.unsaved()]
    ui.besideButton.click()
    assert layout.GetViewArrangement() == before
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count


@fact
def tab_steps_through_structures_in_the_tables_and_buttons_of_the_review() -> None:
    ui.reviewCollapsibleButton.collapsed = False
    names = [one.name for one in panel.review.session.row(panel.review.current).details]
    panel.review._look_at(names[0])
    for place in (ui.structureTable, ui.acceptButton):
        for key, expected in (("Tab", names[1]), ("Shift+Tab", names[0])):
            host.press_key(place, key)
            assert panel.review._structure == expected, (place.objectName, key, panel.review._structure)
    host.press_key(ui.commentEdit, "Tab")
    assert panel.review._structure == names[0]


@fact
def closing_the_scene_takes_no_time() -> str:
    panel.review.select(panel.review.session.rows[-1].case)
    began = time.monotonic()
    slicer.mrmlScene.Clear(0)
    seconds = time.monotonic() - began
    assert seconds < 2 * PATIENCE, f"{seconds:.1f} s"
    return f"{seconds:.2f} s"


assert not failed, f"{len(failed)} facts fail: {failed}"
