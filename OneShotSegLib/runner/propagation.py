"""Propagation over a batch: every case ends as a result on disk or as one sentence why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.imaging.atomic import remove_left_behind
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import CPU, Engine
from OneShotSegLib.inference.placement_cache import PlacementCache
from OneShotSegLib.method.structures import common_structures, structures_of
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.runner.batch import (
    BatchResult,
    Executor,
    SequentialExecutor,
    run_batch,
    study_reserved,
)
from OneShotSegLib.runner.case import Ended, Submit, run_case
from OneShotSegLib.runner.inputs import cts_of_supports, find_inputs
from OneShotSegLib.runner.known_cases import discard_results, known_cases
from OneShotSegLib.runner.methods import method_named
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.reviewed import choose_reviewed, keep_masks, reviewed_masks
from OneShotSegLib.runner.run_log import run_log
from OneShotSegLib.runner.support_advice import height_of, heights_from_headers, support_warnings
from OneShotSegLib.runner.supports import SharedState, describe, read_supports, write_supports
from OneShotSegLib.runner.warning_events import collected_warnings
from OneShotSegLib.runner.workers import workers_that_fit
from OneShotSegLib.study.case_ct import fingerprint_of_ct, record_of
from OneShotSegLib.study.description import StudyCase, StudyDescription
from OneShotSegLib.study.inputs import write_inputs
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.opening import open_study
from OneShotSegLib.study.replacement import finish_replacements


def propagate_batch(request: PropagationRequest, emit: Emit = ignore_events) -> BatchResult:
    """Propagate the supports' scribbles to every query and keep the results in a study folder.

    Cases that are done already are left as they are; a case that failed in an earlier run is tried again. If supports,
    strokes, settings or weights are other ones than the study's, or cases were reviewed since, the study becomes a new
    revision: cases that nobody decided on are then recomputed.

    Args:
        request: What to do.
        emit: Takes the events; see `OneShotSegLib.events`.

    Raises:
        InputError: If supports, scribbles, weights, queries or output cannot be used, or another run is at work on the
            study; then nothing was written.
        OSError: If the study folder cannot be written to.
    """
    method = method_named(request.method)
    with study_reserved(request.output) as paths:
        found = find_inputs(
            paths, request.queries, supports=request.supports, scribbles=request.scribbles, series=request.series
        )
        finish_replacements(paths)
        there = StudyDescription.read(paths) if paths.description.exists() else None
        own = cts_of_supports(request.supports, request.series) if request.support_cases else ()
        cts = (*own, *found.cts)
        known = known_cases(paths, cts)
        # Workers have GPUs of their own to fill: here it is only found out whether all fits together.
        device = CPU if request.is_distributed else choose_device(request.device)
        with collected_warnings() as warnings:
            supports = read_supports(request, there.table if there else ())
            if request.workers is not None and request.scheduler is None:
                request = replace(request, workers=workers_that_fit(request.workers, found.cts))
            weights = choose_weights(request.weights, supports[0].ct, device, method.registration.enabled)
            structures = common_structures([structures_of(one.scribbles) for one in supports]).foreground
            masks = choose_reviewed(paths, request.reviewed, structures, known)
            cache = PlacementCache(paths.placements)
            sources = reviewed_masks(paths, masks, structures)
            engine = Engine(supports, weights, method, device, sources, cache, request.network)
        heights = {path.name: height_of(one.ct) for path, one in zip(request.supports, engine.supports, strict=True)}
        warnings += support_warnings(heights, heights_from_headers(found.cts))
        wanted = describe(request, engine.supports, engine.weights, engine.models.device, there, masks)
        description = open_study(paths, wanted, cts, known.cases)
        discard_results(paths, known.redo)
        remove_left_behind(paths.root)
        write_supports(paths, description, engine.supports)
        keep_masks(paths, masks)
        write_inputs(paths, request.queries, found.left_out)
        shared = SharedState(description.revision, there.table if there else (), masks)
        with run_log(paths, emit) as emit_and_log, _executor(request, paths, engine, shared) as executor:
            return run_batch(
                paths,
                description,
                executor,
                emit_and_log,
                retry_failed=request.retry_failed,
                warnings=warnings,
                known=known,
                left_out=found.left_out,
                begun=there is not None and there.revision != description.revision,
                support_cts=set() if own else {fingerprint_of_ct(support.ct) for support in engine.supports},
            )


@contextmanager
def _executor(
    request: PropagationRequest, paths: StudyPaths, engine: Engine, shared: SharedState
) -> Iterator[Executor]:
    """What does the cases: this process, workers that are started here, or a cluster that is there."""
    if not request.is_distributed:

        def run(case: StudyCase, read: Callable[[], Volume], emit: Emit, submit: Submit) -> Ended:
            return run_case(engine, paths, case.case, read, emit, shared.revision, request.support_cases, submit)

        def prepare(ct: Volume) -> None:
            record_of(ct)
            engine.prepare(ct)

        yield SequentialExecutor(run, prepare)
        return
    from OneShotSegLib.runner.dask_cluster import connected, started
    from OneShotSegLib.runner.dask_executor import DaskExecutor, job_of

    if request.scheduler is not None:
        cluster = connected(request.scheduler)
    else:
        cluster = started(request.workers or 1, request.device)
    with cluster as client:
        yield DaskExecutor(paths, job_of(request, engine.weights, shared), client)
