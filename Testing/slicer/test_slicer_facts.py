"""What real Slicer does and a stand-in easily leaves out: each test is a fault that a clinician met in the panel."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from driving import IS_QUIET, Session
from made_study import make_study
from standin import loop
from test_rooms import HEAVY
from test_session import choose, look_at, paint, propagate

from OneShotSegLib.imaging.labelmaps import read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.layout import StudyPaths

START_SLICER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from standin import start
application = start()
from driving import MODULE, Session
module = application.load_module(MODULE)
class Parent:
    path = str(MODULE)
module.OneShotSeg(Parent())
application.qt.startupCompleted.emit()
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2:])))
"""


@pytest.fixture
def opened(session: Session, tmp_path: Path) -> StudyPaths:
    """A study of twelve cases, open in the panel."""
    study = make_study(tmp_path / "study", 12)
    session.parameters.study_folder = str(study.root)
    session.settle()
    return study


needs_keys = pytest.mark.skipif("not __import__('standin.loop').loop.can_press_keys()", reason="needs Linux's PySide6")


# The stand-in itself


def test_threads_get_no_further_while_the_stand_in_is_idle(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # One long round: between two of them Python code runs, and with it the thread.
    monkeypatch.setattr(loop, "ROUND_MS", 1000)
    worked, going = [0.0], [True]

    def work() -> None:
        while going[0]:
            worked[0] = time.thread_time()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    before = worked[0]
    loop.idle()
    held, going[0] = worked[0] - before, False
    thread.join()
    assert held < 0.1, "a thread that may run gets half a second and more"


@needs_keys
def test_a_key_that_is_held_repeats_in_the_stand_in(application: Any) -> None:
    from PySide6 import QtGui, QtWidgets

    window = QtWidgets.QWidget()
    window.show()
    fired: list[str] = []
    shortcuts = [QtGui.QShortcut(QtGui.QKeySequence(key), window) for key in ("A", "B", "B")]
    for shortcut in shortcuts:
        shortcut.connect("activated()", lambda: fired.append("activated"))
        shortcut.connect("activatedAmbiguously()", lambda: fired.append("ambiguous"))
    loop.press_key(window, "A", repeats=3)
    assert fired == ["activated"] * 4
    loop.press_key(window, "B")
    assert fired[4:] == ["ambiguous"]
    window.close()


# 1. The editor


def editor_node(application: Any) -> Any:
    return application.scene.GetSingletonNode("OneShotSegEditor", "vtkMRMLSegmentEditorNode")


def test_the_first_strokes_of_a_session_go_into_the_first_structure(
    session: Session,
    application: Any,
) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node

    session.parameters.support_volume = add_volume_node(Volume.create(np.zeros((8, 8, 8), np.int16)), "ct")
    session.ui.structureBox.setCurrentText("Mandible")
    session.ui.newScribblesButton.click()
    node = editor_node(application)
    segment = node.GetSegmentationNode().GetSegmentation().GetSegment(node.GetSelectedSegmentID())
    assert segment.GetName() == "Mandible"
    assert node.GetActiveEffectName() == "Paint"
    session.panel.context.editor.close()


def test_correct_opens_the_doubtful_structure_and_no_mask_of_an_earlier_use(
    session: Session,
    application: Any,
    opened: StudyPaths,
) -> None:
    import slicer

    look_at(session, "case_00")
    session.ui.editButton.click()
    node = editor_node(application)
    node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    node.SetMaskSegmentID("Segment_1")
    node.SetSourceVolumeIntensityMask(True)
    node.SetOverwriteMode(node.OverwriteNone)
    look_at(session, "case_01")
    session.ui.editButton.click()
    mask = session.panel.review.case_nodes.mask_node("case_01")
    assert node.GetSegmentationNode() is mask
    assert mask.GetSegmentation().GetSegment(node.GetSelectedSegmentID()).GetName() == "Mandible"
    assert node.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
    assert not node.GetSourceVolumeIntensityMask()
    assert node.GetOverwriteMode() == node.OverwriteAllSegments


def test_scribbling_offers_strokes_only_and_correcting_everything(
    session: Session,
    application: Any,
    opened: StudyPaths,
) -> None:
    look_at(session, "case_00")
    session.ui.editButton.click()
    editor = session.panel.context.editor.widget
    assert editor.others_visible
    assert editor.parent() is session.ui.reviewEditorFrame
    look_at(session, "case_01")
    assert editor.isHidden()


# 2. Keys


@needs_keys
def test_a_key_that_is_held_down_decides_one_case(
    session: Session,
    application: Any,
    opened: StudyPaths,
) -> None:
    look_at(session, "case_00")
    loop.press_key(application.main_window, "A", repeats=30)
    session.settle()
    assert [row[3] for row in session.rows].count("accepted") == 1


def test_a_case_is_accepted_only_once_it_is_on_the_screen(session: Session, opened: StudyPaths) -> None:
    review = session.panel.review
    review.select("case_03")
    assert not session.ui.acceptButton.enabled
    review.on_accept()
    review.on_reject()
    assert "not on the screen" in session.message
    session.settle()
    review.case_nodes.mask_node("case_03").GetDisplayNode().SetVisibility(False)
    review.on_accept()
    assert review.session.row("case_03").state == "pending"
    review.case_nodes.mask_node("case_03").GetDisplayNode().SetVisibility(True)
    review.on_accept()
    session.settle()
    assert review.session.row("case_03").state == "accepted"


@needs_keys
def test_a_key_that_another_extension_uses_too_is_named(
    session: Session,
    application: Any,
    opened: StudyPaths,
) -> None:
    from PySide6 import QtGui

    look_at(session, "case_00")
    others = [QtGui.QShortcut(QtGui.QKeySequence("A"), application.main_window) for _number in range(1)]
    for _press in range(2):
        loop.press_key(application.main_window, "A")
    assert "Shift+A" in session.message
    assert session.panel.review.session.progress[0] == 0
    loop.press_key(application.main_window, "Shift+A")
    session.settle()
    assert session.panel.review.session.progress[0] == 1
    for other in others:
        other.setParent(None)


# 3. Results that come while strokes are painted (CaseNodes: test_study.py)


def test_a_new_result_of_the_case_that_is_corrected_is_named_and_waits(
    session: Session,
    opened: StudyPaths,
) -> None:
    look_at(session, "case_00")
    session.ui.editButton.click()
    mask = session.panel.review.case_nodes.mask_node("case_00")
    label_map = read_label_map(opened.case("case_00").pseudo_mask)
    empty = label_map.with_volume(label_map.volume.with_array(np.zeros_like(label_map.volume.array)))
    write_label_map(empty, opened.case("case_00").pseudo_mask)
    session.panel.on_case("case_00")
    session.settle()
    assert "Your correction stays" in session.message
    paint(mask)
    session.ui.acceptButton.click()
    session.settle()
    kept = read_label_map(opened.case("case_00").edited_mask).volume.array
    assert (kept == 2).sum() == 27


# 4. Thirty cases


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> StudyPaths:
    return make_study(tmp_path_factory.mktemp("thirty") / "study", 30, (200, 512, 512))


def test_thirty_large_cases_open_at_once_and_the_next_one_is_there_within_a_second(
    session: Session,
    thirty: StudyPaths,
) -> None:
    review = session.panel.review
    began = time.monotonic()
    session.parameters.study_folder = str(thirty.root)
    assert len(session.rows) == 30
    assert not session.panel.context.background.busy, "no CT and no mask is read before one is looked at"
    opened_in = time.monotonic() - began
    first = review.session.next_open("")
    review.select(first)
    session.until(lambda: session.ui.acceptButton.enabled)
    session.settle()
    times = []
    for _case in range(3):
        before, began = review.current, time.monotonic()
        session.ui.acceptButton.click()
        # It was read ahead: nothing has to be waited for.
        assert review.current != before
        assert session.ui.acceptButton.enabled
        times.append(time.monotonic() - began)
        session.settle()
    if IS_QUIET:
        assert opened_in < 1
        assert max(times) < 1, times


# 5. What is in the scene already


def test_a_click_on_the_row_that_is_selected_shows_its_case_again(session: Session, opened: StudyPaths) -> None:
    from OneShotSegLib.slicer.mrml.display import show_volume
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node

    look_at(session, "case_00")
    show_volume(add_volume_node(Volume.create(np.zeros((8, 8, 8), np.int16)), "something else"))
    session.until(lambda: not session.ui.acceptButton.enabled)
    table = session.ui.reviewTable
    table.cellClicked.emit(table.currentRow(), 0)
    session.until(lambda: session.ui.acceptButton.enabled)


# 6. Closing in mid-run


@pytest.mark.parametrize("what", ["scene", "application"])
def test_closing_in_mid_run_stops_first_and_waits_for_no_export(
    session: Session,
    application: Any,
    tmp_path: Path,
    what: str,
) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node
    from OneShotSegLib.slicer.sample_data import load_cohort

    support, _query, strokes = load_cohort(2, coarseness=3.0)
    noise = np.random.default_rng(0).integers(-1000, 1000, (120, 512, 512)).astype(np.int16)
    large = [add_volume_node(Volume.create(noise), f"large {number}") for number in range(4)]
    choose(session, [support, *large, strokes], str(tmp_path / "study"))
    propagate(session)
    session.until(lambda: "large" in session.ui.logText.toPlainText())
    if what == "scene":
        application.scene.Clear(0)
    else:
        session.panel.close()
    assert not session.panel.controller.busy
    assert len(list((tmp_path / "study-inputs").glob("large*.nrrd"))) < len(large), "it waited for all exports"


def test_closing_saves_the_correction_though_a_case_is_being_read(
    session: Session,
    application: Any,
    opened: StudyPaths,
) -> None:
    look_at(session, "case_00")
    paint(session.panel.review.case_nodes.mask_node("case_00"))
    session.panel.review.select("case_05")
    application.scene.Clear(0)
    assert opened.case("case_00").edited_mask.is_file()


# 7. The study's path


@needs_keys
def test_a_path_counts_once_it_is_whole(session: Session, tmp_path: Path) -> None:
    opened_studies: list[str] = []
    review = session.panel.review
    original = review.open
    review.open = lambda study: (opened_studies.append(str(study.root)), original(study))
    edit = session.ui.studyFolderEdit.comboBox().lineEdit()
    session.window.show()
    loop.type_text(edit, str(tmp_path / "study"))
    assert opened_studies == []
    assert session.parameters.study_folder == ""
    edit.editingFinished.emit()
    assert session.parameters.study_folder == str(tmp_path / "study")
    assert opened_studies == [str(tmp_path / "study")]
    session.ui.studyFolderEdit.setCurrentPath(str(tmp_path / "other"))
    assert session.parameters.study_folder == str(tmp_path / "other")


def test_a_whole_disk_is_no_study(session: Session) -> None:
    session.parameters.study_folder = "/"
    session.ui.propagateButton.click()
    assert "a whole disk" in session.message


def test_what_a_run_uses_cannot_be_changed_meanwhile(
    session: Session,
    tmp_path: Path,
    fake_child: Any,
) -> None:
    from OneShotSegLib.slicer.sample_data import load_cohort

    fake_child("slow")
    choose(session, load_cohort(3, coarseness=3.0), str(tmp_path / "study"))
    propagate(session)
    names = (
        "studyFolderEdit",
        "batchSourceBox",
        "volumesList",
        "supportVolumeSelector",
        "scribblesSelector",
        "deviceBox",
    )
    assert not any(getattr(session.ui, name).enabled for name in names)
    session.ui.cancelButton.click()
    session.until_idle()
    assert all(getattr(session.ui, name).enabled for name in names)


# 8. What Slicer offers to save


def test_slicer_offers_to_save_nothing_of_a_review(
    session: Session,
    application: Any,
    opened: StudyPaths,
) -> None:
    for _number in range(3):
        session.ui.nextButton.click()
        session.settle()
    paint(session.panel.review.case_nodes.mask_node(session.panel.review.current))
    session.ui.acceptButton.click()
    session.settle()
    assert application.unsaved() == []


# 9. Scenes, reload, start-up, views, DICOM


def test_cts_of_an_imported_scene_are_offered(session: Session, application: Any) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node

    application.import_scene(lambda: add_volume_node(Volume.create(np.zeros((8, 8, 8), np.int16)), "imported"))
    session.until(lambda: session.ui.volumesList.count == 1)
    assert session.ui.volumesList.item(0).text() == "imported"


def test_closing_and_reloading_leave_no_observer_behind(application: Any, ready: None, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _time in range(2):
            opened = Session(application, tmp_path / "settings")
            application.scene.Clear(0)
            opened.close()


@pytest.mark.usefixtures("application")
def test_starting_slicer_imports_nothing_heavy() -> None:
    command = [sys.executable, "-c", START_SLICER, str(Path(__file__).parent), *HEAVY]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == "[]"


def test_window_zoom_and_layers_stay_from_case_to_case(
    session: Session,
    application: Any,
    opened: StudyPaths,
) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node

    look_at(session, "case_00")
    review = session.panel.review
    review.case_nodes.ct_node("case_00").GetDisplayNode().SetWindowLevel(1500, 300)
    other = add_volume_node(Volume.create(np.zeros((8, 8, 8), np.int16)), "dose")
    composite = application.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetForegroundVolumeID(other.GetID())
    composite.SetForegroundOpacity(0.4)
    view = application.scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    view.SetFieldOfView(40, 30, 1)
    session.ui.acceptButton.click()
    session.settle()
    display = review.case_nodes.ct_node("case_01").GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (1500, 300)
    assert (composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()) == (other.GetID(), 0.4)
    assert view.GetFieldOfView()[:2] == (40, 30)


class Browser:
    """The DICOM module's browser with a selection."""

    useVisualDICOMBrowser = False  # noqa: N815  (Slicer's name)
    fileLists = (("a1", "a2"), ("b1",), ("c1",))  # noqa: N815


class Database:
    """Slicer's DICOM database: a CT, a dose and another CT of one patient."""

    VALUES: ClassVar = {
        "a1": {"0008,0060": "CT", "0008,103E": "Neck", "0020,000E": "1.2.3", "0010,0020": "PID-17"},
        "b1": {"0008,0060": "RTDOSE", "0008,103E": "Dose", "0020,000E": "1.2.4", "0010,0020": "PID-17"},
        "c1": {"0008,0060": "CT", "0008,103E": "Neck", "0020,000E": "1.2.5", "0010,0020": "PID-17"},
    }

    def fileValue(self, file: str, tag: str) -> str:  # noqa: N802  (Slicer's name)
        return self.VALUES[file].get(tag, "")


def test_only_cts_of_the_dicom_database_are_taken_and_their_names_say_nothing_of_the_patient(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import slicer

    from OneShotSegLib.slicer.parameters import BatchSource

    widget = type("DICOMWidget", (), {"browserWidget": Browser()})()
    monkeypatch.setattr(slicer.modules, "DICOMWidget", widget, raising=False)
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    session.parameters.study_folder = str(tmp_path / "study")
    session.parameters.batch_source = BatchSource.DICOM
    assert session.ui.dicomLabel.text == "2 CTs selected, 1 others left out"
    names = [export.path.name for export in session.panel.batch.batch(StudyPaths(tmp_path / "study")).exports]
    assert len(set(names)) == 2
    assert all(name.lower().startswith("neck") and "17" not in name for name in names)
    session.parameters.batch_source = BatchSource.SCENE


def test_a_mask_stands_beside_its_ct_in_the_data_tree(session: Session, application: Any, opened: StudyPaths) -> None:
    import slicer

    from OneShotSegLib.imaging.files import read_volume
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node
    from OneShotSegLib.slicer.review.case_marks import mark

    ct = add_volume_node(read_volume(opened.root.parent / "cts" / "case_00.nii.gz"), "ct")
    mark(ct, opened, "case_00")
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(application.scene)
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "patient")
    tree.CreateItem(patient, ct)
    # Slicer's own plugins give each new node an item; the stand-in has none of them.
    review = session.panel.review
    original = review.case_nodes._put_mask

    def with_item(case: str, *rest: Any) -> None:
        original(case, *rest)
        tree.CreateItem(tree.GetSceneItemID(), review.case_nodes.mask_node(case))

    review.case_nodes._put_mask = with_item
    look_at(session, "case_00")
    mask = review.case_nodes.mask_node("case_00")
    assert tree.GetItemParent(tree.GetItemByDataNode(mask)) == patient


# One screen


def test_from_a_scene_to_the_first_mask_with_few_clicks(session: Session, tmp_path: Path) -> None:
    from OneShotSegLib.slicer.sample_data import load_cohort

    nodes = load_cohort(4, coarseness=3.0)
    session.widget.exit()
    session.enter()
    assert session.parameters.support_volume is nodes[0]
    assert session.parameters.batch_volumes == nodes[1:4]
    session.parameters.scribbles = nodes[-1]
    session.parameters.study_folder = str(tmp_path / "study")
    assert not session.ui.supportCollapsibleButton.collapsed
    propagate(session)
    assert session.ui.supportCollapsibleButton.collapsed
    assert session.ui.batchCollapsibleButton.collapsed
    session.until_idle()
    session.ui.nextButton.click()
    session.until(lambda: session.ui.acceptButton.enabled)


def test_the_structures_of_a_case_are_looked_at_one_by_one_the_doubtful_in_full(
    session: Session, application: Any, opened: StudyPaths
) -> None:
    look_at(session, "case_00")
    review = session.panel.review
    mask = review.case_nodes.mask_node("case_00")
    display = mask.GetDisplayNode()

    def clear() -> list[str]:
        segmentation = mask.GetSegmentation()
        ids = [segmentation.GetNthSegmentID(number) for number in range(2)]
        return [segmentation.GetSegment(i).GetName() for i in ids if display.GetSegmentOpacity2DOutline(i) == 1.0]

    assert clear() == ["Mandible"]
    session.ui.editButton.click()
    review.on_next_structure()
    assert clear() == ["Brainstem"]
    assert editor_node(application).GetSelectedSegmentID() == "Segment_1"
    review.on_next_structure()
    assert clear() == ["Mandible"]


@needs_keys
def test_tab_steps_through_structures_in_the_review_and_the_views_and_nowhere_else(
    session: Session, application: Any, opened: StudyPaths
) -> None:
    from PySide6 import QtWidgets

    application.main_window.show()
    console = QtWidgets.QPlainTextEdit(application.main_window)
    console.setTabChangesFocus(False)  # as Slicer's Python console
    console.show()
    view = application.layouts.sliceWidget("Red").sliceView()
    view.show()
    look_at(session, "case_00")
    review, ui = session.panel.review, session.ui
    names = [one.name for one in review.session.row("case_00").details]
    assert review._structure == names[0]
    for place in (ui.reviewTable, ui.structureTable, ui.acceptButton, ui.nextButton, ui.doubtStructureButton, view):
        for key, expected in (("Tab", names[1]), ("Shift+Tab", names[0])):
            loop.press_key(place, key)
            assert review._structure == expected, (place.objectName(), key)
            assert place.hasFocus()
    loop.press_key(ui.commentEdit, "Tab")
    assert not ui.commentEdit.hasFocus(), "Tab goes from field to field"
    loop.press_key(console, "Tab")
    assert console.toPlainText() == "\t"
    assert review._structure == names[0]
    session.widget.exit()
    loop.press_key(view, "Tab")
    assert review._structure == names[0], "Tab is Slicer's again while another module is shown"
    session.enter()
    console.deleteLater()
