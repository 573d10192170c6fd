"""The cases of a study on several processes or machines, by Dask; needs the extra ``cluster``.

The study, the support and the queries must lie where every worker can reach them under the same path.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.structures import common_structures, structures_of
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.weights import Weights, resolve_weights, shipped_folders
from OneShotSegLib.runner.case import done_fields, run_case
from OneShotSegLib.runner.heap import keep_freed_memory
from OneShotSegLib.runner.methods import method_named
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.reviewed import reviewed_masks
from OneShotSegLib.runner.supports import SharedState, fingerprint_of_weights, read_supports
from OneShotSegLib.runner.warning_events import warnings_emitted
from OneShotSegLib.study.case_ct import read_case_ct
from OneShotSegLib.study.case_state import record_failure, result_of
from OneShotSegLib.study.description import StudyCase
from OneShotSegLib.study.layout import StudyPaths

if TYPE_CHECKING:
    from distributed import Client, Future

GPU = "GPU"
"""What a worker with a GPU is started with as ``--resources GPU=1``; it then takes one case at a time."""
Event = tuple[str, dict[str, Any]]

_engines = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What a worker process needs to know of a run.

    Attributes:
        request: The run, with absolute paths and the weights that were chosen.
        weights_fingerprint: What the study says of the weights, so that no worker takes others of the same name.
        shared: What they need of the study.
    """

    request: PropagationRequest
    weights_fingerprint: str
    shared: SharedState


def job_of(request: PropagationRequest, weights: Weights, shared: SharedState) -> Job:
    """What workers need to know of a request whose weights are chosen."""
    # Not the queries: each case comes with its own path, and there may be thousands.
    resolved = replace(request.resolved(), queries=(), weights=_reference_to(weights.folder))
    return Job(resolved, fingerprint_of_weights(weights), shared)


def _reference_to(weights: Path) -> str:
    """The name of shipped weights, which may be elsewhere on another machine; the path of others."""
    shipped = shipped_folders()
    return weights.name if shipped.get(weights.name) == weights else str(weights.resolve())


@lru_cache(maxsize=1)
def _engine(job: Job) -> Engine:
    keep_freed_memory()
    weights = resolve_weights(job.request.weights)
    device = choose_device(job.request.device)
    supports = read_supports(job.request, job.shared.known)
    structures = common_structures([structures_of(one.scribbles) for one in supports]).foreground
    paths = StudyPaths(job.request.output)
    masks = reviewed_masks(paths, job.shared.masks, structures)
    cache = PlacementCache(paths.placements)
    engine = Engine(supports, weights, method_named(job.request.method), device, masks, cache, job.request.network)
    if fingerprint_of_weights(engine.weights) != job.weights_fingerprint:
        raise InputError(f"{weights}: expected the weights of the study, found others on this worker.")
    return engine


def engine_for(job: Job) -> Engine:
    """Networks and support, loaded once a process."""
    with _engines:
        return _engine(job)


class _CancelledError(BaseException):
    """The task was cancelled: nobody waits for this case any more."""


def run_on_worker(job: Job, case: StudyCase, topic: str) -> list[Event]:
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
    paths = StudyPaths(job.request.output)
    events: list[Event] = []

    def emit(event: str, **fields: Any) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise _CancelledError
        worker.log_event(topic, {"case": case.case, "number": len(events), "event": event, "fields": fields})
        events.append((event, fields))

    quality = result_of(paths.case(case.case))
    if quality is not None and quality.revision == job.shared.revision:
        # Its worker died after it had written the last file and before its events arrived.
        emit("case_started", case=case.case)
        emit("case_done", **done_fields(quality), seconds=round(sum(quality.seconds.values()), 3))
        return events
    with warnings_emitted(emit, case=case.case):
        engine = engine_for(job)

    def read() -> Volume:
        return read_case_ct(case.source, case.series)

    run_case(engine, paths, case.case, read, emit, job.shared.revision, job.request.support_cases)
    return events


def _own_key() -> Any:
    from distributed.worker import thread_state

    return thread_state.key


@dataclass(frozen=True)
class DaskExecutor:
    """Does cases on the workers of a Dask cluster; a case whose worker dies is done by another.

    Attributes:
        paths: The study.
        job: What workers need to know of it.
        client: The cluster.
    """

    paths: StudyPaths
    job: Job
    client: Client

    def do(self, cases: Sequence[StudyCase], emit: Emit) -> list[StudyCase]:
        """Do cases, by their order as far as workers are free; returns those that failed."""
        from distributed import as_completed

        topic = f"oneshotseg-{uuid.uuid4().hex}"
        relay = _EventRelay(emit)
        self.client.subscribe_topic(topic, relay.live)
        # Asked once: the answer is as long as the list of workers, and would be sent again for each case.
        resources = self._resources()
        futures = {self._submit(case, topic, -number, resources): case for number, case in enumerate(cases)}
        failed = []
        try:
            for future in as_completed(list(futures), loop=self.client.loop):
                case = futures[future]
                if not self._take(case, future, relay, emit):
                    failed.append(case)
                future.release()
        finally:
            # On a cancelled run: what is being done ends with its present step.
            self.client.cancel(list(futures), force=True)
            self.client.unsubscribe_topic(topic)
        return failed

    def _resources(self) -> dict[str, int] | None:
        """What a case asks of its worker: a GPU, where there are workers that have one."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return {GPU: 1} if any(GPU in worker["resources"] for worker in workers) else None

    def _submit(
        self, case: StudyCase, topic: str, priority: int, resources: dict[str, int] | None
    ) -> Future[list[Event]]:
        key = f"{topic}-{-priority}"
        return self.client.submit(run_on_worker, self.job, case, topic, key=key, priority=priority, resources=resources)

    def _take(self, case: StudyCase, future: Future[list[Event]], relay: _EventRelay, emit: Emit) -> bool:
        from distributed import KilledWorker

        try:
            events = future.result()
        except InputError as error:
            sentence = str(error)
        except KilledWorker:
            sentence = "Every worker that worked on this case died of it (out of memory?)."
        except Exception as error:  # whatever a worker raises, the other cases go on
            sentence = f"The worker could not do this case ({type(error).__name__}: {error})."
        else:
            relay.rest(case.case, events)
            return events[-1][0] == "case_done"
        record_failure(self.paths.case(case.case), sentence)
        emit("case_failed", case=case.case, error=sentence)
        return False


class _EventRelay:
    """Emits each event once and in its case's order, whether it arrives as it happens or with the result."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def live(self, message: tuple[float, dict[str, Any]]) -> None:
        """Take an event as it happens; one that arrives out of order is left for the result."""
        content = message[1]
        with self._lock:
            if self._counts.get(content["case"], 0) == content["number"]:
                self._forward(content["case"], content["event"], content["fields"])

    def rest(self, case: str, events: Sequence[Event]) -> None:
        """Take all events of a case with its result, and emit those that did not arrive before."""
        with self._lock:
            for event, fields in events[self._counts.get(case, 0) :]:
                self._forward(case, event, fields)

    def _forward(self, case: str, event: str, fields: dict[str, Any]) -> None:
        self._counts[case] = self._counts.get(case, 0) + 1
        self._emit(event, **fields)
