"""The child process and what becomes of a run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from OneShotSegLib.events import Event, parse_event
from OneShotSegLib.interface.jobs.commands import (
    export,
    import_weights,
    propagate,
    report,
    segment,
    suggest_support,
    train_prnet,
    train_segmentation,
)
from OneShotSegLib.interface.jobs.interpreter import child_environment
from OneShotSegLib.interface.jobs.process import ChildProcess
from OneShotSegLib.interface.jobs.progress import RunProgress, format_seconds
from OneShotSegLib.interface.jobs.worker import AlreadyRunningError, JobOutcome, Worker
from OneShotSegLib.runner.request import PropagationRequest, SegmentationRequest
from OneShotSegLib.slicer.jobs.devices import FALLBACK, parse_devices
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.segmentation.request import CorrectionName, SegmentationTrainingRequest

posix = pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX's")


def child(code: str) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], child_environment())


def until(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)
    return result


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_both_outputs_of_a_child_arrive_line_by_line() -> None:
    process = child("import sys; print('a'); print('ä', file=sys.stderr); sys.stdout.write('no newline')")
    until(lambda: process.exit_status is not None)
    assert sorted(process.lines()) == [("err", "ä"), ("out", "a"), ("out", "no newline")]
    assert process.exit_status == 0


def test_taking_lines_never_waits() -> None:
    process = child("import time; time.sleep(600)")
    # Whatever waits for the child, or for a line of it, waits for ten minutes.
    assert process.lines() == []
    assert process.exit_status is None
    process.kill()
    until(lambda: process.exit_status is not None)


@posix
def test_killing_ends_what_the_child_started_too() -> None:
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    process = child(code)
    grandchild = int(until(process.lines)[0][1])
    process.kill()
    until(lambda: not alive(grandchild))
    until(lambda: process.exit_status is not None)


def test_a_program_that_is_not_there_is_named() -> None:
    process = ChildProcess(["/no/such/program"], child_environment())
    assert until(lambda: process.exit_status) == 127
    assert process.lines() == [("err", "/no/such/program: No such file or directory")]


def test_a_child_that_is_ended_before_it_began_does_not_live_on() -> None:
    process = child("import time; time.sleep(600)")
    process.kill()
    assert until(lambda: process.exit_status) != 0


@posix
def test_a_grandchild_that_holds_the_pipes_does_not_keep_a_run_alive_for_ever() -> None:
    process = child("import subprocess; subprocess.Popen(['sleep', '600'])")
    until(lambda: process.exit_status is not None)


@pytest.mark.parametrize("line", ["", "text", "{}", "[1]", '{"event": 3}', '{"event": "later"}', '{"event": "step"'])
def test_lines_that_are_no_event_we_know_are_none(line: str) -> None:
    assert parse_event(line) is None


def test_an_event_keeps_fields_that_are_new_and_survives_wrong_ones() -> None:
    event = parse_event('{"event": "step", "case": null, "fraction": "half", "cases": 3, "new": 1}')
    assert event is not None
    assert (event.case, event.number("fraction"), event.texts("cases"), event.fields["new"]) == ("", 0.0, (), 1)


class FakeChild:
    """A child whose output and end are given."""

    def __init__(self) -> None:
        self.exit_status: int | None = None
        self.output: list[tuple[str, str]] = []
        self.interrupted = self.killed = 0

    def lines(self) -> list[tuple[str, str]]:
        output, self.output = self.output, []
        return output

    def interrupt(self) -> None:
        self.interrupted += 1

    def kill(self) -> None:
        self.killed += 1

    def wait(self, seconds: float) -> None:
        pass


class RecordingObserver:
    """Keeps what it is called with."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.log: list[str] = []
        self.outcome: JobOutcome | None = None

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_log(self, line: str) -> None:
        self.log.append(line)

    def on_end(self, outcome: JobOutcome) -> None:
        self.outcome = outcome


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def work() -> tuple[Worker, FakeChild, RecordingObserver, Clock]:
    process, observer, clock = FakeChild(), RecordingObserver(), Clock()

    def launch(command: Sequence[str], environment: Mapping[str, str]) -> FakeChild:
        assert list(command[1:3]) == ["-m", "OneShotSegLib"]
        return process

    worker = Worker(launch, clock)
    worker.start(["propagate"], observer)
    return worker, process, observer, clock


def test_events_and_other_lines_go_their_ways(work: Any) -> None:
    worker, process, observer, _clock = work
    process.output = [("out", '{"event": "started", "cases": ["a"]}'), ("out", "hello"), ("err", '{"event": "step"}')]
    worker.poll()
    assert [event.kind for event in observer.events] == ["started"]
    assert observer.log == ["hello", '{"event": "step"}']


@pytest.mark.parametrize(
    ("status", "errors", "sentence"),
    [
        (0, [], ""),
        (1, ["ImportError: no"], "stopped unexpectedly (exit status 1): ImportError: no"),
        (2, ["warning", "a.nii: expected a CT, found none."], "a.nii: expected a CT, found none."),
        (-9, ["Killed"], "stopped unexpectedly (exit status -9): Killed"),
        (3, [], "stopped unexpectedly (exit status 3): no error message"),
        (130, [], "Cancelled"),
    ],
)
def test_every_end_is_one_sentence(work: Any, status: int, errors: list[str], sentence: str) -> None:
    worker, process, observer, _clock = work
    process.output = [("err", line) for line in errors]
    process.exit_status = status
    worker.poll()
    assert observer.outcome is not None
    assert sentence in observer.outcome.message
    assert bool(observer.outcome.message) == bool(sentence)
    assert not worker.running


def test_after_failed_cases_the_message_is_that_the_others_are_there(work: Any) -> None:
    worker, process, observer, _clock = work
    process.output = [("out", '{"event": "finished", "done": 1, "failed": 1}')]
    process.exit_status = 1
    worker.poll()
    assert observer.outcome is not None
    assert observer.outcome.message.startswith("Some cases failed")


def test_a_child_that_does_not_stop_when_asked_is_killed(work: Any) -> None:
    worker, process, observer, clock = work
    worker.cancel()
    worker.cancel()
    worker.poll()
    assert (process.interrupted, process.killed) == (1, 0)
    clock.now = 10
    worker.poll()
    assert process.killed == 1
    process.exit_status = -9
    worker.poll()
    assert observer.outcome is not None
    assert observer.outcome.cancelled


@pytest.mark.parametrize(
    ("line", "logged"),
    [
        ('{"event": "of_a_later_version", "detail": 1}', []),
        ('{"event": "of_a_later_version", "text": "About 3 minutes."}', ["About 3 minutes."]),
        ('{"event": "step", "case": "a", "frac', []),
        ('{"other": "JSON"}', ['{"other": "JSON"}']),
    ],
)
def test_an_event_that_is_not_known_is_never_shown_as_json(work: Any, line: str, logged: list[str]) -> None:
    worker, process, observer, _clock = work
    process.output = [("out", line)]
    worker.poll()
    assert observer.events == []
    assert observer.log == logged


def test_one_run_at_a_time(work: Any) -> None:
    worker, _process, observer, _clock = work
    with pytest.raises(AlreadyRunningError):
        worker.start(["propagate"], observer)


def event(kind: str, **fields: Any) -> Event:
    return Event(kind, fields)


def test_time_left_is_estimated_from_the_cases_of_this_run_alone() -> None:
    clock = Clock()
    progress = RunProgress(clock=clock)
    progress.take(event("started", cases=["a", "b", "c", "d"]))
    progress.take(event("case_done", case="a", resumed=True))
    assert progress.seconds_left is None
    progress.take(event("case_started", case="b"))
    clock.now = 30
    progress.take(event("case_done", case="b"))
    assert progress.seconds_left == 60
    assert progress.describe() == "2 of 4 cases, about 1 min left"
    progress.take(event("case_failed", case="c", error="no"))
    assert progress.failed == {"c": "no"}
    assert progress.finished_cases == 3


def test_what_a_run_changed_is_said_for_better_and_for_worse() -> None:
    progress = RunProgress()
    progress.take(event("case_done", case="resumed", score=0.9, resumed=True))
    assert progress.describe_changes() == ""
    for case, before, after in (("a", 0.6, 0.7), ("b", 0.62, 0.66), ("c", 0.5, 0.4), ("d", 0.8, 0.801)):
        progress.take(event("case_done", case=case, score=after, score_before=before))
    expected = "Of 4 recomputed cases, 2 got better, 0.61 to 0.68; 1 got worse, 0.50 to 0.40; 1 stayed as good"
    assert progress.describe_changes() == f"{expected} (mean score)."


@pytest.mark.parametrize(("seconds", "text"), [(0, "1 s"), (59, "59 s"), (60, "1 min"), (7200, "2.0 h")])
def test_waiting_times_have_a_unit_that_fits(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_the_child_finds_the_library_wherever_it_lies() -> None:
    process = ChildProcess(
        [sys.executable, "-c", "import OneShotSegLib"], child_environment({"PATH": os.environ["PATH"]})
    )
    until(lambda: process.exit_status is not None)
    assert process.exit_status == 0, process.lines()


def test_devices_are_read_from_among_other_lines() -> None:
    text = 'warning\n{"devices": [{"name": "cuda:0", "label": "GPU", "free": 4294967296, "total": 8589934592, "x": 1}]}'
    automatic, gpu = parse_devices(text)
    assert automatic.name == "auto"
    assert gpu.describe() == "GPU (4.0 of 8.0 GB free)"
    assert parse_devices("nonsense") == FALLBACK


def understood(arguments: Sequence[str]) -> dict[str, Any]:
    """What the command line understands of arguments that the panel makes; refuses what it does not know."""
    import typer

    from OneShotSegLib.cli.app import app

    command = typer.main.get_command(app).commands[arguments[0]]  # type: ignore[attr-defined]
    params: dict[str, Any] = command.make_context(arguments[0], list(arguments[1:])).params
    return params


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weights": "/some/weights", "device": "cpu"},
        {"reviewed": "none", "series": ("1.2.3", "1.2.4"), "support_cases": True},
        {"background_label": 7, "method": "paper", "retry_failed": True, "workers": 2, "scheduler": "tcp://host:1"},
    ],
)
def test_the_command_line_accepts_a_propagation_of_the_panel(tmp_path: Path, options: dict[str, Any]) -> None:
    request = PropagationRequest(
        supports=[tmp_path / "a.nrrd", tmp_path / "b.nrrd"],
        scribbles=[tmp_path / "a.seg.nrrd", tmp_path / "b.seg.nrrd"],
        queries=[tmp_path / "c.nrrd", Path("-d.nrrd")],
        output=tmp_path / "study",
        **options,
    )
    params = understood(propagate(request))
    assert params["events"].value == "json"
    assert PropagationRequest(
        supports=params["support"],
        scribbles=params["scribbles"],
        queries=params["query"],
        **{name: params[name] for name in ("output", "weights", "device", "background_label")},
        **{name: params[name] for name in ("retry_failed", "workers", "scheduler", "reviewed", "support_cases")},
        method=params["method"].value,
        series=tuple(params["series"]),
    ) == replace(request, supports=list(request.supports))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hold_out": 1, "device": "cpu"},
        {"steps": 10, "fine_steps": 5, "base_channels": 16, "seed": 3, "learning_rate": 0.01, "patience": 0},
        {"start_from": "headneck", "check_every": 7},
    ],
)
def test_the_command_line_accepts_a_prnet_training_of_the_panel(tmp_path: Path, options: dict[str, Any]) -> None:
    volumes = [tmp_path / "a.nrrd", Path("-b.nrrd")]
    request = PRNetTrainingRequest(volumes=volumes, output=tmp_path / "weights", **options)
    params = understood(train_prnet(request))
    assert params["events"].value == "json"
    expected = asdict(request)
    assert {name: params["volume" if name == "volumes" else name] for name in expected} == expected


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"correction": CorrectionName.ensemble, "network": "dynunet", "base_channels": 16, "precision": "float32"},
        {"steps": 10, "batch_size": 3, "rounds": 2, "hold_out": 0.2, "learning_rate": 0.01, "seed": 5},
        {"spacing": (3.0, 1.5, 1.5), "patch_size": (16, 32, 32), "structures": ("Cord", "7"), "device": "cpu"},
    ],
)
def test_the_command_line_accepts_a_segmentation_training_of_the_panel(tmp_path: Path, options: dict[str, Any]) -> None:
    request = SegmentationTrainingRequest(study=tmp_path / "-study", output=tmp_path / "model", **options)
    params = understood(train_segmentation(request))
    assert params["events"].value == "json"
    read = {
        "patch_size": tuple(map(int, params.pop("patch").split(","))),
        "spacing": None if params["spacing"] == "auto" else tuple(map(float, params["spacing"].split(","))),
        "structures": tuple(params["structures"].split(",")) if params["structures"] else (),
    }
    expected = asdict(request)
    assert {name: read.get(name, params.get(name)) for name in expected} == expected


@pytest.mark.parametrize(
    "options",
    [{}, {"overlap": 0.25, "flips": True, "largest_component": "none", "fill_holes": "Cord", "series": ("1.2",)}],
)
def test_the_command_line_accepts_a_segmentation_of_the_panel(tmp_path: Path, options: dict[str, Any]) -> None:
    request = SegmentationRequest(
        model=tmp_path / "model", volumes=[tmp_path / "a.nrrd", Path("-b.nrrd")], output=tmp_path / "out", **options
    )
    params = understood(segment(request))
    assert params["events"].value == "json"
    expected = asdict(request)
    read = {"volumes": params["volume"], "series": tuple(params["series"])}
    assert {name: read.get(name, params.get(name)) for name in expected} == expected


@pytest.mark.parametrize("name", ["nnunet", "nifti", "dicom-seg", "rtstruct", "zip"])
def test_the_command_line_accepts_the_exports_of_the_panel(tmp_path: Path, name: str) -> None:
    import typer

    from OneShotSegLib.cli.app import app

    command = typer.main.get_command(app).commands["export"].commands[name]  # type: ignore[attr-defined]
    dataset = 7 if name == "nnunet" else None
    arguments = export(name, tmp_path / "study", tmp_path / "target", False, dataset)
    params = command.make_context(name, arguments[2:]).params
    assert tmp_path / "target" in params.values()
    assert params.get("accepted_only", False) is False
    assert params.get("dataset_id") == dataset
    assert understood(report(tmp_path / "study")) == {"study": tmp_path / "study"}


def test_the_command_line_accepts_a_suggestion_of_the_panel(tmp_path: Path) -> None:
    volumes = [tmp_path / "a.nrrd", Path("-b.nrrd")]
    params = understood(suggest_support(volumes))
    assert params["events"].value == "json"
    assert params["volume"] == volumes


def test_the_command_line_accepts_an_import_of_weights_of_the_panel(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("coarse", "fine", "output")}
    assert understood(import_weights(**files)) == files
