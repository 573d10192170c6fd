"""The cases of a study on several processes or machines, by Dask; needs the extra ``cluster``.

The study, the support and the queries must lie where every worker can reach them under the same path.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.weights import Weights, resolve_weights, shipped_folders
from OneShotSegLib.pipeline import Method
from OneShotSegLib.study.case_run import done_fields, run_case
from OneShotSegLib.study.case_state import record_failure, result_of
from OneShotSegLib.study.description import StudyCase
from OneShotSegLib.study.engine import Engine
from OneShotSegLib.study.events import Listener
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.notices import noticed
from OneShotSegLib.study.opening import PropagationRequest, fingerprint_of_weights, scribbled_cts

if TYPE_CHECKING:
    from distributed import Client, Future

GPU = "GPU"
"""What a worker with a GPU is started with as ``--resources GPU=1``; it then takes one case at a time."""
Event = tuple[str, dict[str, Any]]

_engines = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What a worker process needs to know of a study.

    Attributes:
        study: The study folder.
        supports: The scribbled CTs.
        scribbles: The scribbles of each.
        background_label: Value of the background stroke, if no segment is named so.
        weights: Shipped name, or the folder.
        weights_fingerprint: What the study says of the weights, so that no worker takes others of the same name.
        method: Settings of the steps.
        device: "auto", "cpu", "cuda" or "cuda:N".
    """

    study: str
    supports: tuple[str, ...]
    scribbles: tuple[str, ...]
    background_label: int | None
    weights: str
    weights_fingerprint: str
    method: Method
    device: str


def job_of(request: PropagationRequest, weights: Weights) -> Job:
    """What workers need to know of a request whose weights are chosen."""
    return Job(
        study=str(request.output.resolve()),
        supports=tuple(str(path.resolve()) for path in request.supports),
        scribbles=tuple(str(path.resolve()) for path in request.scribbles),
        background_label=request.background_label,
        weights=_reference_to(weights.folder),
        weights_fingerprint=fingerprint_of_weights(weights),
        method=request.method,
        device=request.device,
    )


def _reference_to(weights: Path) -> str:
    """The name of shipped weights, which may lie elsewhere on another machine; the path of others."""
    shipped = shipped_folders()
    return weights.name if shipped.get(weights.name) == weights else str(weights.resolve())


@lru_cache(maxsize=1)
def _engine(job: Job) -> Engine:
    cts, maps = [[Path(path) for path in paths] for paths in (job.supports, job.scribbles)]
    weights = resolve_weights(job.weights)
    engine = Engine(scribbled_cts(cts, maps, job.background_label), weights, job.method, choose_device(job.device))
    if fingerprint_of_weights(engine.weights) != job.weights_fingerprint:
        raise InputError(f"{weights}: expected the weights of the study, found others on this worker.")
    return engine


def engine_for(job: Job) -> Engine:
    """Networks and support, loaded once a process."""
    with _engines:
        return _engine(job)


class _Unwanted(BaseException):
    """Nobody waits for this case any more."""


def do_case(job: Job, case: StudyCase, topic: str) -> list[Event]:
    """Do one case on a worker.

    Args:
        job: The study.
        case: The case.
        topic: Where its events go as they happen.

    Returns:
        All its events, for what may not have arrived.
    """
    from distributed import get_worker

    worker, key = get_worker(), _own_key()
    paths = StudyPaths(Path(job.study))
    events: list[Event] = []

    def tell(event: str, **fields: Any) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise _Unwanted
        worker.log_event(topic, {"case": case.case, "number": len(events), "event": event, "fields": fields})
        events.append((event, fields))

    quality = result_of(paths.case(case.case))
    if quality is not None:
        # Its worker died after the last file was there and before anyone was told.
        tell("case_started", case=case.case)
        tell("case_done", **done_fields(quality), seconds=round(sum(quality.seconds.values()), 3))
        return events
    with noticed(tell, case=case.case):
        engine = engine_for(job)
    run_case(engine, paths, case.case, lambda: read_volume(Path(case.source)), tell)
    return events


def _own_key() -> Any:
    from distributed.worker import thread_state

    return thread_state.key


@dataclass(frozen=True)
class Cluster:
    """Does cases on the workers of a Dask cluster; a worker that dies has its case done by another."""

    paths: StudyPaths
    job: Job
    client: Client

    def do(self, cases: Sequence[StudyCase], listener: Listener) -> list[StudyCase]:
        """Do cases, the first ones first; those that failed come back."""
        from distributed import as_completed

        topic = f"oneshotseg-{uuid.uuid4().hex}"
        told = _Told(listener)
        self.client.subscribe_topic(topic, told.live)
        futures = {self._submit(case, topic, -number): case for number, case in enumerate(cases)}
        failed = []
        try:
            for future in as_completed(list(futures), loop=self.client.loop):
                case = futures[future]
                if not self._take(case, future, told, listener):
                    failed.append(case)
                future.release()
        finally:
            # Whoever cancels: what runs ends with its present step.
            self.client.cancel(list(futures), force=True)
            self.client.unsubscribe_topic(topic)
        return failed

    def _submit(self, case: StudyCase, topic: str, priority: int) -> Future:
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        resources = {GPU: 1} if any(GPU in worker["resources"] for worker in workers) else None
        key = f"{topic}-{-priority}"
        return self.client.submit(do_case, self.job, case, topic, key=key, priority=priority, resources=resources)

    def _take(self, case: StudyCase, future: Future, told: _Told, listener: Listener) -> bool:
        from distributed import KilledWorker

        try:
            events = future.result()
        except InputError as error:
            sentence = str(error)
        except KilledWorker:
            sentence = "Every worker that worked on this case died of it (out of memory?)."
        except Exception as error:  # whatever a worker may say, the other cases go on
            sentence = f"The worker could not do this case ({type(error).__name__}: {error})."
        else:
            told.rest(case.case, events)
            return events[-1][0] == "case_done"
        record_failure(self.paths.case(case.case), sentence)
        listener("case_failed", case=case.case, error=sentence)
        return False


class _Told:
    """Hands each event on once and in its case's order, whether it comes as it happens or with the result."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def live(self, message: tuple[float, dict[str, Any]]) -> None:
        """Take an event that a worker tells; what comes out of order comes again with the result."""
        content = message[1]
        with self._lock:
            if self._counts.get(content["case"], 0) == content["number"]:
                self._hand_on(content["case"], content["event"], content["fields"])

    def rest(self, case: str, events: Sequence[Event]) -> None:
        """Take the result."""
        with self._lock:
            for event, fields in events[self._counts.get(case, 0) :]:
                self._hand_on(case, event, fields)

    def _hand_on(self, case: str, event: str, fields: dict[str, Any]) -> None:
        self._counts[case] = self._counts.get(case, 0) + 1
        self._listener(event, **fields)
