"""Drives a whole session of the panel: sample data, propagation in the real child process, review, and coming back.

It is run where the module is open and `widget` (its widget) and `slicer` are in scope. The packages must be installed;
nobody is asked.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OneShotSegLib.slicer.jobs import dependencies
from OneShotSegLib.slicer.sample_data import load_cohort

SECONDS = 1800
"""Others may use the machine too."""

dependencies.Dependencies.missing = lambda self: ()


def until(condition: Callable[[], bool], what: str) -> None:
    """Keep the event loop running until a condition holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what}: {widget.panel.context.messages.text}"  # noqa: F821
        slicer.app.processEvents()  # noqa: F821
        time.sleep(0.005)


def settle() -> None:
    """Let reading and writing in the background come to an end."""
    for _round in range(3):
        until(lambda: not widget.panel.context.background.busy, "background")  # noqa: F821
        slicer.app.processEvents()  # noqa: F821


def rows() -> list[tuple[str, ...]]:
    """The review table as it is shown."""
    table = widget.ui.reviewTable  # noqa: F821
    return [tuple(table.item(row, column).text() for column in range(4)) for row in range(table.rowCount)]


def choose(study: Path, nodes: Any) -> None:
    """Choose support, scribbles, batch and study as a user would."""
    parameters = widget.panel.context.parameters  # noqa: F821
    parameters.support_volume, parameters.scribbles = nodes[0], nodes[-1]
    parameters.study_folder = str(study)
    parameters.batch_volumes = nodes[1:-1]
    settle()


def run() -> None:
    """Support and batch, propagate, cancel, go on, review, undo, come back after the scene was closed."""
    panel, ui = widget.panel, widget.ui  # noqa: F821
    study = Path(tempfile.mkdtemp()) / "study"
    nodes = load_cohort(4, coarseness=3.0)
    choose(study, nodes)

    ui.suggestButton.click()
    until(lambda: not panel.suggestions.busy, "the suggestion of a support")
    assert "support of these 4 CTs" in ui.suggestLabel.text, panel.context.messages.text

    ui.propagateButton.click()
    until(lambda: panel.controller.busy, "start")
    until(lambda: panel.controller.progress.case or not panel.controller.busy, "the first case")
    ui.cancelButton.click()
    until(lambda: not panel.controller.busy, "cancel")
    settle()
    assert "ancelled" in panel.context.messages.text, panel.context.messages.text

    ui.propagateButton.click()
    until(lambda: panel.controller.busy, "start again")
    until(lambda: not panel.controller.busy, "the batch")
    settle()
    names = [row[0] for row in rows()]
    assert names[0] == "phantom_00 (support)", panel.context.messages.text
    assert sorted(names[1:]) == ["phantom_01", "phantom_02", "phantom_03"], names

    ui.nextButton.click()
    settle()
    own = panel.review.current
    # The support's CT is the one in the scene already: no second one is read for its case.
    assert panel.review.case_nodes.ct_node(own) is nodes[0]
    ui.nextButton.click()
    settle()
    first = panel.review.current
    structure = panel.review.session.row(first).details[0].name
    ui.doubtStructureButton.click()
    mask = panel.review.case_nodes.mask_node(first)
    assert mask.GetSegmentation().GetSegment("Segment_5").GetName() == "Mandible"
    ui.acceptButton.click()
    settle()
    second = panel.review.current
    assert second != first
    ui.rejectButton.click()
    settle()
    ui.undoButton.click()
    settle()
    assert panel.review.current == second
    ledger = (study / "review.csv").read_text(encoding="utf-8")
    assert f"{first},accepted" in ledger
    assert f"{second},pending" in ledger
    assert f'{{""{structure}"": ""doubtful""}}' in ledger

    slicer.mrmlScene.Clear(0)  # noqa: F821
    settle()
    assert not ui.supportStatusLabel.text, ui.supportStatusLabel.text
    panel.context.parameters.study_folder = str(study)
    until(lambda: len(rows()) == 4, "the study opened again")
    settle()
    states = {row[0]: row[3] for row in rows()}
    assert states[first] == "accepted", states
    print(f"whole session: {len(states)} cases, {first} accepted, everything as it was after closing the scene")


run()
