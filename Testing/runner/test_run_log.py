"""The log of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from OneShotSegLib.runner import run_log as module
from OneShotSegLib.runner.run_log import LOGS_KEPT, run_log
from OneShotSegLib.study.layout import StudyPaths


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    return StudyPaths(tmp_path)


def lines(study: StudyPaths) -> list[str]:
    (path,) = study.logs.glob("*.log")
    return path.read_text(encoding="utf-8").splitlines()


def test_every_event_is_in_the_log_and_reaches_the_listener(study: StudyPaths) -> None:
    received: list[tuple[str, dict[str, Any]]] = []
    with run_log(study, lambda event, **fields: received.append((event, fields))) as emit:
        emit("started", cases=["a"] * 1000)
        emit("case_failed", case="a", error="no CT")
    assert [event for event, _ in received] == ["started", "case_failed"]
    written = lines(study)
    assert "OneShotSeg" in written[0]
    assert written[1].endswith("INFO started cases=1000")
    assert written[2].endswith('ERROR case_failed case="a" error="no CT"')


def test_a_text_cannot_begin_a_line_of_its_own(study: StudyPaths) -> None:
    with run_log(study, lambda event, **fields: None) as emit:
        emit("case_failed", case="a\n2026-01-01 00:00:00 INFO case_done", error="\r\x1b[2Jb\u2028")
        emit("case_done", case="\udcff")
    assert len(lines(study)) == 3


def test_a_run_that_ends_early_says_why(study: StudyPaths) -> None:
    with pytest.raises(KeyboardInterrupt), run_log(study, lambda event, **fields: None):
        raise KeyboardInterrupt
    assert "The run ended early: KeyboardInterrupt" in lines(study)[-1]


def test_a_log_that_cannot_be_written_stops_nothing(study: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[str] = []
    study.logs.write_text("a file where the folder should be", encoding="utf-8")
    with run_log(study, lambda event, **fields: received.append(event)) as emit:
        emit("finished")
    study.logs.unlink()

    def full(self: object, record: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._File, "shouldRollover", full)
    with run_log(study, lambda event, **fields: received.append(event)) as emit:
        emit("finished")
    assert received == ["finished", "finished"]


def test_only_the_latest_logs_stay_and_none_grows_without_end(
    study: StudyPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.logs.mkdir()
    for number in range(LOGS_KEPT + 10):
        (study.logs / f"2000-01-01T00-00-{number:02d}Z.log").touch()
    monkeypatch.setattr(module, "GREATEST_LOG_BYTES", 10_000)
    with run_log(study, lambda event, **fields: None) as emit:
        for _ in range(1000):
            emit("step", case="a" * 50)
    kept = sorted(study.logs.glob("*.log"))
    assert len(kept) == LOGS_KEPT
    assert not kept[0].name.endswith("00-00Z.log")
    assert sum(path.stat().st_size for path in study.logs.iterdir()) < 25_000
