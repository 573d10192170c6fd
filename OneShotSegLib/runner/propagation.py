"""Propagation over a batch: every case ends as a result on disk or as one sentence why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.imaging.atomic import sweep
from OneShotSegLib.imaging.files import find_volumes
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import CPU, Engine
from OneShotSegLib.method.settings import METHODS, Method
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.runner.batch import BatchResult, Executor, SequentialExecutor, close_run, do_cases
from OneShotSegLib.runner.case import run_case
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.run_log import run_log
from OneShotSegLib.runner.supports import describe, read_supports, write_supports
from OneShotSegLib.runner.warning_events import collected_warnings
from OneShotSegLib.study.description import StudyCase, name_cases
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.locking import exclusive
from OneShotSegLib.study.opening import check_output, open_study
from OneShotSegLib.study.review import ReviewLedger


def propagate_batch(request: PropagationRequest, emit: Emit = ignore_events) -> BatchResult:
    """Propagate the supports' scribbles to every query and keep the results in a study folder.

    Cases that are done already are left as they are; a case that failed in an earlier run is tried again.

    Args:
        request: What to do.
        emit: Told how it goes on; see `OneShotSegLib.events`.

    Raises:
        InputError: If supports, scribbles, weights, queries or output cannot be used, or another run is at work on the
            study; then nothing was written.
        OSError: If the study folder cannot be written to.
    """
    method = method_named(request.method)
    paths = StudyPaths(request.output)
    check_output(paths)
    with exclusive(paths):
        check_output(paths)
        ReviewLedger.load(paths.review)  # rather a sentence now than after a night's work
        cases = name_cases(path for query in request.queries for path in find_volumes(query))
        # Workers have GPUs of their own to fill: here it is only found out whether all fits together.
        device = CPU if request.is_distributed else choose_device(request.device)
        with collected_warnings() as warnings:
            supports = read_supports(request)
            weights = choose_weights(request.weights, supports[0].ct, device)
            engine = Engine(supports, weights, method, device)
        description = open_study(paths, describe(request, engine), cases)
        sweep(paths.root)
        write_supports(paths, request, supports)
        with run_log(paths, emit) as emit_and_log, _executor(request, paths, engine) as executor:
            names = [case.case for case in description.cases]
            emit_and_log("started", cases=names, study=str(paths.root))
            for text in warnings:
                emit_and_log("warning", text=text)
            result = do_cases(paths, description.cases, executor, emit_and_log, request.retry_failed)
            close_run(paths, result, emit_and_log)
        return result


def method_named(method: str | Method) -> Method:
    """The settings of this name; settings as they are.

    Raises:
        InputError: If there are none of that name.
    """
    if isinstance(method, Method):
        return method
    if method not in METHODS:
        raise InputError(f"Expected a method of {', '.join(METHODS)}, found {method!r}.")
    return METHODS[method]


@contextmanager
def _executor(request: PropagationRequest, paths: StudyPaths, engine: Engine) -> Iterator[Executor]:
    if not request.is_distributed:

        def run(case: StudyCase, read: Callable[[], Volume], emit: Emit) -> bool:
            return run_case(engine, paths, case.case, read, emit)

        yield SequentialExecutor(run)
        return
    from OneShotSegLib.runner.dask_cluster import connected, started
    from OneShotSegLib.runner.dask_executor import DaskExecutor, job_of

    if request.scheduler is not None:
        cluster = connected(request.scheduler)
    else:
        cluster = started(request.workers or 1, request.device)
    with cluster as client:
        yield DaskExecutor(paths, job_of(request, engine.weights), client)
