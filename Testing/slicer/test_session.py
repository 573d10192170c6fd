"""A whole session in the panel, with a child process that emits what the real one emits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import MAX_BLOCKED_SECONDS, BlockMonitor, Session, clipped_texts


@pytest.fixture
def shoot(session: Session, tmp_path: Path) -> Callable[[str], None]:
    """Takes a screenshot and checks that nothing in it is clipped; ONESHOTSEG_SCREENSHOTS says where it goes."""
    folder = Path(os.environ.get("ONESHOTSEG_SCREENSHOTS") or tmp_path)

    def take(name: str) -> None:
        session.screenshot(folder / f"{name}.png")
        assert clipped_texts(session.window) == []

    return take


@pytest.fixture
def cohort(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Phantoms and scribbles in the scene, chosen in the panel, with a study folder."""
    from OneShotSegLib.slicer.sample_data import load_cohort

    monkeypatch.setenv("HOME", str(tmp_path))
    nodes = load_cohort(4, coarseness=3.0)
    choose(session, nodes, "~/study")
    return nodes


def choose(session: Session, nodes: list[Any], study: str) -> None:
    session.parameters.support_volume = nodes[0]
    session.parameters.scribbles = nodes[-1]
    session.parameters.study_folder = study
    session.parameters.batch_volumes = nodes[1:-1]
    session.settle()


def propagate(session: Session) -> None:
    session.ui.propagateButton.click()
    session.until(lambda: session.panel.controller.busy or bool(session.message))
    assert session.panel.controller.busy, session.message


def test_a_session_from_scribbles_to_review(
    session: Session, cohort: list[Any], fake_child: Any, shoot: Callable[[str], None], tmp_path: Path
) -> None:
    fake_child("normal")
    shoot("1-ready")
    monitor = BlockMonitor()
    monitor.start()
    propagate(session)
    session.until_idle()
    blocked = monitor.stop()

    assert "3 cases" in session.message
    assert [row[0] for row in session.rows] == ["phantom_02", "phantom_03", "phantom_01"]
    assert blocked < MAX_BLOCKED_SECONDS, f"blocked for {1000 * blocked:.0f} ms"

    session.ui.nextButton.click()
    session.settle()
    shoot("3-review")
    assert session.panel.review.current == "phantom_02"
    mask = session.panel.review.case_nodes.mask_node("phantom_02")
    assert mask.GetSegmentation().GetSegment("Segment_5").GetName() == "Mandible"
    assert mask.GetNodeReference(mask.GetReferenceImageGeometryReferenceRole()) is cohort[2]
    session.ui.acceptButton.click()
    session.settle()
    assert session.panel.review.current == "phantom_03"
    session.ui.rejectButton.click()
    session.settle()
    assert session.ui.reviewLabel.text.startswith("2 of 3")
    session.ui.undoButton.click()
    session.settle()
    assert session.panel.review.current == "phantom_03"
    assert session.ui.reviewLabel.text.startswith("1 of 3")
    assert "phantom_02,accepted" in (tmp_path / "study" / "review.csv").read_text(encoding="utf-8")


def test_the_work_in_progress_is_shown_and_cancel_ends_the_process_tree(
    session: Session, cohort: list[Any], fake_child: Any, shoot: Callable[[str], None]
) -> None:
    fake_child("slow")
    monitor = BlockMonitor()
    monitor.start()
    propagate(session)
    session.until(lambda: session.panel.controller.progress.case == "phantom_02")
    pid = session.panel.controller._worker._child.pid
    assert monitor.stop() < MAX_BLOCKED_SECONDS
    shoot("2-running")
    assert group_members(pid)
    monitor.start()
    session.ui.cancelButton.click()
    session.until_idle()
    assert monitor.stop() < MAX_BLOCKED_SECONDS
    assert "ancelled" in session.message
    session.until(lambda: not group_members(pid))
    assert [row[0] for row in session.rows] == ["phantom_01"]
    assert session.ui.propagateButton.enabled


def group_members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def test_a_second_run_does_only_what_is_left(session: Session, cohort: list[Any], fake_child: Any) -> None:
    fake_child("die")
    propagate(session)
    session.until_idle()
    assert "out of memory" in session.message
    fake_child("normal")
    propagate(session)
    session.until_idle()
    assert len(session.rows) == 3
    assert session.panel.controller.progress.resumed == 1


def test_opening_the_study_folder_later_continues_the_review(
    session: Session, cohort: list[Any], fake_child: Any, application: Any, tmp_path: Path, shoot: Callable[[str], None]
) -> None:
    fake_child("normal")
    propagate(session)
    session.until_idle()
    session.panel.review.select("phantom_02")
    session.settle()
    session.ui.acceptButton.click()
    session.settle()
    application.scene.Clear(0)
    session.settle()
    assert session.rows == []
    session.parameters.study_folder = str(tmp_path / "study")
    session.settle()
    assert [row[3] for row in session.rows] == ["accepted", "pending", "pending"]
    session.panel.review.select("phantom_03")
    session.settle()
    ct = session.panel.review.case_nodes.ct_node("phantom_03")
    assert ct is not None
    mask = session.panel.review.case_nodes.mask_node("phantom_03")
    assert mask.GetNodeReference(mask.GetReferenceImageGeometryReferenceRole()) is ct
    shoot("4-resumed")


def paint(mask: Any) -> None:
    """What the Segment Editor does to a segment: other voxels, and an event."""
    import slicer

    from OneShotSegLib.slicer.mrml.geometry import image_array

    image = mask.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    image_array(image)[0, 0, 0:3] = mask.GetSegmentation().GetNthSegment(0).GetLabelValue()
    image.Modified()
    mask.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


def test_a_correction_is_on_disk_before_the_decision(
    session: Session, cohort: list[Any], fake_child: Any, tmp_path: Path, application: Any
) -> None:
    fake_child("normal")
    propagate(session)
    session.until_idle()
    review = session.panel.review
    review.select("phantom_02")
    session.settle()
    session.ui.editButton.click()
    assert application.selected == []
    paint(review.case_nodes.mask_node("phantom_02"))
    session.ui.acceptButton.click()
    session.settle()
    assert (tmp_path / "study" / "cases" / "phantom_02" / "edited.seg.nrrd").is_file()
    assert session.panel.review.session.row("phantom_02").state == "edited"


def test_an_accepted_pseudo_mask_counts_until_its_correction_is_accepted(
    session: Session, cohort: list[Any], fake_child: Any, tmp_path: Path
) -> None:
    propagate(session)
    session.until_idle()
    review = session.panel.review
    for case in ("phantom_01", "phantom_02"):
        review.select(case)
        session.settle()
        session.ui.acceptButton.click()
        session.settle()
    case = tmp_path / "study" / "cases" / "phantom_02"
    review.select("phantom_02")
    session.settle()
    paint(review.case_nodes.mask_node("phantom_02"))
    review.case_nodes.corrections.save_all()
    assert review.session.mask("phantom_02") == case / "pseudo.seg.nrrd"
    assert "does not count" in session.ui.caseLabel.text
    session.ui.acceptButton.click()
    session.settle()
    assert review.session.mask("phantom_02") == case / "edited.seg.nrrd"
    assert review.session.mask("phantom_01").name == "pseudo.seg.nrrd"


def test_a_correction_is_saved_by_itself_and_by_closing_the_scene(
    session: Session, cohort: list[Any], fake_child: Any, tmp_path: Path, application: Any
) -> None:
    fake_child("normal")
    propagate(session)
    session.until_idle()
    review = session.panel.review
    edited = [tmp_path / "study" / "cases" / name / "edited.seg.nrrd" for name in ("phantom_02", "phantom_03")]
    look_at(session, "phantom_02")
    paint(review.case_nodes.mask_node("phantom_02"))
    session.until(edited[0].is_file)
    look_at(session, "phantom_03")
    paint(review.case_nodes.mask_node("phantom_03"))
    assert not edited[1].exists()
    application.scene.Clear(0)
    assert edited[1].is_file()


def reviewed(session: Session, case: str) -> None:
    """Propagate, then accept a case."""
    propagate(session)
    session.until_idle()
    look_at(session, case)
    session.ui.acceptButton.click()
    session.settle()


def go_on(session: Session) -> None:
    session.ui.goOnButton.click()
    session.until(lambda: session.panel.controller.busy or bool(session.message))
    assert session.panel.controller.busy, session.message
    session.until_idle()


def test_propagating_again_recomputes_what_nobody_decided_and_says_what_became_of_it(
    session: Session, cohort: list[Any], fake_child: Any, tmp_path: Path
) -> None:
    reviewed(session, "phantom_01")
    before = {row[0]: row[1] for row in session.rows}
    fake_child("again")
    go_on(session)
    after = {row[0]: row[1] for row in session.rows}
    assert before == {"phantom_01": "0.90", "phantom_02": "0.30", "phantom_03": "0.60"}
    assert after == {"phantom_01": "0.90", "phantom_02": "0.40", "phantom_03": "0.70"}
    assert session.message.endswith("Of 2 recomputed cases, 2 got better, 0.45 to 0.55 (mean score).")
    assert not list(tmp_path.glob("study-inputs/support phantom*"))


def test_a_study_that_is_opened_again_goes_on_with_its_own_supports_and_cases(
    session: Session, cohort: list[Any], fake_child: Any, application: Any, tmp_path: Path
) -> None:
    reviewed(session, "phantom_01")
    application.scene.Clear(0)
    session.settle()
    session.parameters.study_folder = str(tmp_path / "study")
    session.settle()
    fake_child("again")
    go_on(session)
    assert "2 got better" in session.message, session.message
    assert len(session.rows) == 3


def test_a_new_result_is_shown_before_it_can_be_accepted(
    session: Session, cohort: list[Any], fake_child: Any, tmp_path: Path
) -> None:
    from OneShotSegLib.imaging.labelmaps import read_label_map, write_label_map

    propagate(session)
    session.until_idle()
    look_at(session, "phantom_02")
    review = session.panel.review
    path = tmp_path / "study" / "cases" / "phantom_02" / "pseudo.seg.nrrd"
    mask = read_label_map(path)
    write_label_map(mask.with_volume(mask.volume.with_array(mask.volume.array * 0)), path)
    review.on_accept()
    assert "not on the screen" in session.message
    assert review.session.row("phantom_02").state == "pending"
    session.settle()
    assert review.case_nodes.centre("phantom_02", "Mandible") is None
    review.on_accept()
    session.settle()
    assert review.session.row("phantom_02").state == "accepted"


def log_lines(session: Session) -> list[str]:
    return list(session.ui.logText.toPlainText().splitlines())


def test_prnet_is_trained_on_the_batch_and_its_weights_are_chosen(
    session: Session, cohort: list[Any], tmp_path: Path
) -> None:
    session.ui.trainPrnetButton.click()
    session.until(lambda: session.panel.controller.busy)
    session.until_idle()
    assert session.message == "Training PRNet on this batch: done.", session.ui.logText.toPlainText()
    lines = log_lines(session)
    assert "About 2 minutes for 100 steps on CPU." in lines
    assert "A warning about the fine stage." in lines
    assert [line for line in lines if "{" in line] == []
    weights = tmp_path / "study-inputs" / "weights"
    assert sorted(path.name for path in weights.iterdir()) == ["coarse.safetensors", "fine.safetensors"]
    assert session.parameters.weights == str(weights)
    assert session.panel.controller.progress.done == ["coarse", "fine"]


def test_the_segmentation_network_is_trained_on_the_study(session: Session, cohort: list[Any], tmp_path: Path) -> None:
    session.ui.trainSegmentationButton.click()
    assert "nothing to train on yet" in session.message
    propagate(session)
    session.until_idle()
    rows = session.rows
    session.ui.trainSegmentationButton.click()
    session.until(lambda: session.panel.controller.busy)
    session.until_idle()
    assert session.message == "Training the segmentation network: done.", session.ui.logText.toPlainText()
    assert "About 2 minutes for 100 steps on CPU." in log_lines(session)
    assert [line for line in log_lines(session) if "{" in line] == []
    assert (tmp_path / "study-inputs" / "model" / "segmentation.safetensors").is_file()
    assert session.rows == rows


def test_a_case_that_fails_is_named_and_the_others_are_there(
    session: Session, cohort: list[Any], fake_child: Any, shoot: Callable[[str], None]
) -> None:
    fake_child("fail")
    propagate(session)
    session.until_idle()
    assert "1 of 3 cases failed" in session.message
    assert "found noise" in session.message
    assert len(session.rows) == 2
    shoot("5-failed-case")


def test_bad_input_is_the_childs_own_sentence(session: Session, cohort: list[Any], fake_child: Any) -> None:
    fake_child("bad")
    propagate(session)
    session.until_idle()
    assert session.message == "weights: expected a folder, found none."
    assert session.ui.propagateButton.enabled


def test_a_second_click_on_propagate_starts_nothing(session: Session, cohort: list[Any], fake_child: Any) -> None:
    fake_child("slow")
    propagate(session)
    session.until(lambda: session.panel.controller.progress.case == "phantom_02")
    pid = session.panel.controller._worker._child.pid
    session.ui.propagateButton.click()
    session.panel.propagate.on_propagate()
    assert "already under way" in session.message
    assert session.panel.controller._worker._child.pid == pid
    session.ui.cancelButton.click()
    session.until_idle()


def test_closing_the_scene_in_mid_run_stops_it_and_leaves_a_usable_panel(
    session: Session, cohort: list[Any], fake_child: Any, application: Any, tmp_path: Path
) -> None:
    fake_child("slow")
    propagate(session)
    session.until(lambda: session.panel.controller.progress.case == "phantom_02")
    pid = session.panel.controller._worker._child.pid
    application.scene.Clear(0)
    session.settle()
    assert "scene was closed" in session.message
    session.until(lambda: not group_members(pid))
    from OneShotSegLib.slicer.sample_data import load_cohort

    fake_child("normal")
    choose(session, load_cohort(4, coarseness=3.0), "~/study")
    propagate(session)
    session.until_idle()
    assert len(session.rows) == 3


def test_a_study_folder_that_vanishes_in_mid_run_is_named(
    session: Session, cohort: list[Any], fake_child: Any, tmp_path: Path
) -> None:
    fake_child("slow")
    propagate(session)
    session.until(lambda: session.panel.controller.progress.case == "phantom_02")
    session.settle()
    shutil.rmtree(tmp_path / "study")
    session.ui.cancelButton.click()
    session.until_idle()
    look_at(session, "phantom_01")
    session.ui.rejectButton.click()
    session.settle()
    assert "no longer there" in session.message
    assert session.ui.propagateButton.enabled


def test_a_volume_removed_before_its_turn_is_named_and_nothing_starts(
    session: Session, cohort: list[Any], fake_child: Any, application: Any
) -> None:
    fake_child("normal")
    propagate(session)
    application.scene.RemoveNode(cohort[3])
    session.until_idle()
    assert "phantom_03: the volume was removed from the scene." in session.message


def test_a_full_disk_is_named(
    session: Session, cohort: list[Any], fake_child: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from full_disk import full

    from OneShotSegLib.slicer.sections import scene_inputs

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(scene_inputs, "write_volume", full)
    fake_child("normal")
    session.ui.propagateButton.click()
    session.until(lambda: "disk is full" in session.message)
    assert "the disk is full" in session.message
    assert session.ui.propagateButton.enabled


@pytest.mark.parametrize(
    ("forget", "sentence"),
    [
        ("study_folder", "Choose a study folder first"),
        ("support_volume", "Choose the CT of the support first"),
        ("scribbles", "Choose the scribbles of the support"),
        ("batch_volumes", "Choose at least one volume of the scene"),
    ],
)
def test_what_is_not_chosen_is_named(
    session: Session, cohort: list[Any], fake_child: Any, forget: str, sentence: str
) -> None:
    fake_child("normal")
    empty: Any = {"study_folder": "", "batch_volumes": []}.get(forget)
    setattr(session.parameters, forget, empty)
    session.ui.propagateButton.click()
    session.settle()
    assert session.message.startswith(sentence)
    assert not session.panel.controller.busy


def test_scribbles_are_made_painted_and_checked(
    session: Session, cohort: list[Any], application: Any, shoot: Callable[[str], None]
) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import segments_of

    session.ui.structureBox.setCurrentText("Mandible, Brainstem")
    session.ui.newScribblesButton.click()
    node = session.parameters.scribbles
    assert [segment.GetName() for _id, segment in segments_of(node)] == ["Background", "Mandible", "Brainstem"]
    assert application.selected == []
    editor = application.scene.GetSingletonNode("OneShotSegEditor", "vtkMRMLSegmentEditorNode")
    assert (editor.GetActiveEffectName(), editor.GetSegmentationNode()) == ("Paint", node)
    session.ui.checkButton.click()
    session.settle()
    text = session.ui.supportStatusLabel.text
    assert "no background stroke" in text
    assert "Mandible has no strokes" in text
    shoot("0-scribbles")
    session.ui.structureBox.setCurrentText("Thyroid")
    session.ui.addStructureButton.click()
    assert node.GetSegmentation().GetNumberOfSegments() == 4


def look_at(session: Session, case: str) -> None:
    """Select a case and wait until it is on the screen, or cannot be."""
    session.panel.review.select(case)
    session.settle()
    session.until(lambda: session.ui.rejectButton.enabled)


def test_every_binding_of_the_panel_names_a_parameter(session: Session) -> None:
    names = {
        widget.property("SlicerParameterName")
        for widget in vars(session.ui).values()
        if widget.property("SlicerParameterName")
    }
    assert names == {"support_volume", "scribbles", "batch_source"}
    assert names <= set(session.parameters.allParameters)


def test_the_modules_own_tests_pass(session: Session, application: Any) -> None:
    session.module.OneShotSegTest("runTest").runTest()


def test_declining_the_installation_starts_nothing(
    session: Session, cohort: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    session.panel.context.ensure_ready = lambda: False
    session.panel.context.prepare = asked.append
    session.ui.propagateButton.click()
    session.settle()
    assert "not installed" in session.message
    assert len(asked) == 1  # what is to be started once it is installed
    assert not session.panel.controller.busy


def test_the_keys_work_while_the_panel_is_shown_and_only_then(
    session: Session, cohort: list[Any], fake_child: Any
) -> None:
    propagate(session)
    session.until_idle()
    keys = {shortcut.key().toString(): shortcut for shortcut in session.panel.review._keys._shortcuts}
    assert {key for key in keys if "+" not in key} == {"N", "A", "X", "C", "U", "D", "R", "Tab"}
    assert all(shortcut.enabled for shortcut in keys.values())
    keys["N"].activated.emit()
    session.settle()
    keys["A"].activated.emit()
    session.settle()
    assert session.rows[0][3] == "accepted"
    keys["Shift+N"].activated.emit()
    session.settle()
    keys["X"].activated.emit()
    session.settle()
    assert session.rows[0][3] == "rejected"
    keys["U"].activated.emit()
    session.settle()
    assert session.rows[0][3] == "accepted"
    session.widget.exit()
    assert not any(shortcut.enabled for shortcut in keys.values())


def test_the_phantoms_are_offered_as_sample_data_once_slicer_has_started(session: Session, application: Any) -> None:
    class Parent:
        path = str(Path(session.module.__file__))

    application.samples.clear()
    session.module.OneShotSeg(Parent())
    assert application.samples == []
    application.qt.startupCompleted.emit()
    (sample,) = application.samples
    assert sample["sampleName"] == "OneShotSegPhantoms"
    assert Path(sample["thumbnailFileName"]).is_file()


@pytest.mark.parametrize("name", ["nnunet", "nifti", "dicom-seg", "rtstruct", "zip"])
def test_what_was_reviewed_is_exported_from_the_panel(
    session: Session, cohort: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import qt

    session.ui.exportButton.click()
    assert "nothing to deliver" in session.message
    propagate(session)
    session.until_idle()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "Dataset001_other").mkdir()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *arguments: str(tmp_path / "there"))
    box = session.ui.exportFormatBox
    box.setCurrentIndex(box.findData(name))
    session.ui.acceptedOnlyBox.setChecked(False)
    session.ui.exportButton.click()
    session.until_idle()
    ending = {"nnunet": "Dataset002_study", "zip": "study-zip.zip"}.get(name, f"study-{name}")
    assert (tmp_path / "there" / ending).is_file(), session.ui.logText.toPlainText()
    assert session.message.startswith("Exported: "), session.message
    assert ("--all" in session.ui.logText.toPlainText()) == (name != "zip")


def test_the_report_is_written_anew_and_opened(
    session: Session, cohort: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt

    urls: list[str] = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: urls.append(url.toLocalFile()))
    propagate(session)
    session.until_idle()
    session.ui.reportButton.click()
    session.until_idle()
    assert urls == [str(tmp_path / "study" / "report.html")]


def test_the_trained_network_is_applied_to_the_batch_and_its_results_are_reviewed(
    session: Session, cohort: list[Any], tmp_path: Path
) -> None:
    session.ui.applyNetworkButton.click()
    assert "no network yet" in session.message
    propagate(session)
    session.until_idle()
    session.ui.trainSegmentationButton.click()
    session.until_idle()
    session.ui.applyNetworkButton.click()
    session.until(lambda: session.panel.controller.busy)
    session.until_idle()
    assert session.message.startswith("The network's results are open for review"), session.ui.logText.toPlainText()
    assert session.parameters.study_folder == str(tmp_path / "study-segmented")
    assert len(session.rows) == 3
    look_at(session, "phantom_02")
    session.ui.acceptButton.click()
    session.settle()
    assert (tmp_path / "study-segmented" / "review.csv").is_file()
