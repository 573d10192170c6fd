"""A batch as a whole: killed, cancelled, run twice at once, tried again; nothing is lost and nothing is done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.runner import batch
from OneShotSegLib.runner import propagation as runner
from OneShotSegLib.runner.case import run_case
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.study.case_state import SUDDEN_ENDS
from OneShotSegLib.study.layout import CasePaths, StudyPaths, write_json
from OneShotSegLib.study.locking import exclusive
from OneShotSegLib.study.segmentation import Segmentation
from Testing.helpers import tiny_batch
from Testing.helpers.tiny_batch import TinyBatch

pytestmark = pytest.mark.usefixtures("brief_scores")

POSIX = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")


class Events(list[tuple[str, dict[str, Any]]]):
    """Keeps the events that it is given."""

    def __call__(self, event: str, **fields: object) -> None:
        self.append((event, fields))

    def cases(self, event: str) -> list[str]:
        return [fields["case"] for name, fields in self if name == event]


def masks(study: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in study.glob("cases/*/pseudo.seg.nrrd")}


def start(tiny: TinyBatch, study: Path, *options: str) -> subprocess.Popen[str]:
    """The batch in a process of its own."""
    program = [sys.executable, tiny_batch.__file__, str(tiny.weights.parent), str(len(tiny.files.queries))]
    return subprocess.Popen(
        [*program, "--device", "cpu", "--output", str(study), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def whole(tiny: TinyBatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of a run that nothing disturbed."""
    study = tmp_path_factory.mktemp("whole") / "study"
    assert len(propagate_batch(tiny.request(study)).done) == 3
    return study


@POSIX
def test_a_batch_killed_again_and_again_ends_with_the_same_files(tiny: TinyBatch, whole: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    chance = random.Random(3)
    for _ in range(3):
        with start(tiny, study) as child:
            assert child.stdout is not None
            next((line for line in child.stdout if "case_started" in line), None)  # all may be done by now
            time.sleep(chance.uniform(0, 1.5))
            child.kill()
    before = {path: path.stat().st_mtime_ns for path in study.glob("cases/*/quality.json")}
    events = Events()
    outcome = propagate_batch(tiny.request(study), events)
    assert outcome.failed == ()
    assert masks(study) == masks(whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    left = {path.name for path in study.rglob("*") if path.is_file() and path.suffix != ".log"}
    assert left == {path.name for path in whole.rglob("*") if path.is_file() and path.suffix != ".log"}


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_cancelling_takes_a_moment_and_leaves_no_half_files(tiny: TinyBatch, tmp_path: Path, number: int) -> None:
    study = tmp_path / "study"
    with start(tiny, study) as child:
        assert child.stdout is not None
        next(line for line in child.stdout if "step" in line)
        asked = time.monotonic()
        child.send_signal(number)
        _, words = child.communicate()
    assert time.monotonic() - asked < 20  # two seconds, unless others need the machine
    assert child.returncode == 130
    assert words.count("Cancelled") == 1
    assert "Traceback" not in words
    assert not list(study.rglob("running.json"))
    assert not list(study.rglob(".*.nrrd"))


@POSIX
def test_even_a_computation_that_never_ends_is_cancelled(tmp_path: Path) -> None:
    script = f"""
import ctypes, pathlib, threading, time
from OneShotSegLib.cli import cancelling
from OneShotSegLib.imaging.atomic import atomic_file
cancelling.listen()
with atomic_file(pathlib.Path({str(tmp_path)!r}) / "a.nrrd") as temporary:
    temporary.write_bytes(b"half")
    libc, said = ctypes.CDLL(None), False
    while True:  # as a library that takes no notice of signals, and lets other threads work
        try:
            said = said or print("now", flush=True) or True
            libc.sleep(60)
        except BaseException:
            pass
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        asked = time.monotonic()
        child.terminate()
        _, words = child.communicate()
    assert time.monotonic() - asked < 20  # two seconds, unless others need the machine
    assert child.returncode == 130
    assert words.count(b"Cancelled") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_study_in_use_is_refused_before_anything_is_read(
    tiny: TinyBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "read_supports", lambda request: pytest.fail("the supports were read"))
    paths = StudyPaths(tmp_path / "study")
    with exclusive(paths), pytest.raises(InputError, match="another run"):
        propagate_batch(tiny.request(paths.root))


def test_a_failed_case_is_tried_once_more_on_request_after_all_the_others(
    tiny: TinyBatch, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def at_first_the_share_is_away(engine: Any, paths: StudyPaths, case: str, read: Any, emit: Any, *rest: Any) -> Any:
        calls.append(case)
        if calls == ["phantom_01"]:
            return run_case(engine, paths, case, lambda: (_ for _ in ()).throw(OSError(5, "share is away")), emit)
        return run_case(engine, paths, case, read, emit)

    monkeypatch.setattr(runner, "run_case", at_first_the_share_is_away)
    events = Events()
    outcome = propagate_batch(tiny.request(tmp_path / "study", retry_failed=True), events)
    assert calls == ["phantom_01", "phantom_02", "phantom_03", "phantom_01"]
    assert outcome.failed == ()
    assert events.cases("case_failed") == ["phantom_01"]
    assert masks(tmp_path / "study") == masks(whole)
    assert not list(tmp_path.rglob("failed.json"))


def test_what_ended_the_last_run_comes_last_and_is_given_up_in_the_end(
    tiny: TinyBatch, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = StudyPaths(tmp_path / "study")
    order = []

    def note(engine: Any, paths: StudyPaths, case: str, *rest: Any) -> bool:
        order.append(case)
        return True

    monkeypatch.setattr(runner, "run_case", note)
    monkeypatch.setattr(batch, "close_run", lambda *arguments: None)
    propagate_batch(tiny.request(paths.root))
    write_json(paths.case("phantom_01").under_way, {"tries": 1})
    write_json(paths.case("phantom_02").under_way, {"tries": SUDDEN_ENDS})
    order.clear()
    events = Events()
    outcome = propagate_batch(tiny.request(paths.root, retry_failed=True), events)
    assert order == ["phantom_03", "phantom_01"]
    assert outcome.failed == ("phantom_02",)
    assert "without a word" in json.loads(paths.case("phantom_02").failure.read_text(encoding="utf-8"))["error"]
    order.clear()
    propagate_batch(tiny.request(paths.root))
    assert "phantom_02" in order


def test_while_one_result_is_written_the_next_case_is_computed(
    tiny: TinyBatch, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing, write = threading.Event(), Segmentation.write
    order: list[str] = []

    def write_late(result: Segmentation, files: CasePaths) -> None:
        if files.name == "phantom_01":  # it is whole only after the next case has begun, and both end as ever
            assert computing.wait(60)
            assert not files.is_done
        write(result, files)
        order.append(files.name)

    def emit(event: str, **fields: Any) -> None:
        if event == "step" and fields["case"] == "phantom_02":
            computing.set()

    monkeypatch.setattr(Segmentation, "write", write_late)
    outcome = propagate_batch(tiny.request(tmp_path / "study"), emit)
    assert outcome.done == ("phantom_01", "phantom_02", "phantom_03")
    assert order == ["phantom_01", "phantom_02", "phantom_03"]
    assert masks(tmp_path / "study") == masks(whole)
    assert not list(tmp_path.rglob("running.json"))


def test_what_cannot_be_written_fails_its_own_case_alone(
    tiny: TinyBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Segmentation.write

    def full(result: Segmentation, files: CasePaths) -> None:
        if files.name == "phantom_02":
            raise OSError(28, "No space left on device")
        write(result, files)

    monkeypatch.setattr(Segmentation, "write", full)
    events = Events()
    outcome = propagate_batch(tiny.request(tmp_path / "study"), events)
    assert (outcome.done, outcome.failed) == (("phantom_01", "phantom_03"), ("phantom_02",))
    assert events.cases("case_failed") == ["phantom_02"]


def test_what_a_receiver_of_events_raises_ends_the_run(tiny: TinyBatch, tmp_path: Path) -> None:
    class GoneError(Exception):
        pass

    def emit(event: str, **fields: Any) -> None:
        if event == "case_done":
            raise GoneError

    with pytest.raises(GoneError):
        propagate_batch(tiny.request(tmp_path / "study"), emit)


def test_a_report_that_cannot_be_written_is_said_and_the_results_are_there(
    tiny: TinyBatch, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(root: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batch, "write_report", full)
    events = Events()
    with pytest.raises(OSError, match="No space"):
        propagate_batch(tiny.request(whole), events)
    assert [event for event, _ in events[-2:]] == ["warning", "finished"]
    assert events[-1][1]["done"] == 3


def test_a_broken_ledger_is_refused_before_a_case_is_computed(tiny: TinyBatch, tmp_path: Path) -> None:
    study = tmp_path / "study"
    propagate_batch(tiny.request(study, queries=tiny.files.queries[:1]))
    (study / "review.csv").write_text("what,is,this\n1,2,3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"review\.csv"):
        propagate_batch(tiny.request(study))
    assert (study / "review.csv").read_text(encoding="utf-8") == "what,is,this\n1,2,3\n"
    assert len(masks(study)) == 1


def test_the_log_of_a_run_names_every_case(whole: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (whole / "logs").iterdir())
    for case in ("phantom_01", "phantom_02", "phantom_03"):
        assert f'case_done case="{case}"' in text
