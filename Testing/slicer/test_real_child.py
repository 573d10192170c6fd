"""The panel and the real command line: two phantom queries, cancel in mid-run, and the rest at the second start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from driving import MAX_BLOCKED_SECONDS, BlockMonitor, Session

TIMEOUT = 400.0


def test_two_queries_in_the_real_child_process(
    application: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from OneShotSegLib.slicer.jobs import dependencies
    from OneShotSegLib.slicer.mrml.segmentations import describe_segments
    from OneShotSegLib.slicer.sample_data import load_cohort

    monkeypatch.setattr(dependencies.Dependencies, "missing", lambda self: ())
    session = Session(application, tmp_path / "settings")
    try:
        support, *queries, scribbles = load_cohort(3, coarseness=3.0)
        session.parameters.support_volume = support
        session.parameters.scribbles = scribbles
        session.parameters.batch_volumes = queries
        session.parameters.study_folder = str(tmp_path / "study")
        session.parameters.weights = "phantom"
        session.parameters.device = "cpu"
        session.settle()
        monitor = BlockMonitor()
        monitor.start()
        session.ui.propagateButton.click()
        session.until(lambda: session.panel.controller.busy)
        controller = session.panel.controller
        session.until(lambda: controller.progress.case == "phantom_02" or not controller.busy, TIMEOUT)
        assert controller.busy, session.message
        session.ui.cancelButton.click()
        session.until_idle(TIMEOUT)
        assert "ancelled" in session.message, session.ui.logText.toPlainText()
        assert [row[0] for row in session.rows] == ["phantom_00 (support)", "phantom_01"]

        session.ui.propagateButton.click()
        session.until(lambda: session.panel.controller.busy)
        session.until_idle(TIMEOUT)
        blocked = monitor.stop()
        assert session.message.startswith("Done: 3 cases"), session.ui.logText.toPlainText()
        assert session.panel.controller.progress.resumed == 2
        assert sorted(row[0] for row in session.rows) == ["phantom_00 (support)", "phantom_01", "phantom_02"]
        session.panel.review.select("phantom_02")
        session.settle()
        names = [segment.name for segment in describe_segments(session.panel.review.case_nodes.mask_node("phantom_02"))]
        assert names == [segment.name for segment in describe_segments(scribbles)[:-1]]
        print(f"longest pause {1000 * blocked:.0f} ms, longest tick {1000 * session.panel.longest_tick:.0f} ms")
        assert blocked < MAX_BLOCKED_SECONDS, f"blocked for {1000 * blocked:.0f} ms"
    finally:
        session.close()
