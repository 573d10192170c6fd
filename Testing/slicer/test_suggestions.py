"""Which CT to scribble: the line under the support, with the real comparison in a child process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Session
from test_runs import alive
from test_session import choose, propagate

from OneShotSegLib.events import Event
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.support_suggestion import FEWEST_TO_COMPARE, SupportSuggestion

SECONDS = 120.0


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def cohort(session: Session, temporary: Path, tmp_path: Path) -> list[Any]:
    """Six phantoms, the last one a part of a head alone; the first is the support. Their strokes come last."""
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node, volume_from_node
    from OneShotSegLib.slicer.sample_data import load_cohort

    *cts, strokes = load_cohort(6, coarseness=4.0)
    whole = volume_from_node(cts[-1])
    session.application.scene.RemoveNode(cts[-1])
    cts[-1] = add_volume_node(_part(whole), "a part")
    nodes = [*cts, strokes]
    choose(session, nodes, str(tmp_path / "study"))
    return nodes


def _part(whole: Volume) -> Volume:
    count = max(4, whole.shape[0] // 4)
    return Volume.create(whole.array[:count].copy(), whole.spacing, whole.origin, whole.direction)


def line(session: Session) -> str:
    return str(session.ui.suggestLabel.text)


def suggest(session: Session) -> None:
    session.ui.suggestButton.click()
    session.until(lambda: not session.panel.suggestions.busy, SECONDS)


def test_the_best_support_is_named_and_taken_by_a_click_and_an_outlier_is_warned_of(
    session: Session, cohort: list[Any], temporary: Path
) -> None:
    parameters = session.parameters
    parameters.support_volume = cohort[5]
    parameters.batch_volumes = cohort[:5]
    assert not session.ui.suggestLabel.isVisibleTo(session.window)
    suggest(session)
    lines = line(session).split("<br>")
    assert lines[0].startswith("a part may not be a good support: its field of view is ")
    assert lines[1].startswith("The best support of these 6 CTs is phantom_0"), lines
    assert "Take it as the support" in lines[-1]
    assert not [path for path in temporary.iterdir() if list(path.glob("*.nrrd"))]

    session.ui.suggestLabel.linkActivated.emit("use")
    best = parameters.support_volume
    assert best in cohort[:5]
    assert cohort[5] in parameters.batch_volumes
    assert best not in parameters.batch_volumes
    assert line(session).split("<br>")[0] == f"{best.GetName()} is the best support of these 6 CTs."
    assert "a part is unlike the others" in line(session)
    # What was said is about these CTs.
    parameters.batch_volumes = [node for node in cohort[:3] if node is not best]
    session.settle()
    assert line(session) == ""


def test_it_can_be_cancelled_and_a_run_stops_it(
    session: Session, cohort: list[Any], fake_child: Any, temporary: Path
) -> None:
    fake_child("slow")
    for stop in (session.ui.suggestButton.click, lambda: propagate(session), session.application.scene.Clear):
        session.ui.suggestButton.click()
        session.until(lambda: "CT 1 of 6" in line(session), SECONDS)
        assert session.ui.suggestButton.text == "Cancel"
        pid = session.panel.suggestions._worker._child.pid
        stop()
        assert not session.panel.suggestions.busy
        session.until(lambda pid=pid: not alive(pid))
        assert line(session) == ""
        assert not [path for path in temporary.iterdir() if list(path.glob("*.nrrd"))]
        if session.panel.controller.busy:
            session.ui.cancelButton.click()
            session.until_idle()


def test_while_a_run_is_under_way_nothing_is_compared(session: Session, cohort: list[Any], fake_child: Any) -> None:
    fake_child("slow")
    propagate(session)
    assert not session.ui.suggestButton.enabled
    session.ui.cancelButton.click()
    session.until_idle()
    assert session.ui.suggestButton.enabled


def test_the_best_file_of_a_folder_is_opened(
    session: Session, cohort: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    from OneShotSegLib.slicer.mrml.volumes import add_volume_node, volume_from_node
    from OneShotSegLib.slicer.parameters import BatchSource

    folder = tmp_path / "cts"
    for node in cohort[:5]:
        write_volume(volume_from_node(node), folder / f"{node.GetName()}.nrrd")
    opened: list[str] = []

    def load_volume(path: str) -> Any:
        opened.append(path)
        return add_volume_node(Volume.create(np.zeros((4, 4, 4), np.int16)), Path(path).stem)

    monkeypatch.setattr(slicer.util, "loadVolume", load_volume)
    session.parameters.support_volume = None
    session.parameters.batch_folder = str(folder)
    session.parameters.batch_source = BatchSource.FOLDER
    suggest(session)
    assert line(session).startswith("The best support of these 5 CTs is phantom_0"), session.message
    session.ui.suggestLabel.linkActivated.emit("use")
    assert len(opened) == 1
    assert session.parameters.support_volume.GetName().startswith(Path(opened[0]).stem)
    assert session.parameters.batch_source is BatchSource.FOLDER
    session.parameters.batch_source = BatchSource.SCENE


def test_one_ct_has_nothing_to_be_compared_with(session: Session, cohort: list[Any]) -> None:
    session.parameters.batch_volumes = []
    session.ui.suggestButton.click()
    assert "at least two CTs" in session.message
    assert not session.panel.suggestions.busy


def test_without_packages_nothing_is_started(session: Session, cohort: list[Any]) -> None:
    session.panel.context.ensure_ready = lambda: False
    session.ui.suggestButton.click()
    assert "press Install" in session.message
    assert not session.panel.suggestions.busy


def said(*events: tuple[str, dict[str, Any]]) -> SupportSuggestion:
    found = SupportSuggestion()
    for kind, fields in events:
        found.take(Event(kind, fields))
    return found


def test_sentences_name_a_few_outliers_and_count_the_rest() -> None:
    suggested = [("support_suggested", {"ct": f"/{n}.nrrd", "why": "w", "outlier": "o" if n else ""}) for n in range(6)]
    found = said(("started", {"cases": list("abcdefg")}), *suggested, ("case_failed", {"case": "g"}), ("finished", {}))
    texts = list(found.describe({Path("/1.nrrd"): "one"}, None))
    assert texts == [
        "The best support of these 6 CTs is 0.nrrd: w.",
        "one is unlike the others: o.",
        "2.nrrd is unlike the others: o.",
        "3.nrrd is unlike the others: o.",
        "2 more are unlike the others.",
        "Could not be read: g.",
    ]
    assert found.finished


def test_of_a_few_cts_it_is_said_that_outliers_are_not_known() -> None:
    from OneShotSegLib.fusion import support_advice

    assert FEWEST_TO_COMPARE == support_advice.FEWEST_TO_COMPARE
    found = said(*(("support_suggested", {"ct": f"/{n}.nrrd", "why": "w", "outlier": ""}) for n in range(2)))
    assert "Of fewer than 5 CTs" in list(found.describe({}, Path("/0.nrrd")))[-1]
