"""Cases on worker processes: the same files and events as in one process, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.runner import dask_cluster as cluster_start
from OneShotSegLib.runner.dask_cluster import connected, started
from OneShotSegLib.runner.dask_executor import _EventRelay, engine_for, job_of
from OneShotSegLib.runner.known_cases import known_cases
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.runner.reviewed import choose_reviewed
from OneShotSegLib.runner.supports import SharedState
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers import tiny_batch
from Testing.helpers.strokes import renamed
from Testing.helpers.tiny_batch import TinyBatch


class Events(list[tuple[str, dict[str, Any]]]):
    """Keeps the events that it is given."""

    def __call__(self, event: str, **fields: object) -> None:
        self.append((event, fields))

    def of(self, case: str) -> list[tuple[str, object]]:
        """A case's events, without the times."""
        mine = [(event, fields) for event, fields in self if fields.get("case") == case]
        return [(event, {k: v for k, v in fields.items() if k != "seconds"}) for event, fields in mine]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of two worker processes."""
    pytest.importorskip("distributed")
    with started(2, "cpu") as client:
        yield client


def masks(study: Path) -> dict[str, bytes]:
    return {str(path.relative_to(study)): path.read_bytes() for path in study.glob("cases/*/*.nrrd")}


def test_a_worker_killed_in_mid_run_costs_nothing_and_all_is_as_in_one_process(
    client: Any, tiny: TinyBatch, tmp_path: Path
) -> None:
    alone, shared = Events(), Events()
    propagate_batch(tiny.request(tmp_path / "alone"), alone)
    victims: list[int] = []

    def kill_the_first(event: str, **fields: object) -> None:
        shared(event, **fields)
        if event == "step" and not victims:
            started_by = {p.pid: p for p in psutil.Process().children(recursive=True)}
            busy = [pid for pid in client_pids if pid in started_by]
            victims.append(busy[0])
            os.kill(busy[0], signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    client_pids = list(client.run(os.getpid).values())
    request = tiny.request(tmp_path / "shared", scheduler=client.scheduler.address)
    outcome = propagate_batch(request, kill_the_first)
    assert victims
    assert outcome.failed == ()
    assert masks(tmp_path / "shared") == masks(tmp_path / "alone")
    assert Counter(event for event, _ in shared) == Counter(event for event, _ in alone)
    for case in outcome.done:
        assert shared.of(case) == alone.of(case)
    assert not list((tmp_path / "shared").rglob("running.json"))


@pytest.mark.usefixtures("brief_scores")
def test_a_new_revision_is_computed_on_workers_as_in_one_process(client: Any, tiny: TinyBatch, tmp_path: Path) -> None:
    strokes = renamed(tiny.files.scribbles, tmp_path / "renamed.seg.nrrd", {"Mandible": "Jaw"})
    for folder, scheduler in (("alone", None), ("shared", client.scheduler.address)):
        propagate_batch(tiny.request(tmp_path / folder))
        paths = StudyPaths(tmp_path / folder)
        ledger = ReviewLedger.load(paths.review)
        ledger.decide("phantom_01", "accepted")
        ledger.save()
        events = Events()
        outcome = propagate_batch(tiny.request(paths.root, scribbles=[strokes], scheduler=scheduler), events)
        assert outcome.failed == ()
        assert [fields["case"] for event, fields in events if fields.get("resumed")] == ["phantom_01"]
        assert {read_quality(paths.case(case).quality).revision for case in outcome.done[1:]} == {2}
        assert [one["case"] for one in StudyDescription.read(paths).present.masks] == ["phantom_01"]
    assert masks(tmp_path / "shared") == masks(tmp_path / "alone")


def test_a_worker_reads_the_masks_of_the_revision(tiny: TinyBatch, tmp_path: Path) -> None:
    from OneShotSegLib.networks.weights import load_weights

    propagate_batch(tiny.request(tmp_path / "study", queries=tiny.files.queries[:1]))
    paths = StudyPaths(tmp_path / "study")
    ledger = ReviewLedger.load(paths.review)
    ledger.decide("phantom_01", "accepted")
    ledger.save()
    structures = StudyDescription.read(paths).structures
    known = known_cases(paths, ())
    shared = SharedState(2, structures, choose_reviewed(paths, "reviewed", structures, known))
    engine = engine_for(job_of(tiny.request(paths.root), load_weights(tiny.weights), shared))
    (source,) = engine.masks
    assert source.name == "phantom_01"
    mask = source.read()
    assert mask.mask.volume.same_grid(mask.ct)


def test_a_case_that_fails_on_a_worker_fails_alone(client: Any, tiny: TinyBatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(tiny.files.queries[0].read_bytes()[:1000])
    events = Events()
    request = tiny.request(
        tmp_path / "study", queries=(broken, tiny.files.queries[1]), scheduler=client.scheduler.address
    )
    outcome = propagate_batch(request, events)
    assert outcome.failed == ("broken",)
    assert len(outcome.done) == 1
    failure = json.loads((tmp_path / "study" / "cases" / "broken" / "failed.json").read_text(encoding="utf-8"))
    assert "broken or truncated" in failure["error"]
    assert [event for event, _ in events.of("broken")] == ["case_started", "case_failed"]


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_cancelling_ends_the_workers_too(tiny: TinyBatch, tmp_path: Path) -> None:
    command = [sys.executable, tiny_batch.__file__, str(tiny.weights.parent), "3", "--output", str(tmp_path / "study")]
    with subprocess.Popen([*command, "--device", "cpu", "--workers", "1"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        next(line for line in child.stdout if b"step" in line)
        family = psutil.Process(child.pid).children(recursive=True)
        assert family
        asked = time.monotonic()
        child.terminate()
        child.wait()
        assert child.returncode == 130
        assert time.monotonic() - asked < 20  # two seconds, unless others need the machine
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive


def test_networks_and_support_are_loaded_once_a_process(tiny: TinyBatch, tmp_path: Path) -> None:
    from OneShotSegLib.networks.weights import load_weights

    job = job_of(tiny.request(tmp_path), load_weights(tiny.weights), SharedState())
    assert engine_for(job) is engine_for(job)


def test_other_weights_of_the_same_name_on_a_worker_are_refused(tiny: TinyBatch, tmp_path: Path) -> None:
    from dataclasses import replace

    from OneShotSegLib.networks.weights import load_weights

    job = job_of(tiny.request(tmp_path), load_weights(tiny.weights), SharedState())
    with pytest.raises(InputError, match="found others on this worker"):
        engine_for(replace(job, request=replace(job.request, weights="phantom")))


def test_events_are_emitted_once_and_in_order_whatever_way_they_come() -> None:
    received = Events()
    relay = _EventRelay(received)
    events = [("case_started", {"case": "a"}), ("step", {"case": "a"}), ("case_done", {"case": "a"})]

    def live(number: int) -> None:
        relay.live((0.0, {"case": "a", "number": number, "event": events[number][0], "fields": events[number][1]}))

    live(0)
    live(2)  # too early: it comes again with the result
    live(0)  # a second worker's, after the first one died
    relay.rest("a", events)
    live(1)
    assert [event for event, _ in received] == ["case_started", "step", "case_done"]


def test_an_address_where_nobody_answers_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster_start, "CONNECT_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(InputError, match="Dask scheduler"), connected(address):
            pass


def test_without_dask_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="pip install"), connected("tcp://127.0.0.1:1"):
        pass


def test_there_are_no_more_workers_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    options = [cluster_start._options(number, 2, "auto") for number in range(2)]
    assert [option["env"]["CUDA_VISIBLE_DEVICES"] for option in options] == ["5", "7"]
    assert all(option["resources"] == {"GPU": 1} for option in options)
    with pytest.raises(InputError, match="at most 2 workers"):
        cluster_start._options(0, 3, "cuda")
