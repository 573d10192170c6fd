"""Propagation over a batch: every case ends as a result on disk or as one sentence why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import sweep
from OneShotSegLib.imaging.files import find_volumes
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.selection import choose_weights
from OneShotSegLib.study.case_run import done_fields, run_case
from OneShotSegLib.study.case_state import SUDDEN_ENDS, check_is_there, end, give_up, result_of, sudden_ends
from OneShotSegLib.study.description import StudyCase, name_cases
from OneShotSegLib.study.engine import CPU, Engine
from OneShotSegLib.study.events import Listener, silent
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.locking import exclusive
from OneShotSegLib.study.notices import noticed_in_list
from OneShotSegLib.study.opening import (
    PropagationRequest,
    check_output,
    describe,
    open_study,
    read_supports,
    write_supports,
)
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.reading_ahead import read_ahead
from OneShotSegLib.study.report import write_report
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.run_log import run_log


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the cases that are done, before or now, and those that failed."""

    study: Path
    done: tuple[str, ...]
    failed: tuple[str, ...]


class Crew(Protocol):
    """Whoever does the cases."""

    def do(self, cases: Sequence[StudyCase], listener: Listener) -> list[StudyCase]:
        """Do cases, in this order as far as there is one; those that failed come back."""


@dataclass(frozen=True)
class OneProcess:
    """Does case after case in this process, reading the next one meanwhile."""

    paths: StudyPaths
    engine: Engine

    def do(self, cases: Sequence[StudyCase], listener: Listener) -> list[StudyCase]:
        """Do cases in their order; those that failed come back."""
        one = partial(run_case, self.engine, self.paths)
        return [case for case, ct in read_ahead(cases) if not one(case.case, ct.result, listener)]


def propagate_batch(request: PropagationRequest, listener: Listener = silent) -> Outcome:
    """Carry the support's scribbles to every query and keep the results in a study folder.

    Cases that are done already are left as they are; a case that failed in an earlier run is tried again.

    Raises:
        InputError: If supports, scribbles, weights, queries or output cannot be used, or another run is at work on the
            study; then nothing was written.
        OSError: If the study folder cannot be written to.
    """
    paths = StudyPaths(request.output)
    check_output(paths)
    with exclusive(paths):
        check_output(paths)
        ReviewLedger.load(paths.review)  # rather a sentence now than after a night's work
        cases = name_cases(path for query in request.queries for path in find_volumes(query))
        supports = read_supports(request)
        # Workers have GPUs of their own to fill: here it is only found out whether all fits together.
        device = CPU if request.is_shared_out else choose_device(request.device)
        with noticed_in_list() as warnings:
            weights = choose_weights(request.weights, supports[0].ct, device)
            engine = Engine(supports, weights, request.method, device)
        description = open_study(paths, describe(request, engine), cases)
        sweep(paths.root)
        write_supports(paths, request, supports)
        with run_log(paths, listener) as tell, _crew(request, paths, engine) as crew:
            tell("started", cases=[case.case for case in description.cases], study=str(paths.root))
            for text in warnings:
                tell("notice", text=text)
            outcome = do_cases(paths, description.cases, crew, tell, request.retry_failed)
            close_run(paths, outcome, tell)
        return outcome


@contextmanager
def _crew(request: PropagationRequest, paths: StudyPaths, engine: Engine) -> Iterator[Crew]:
    if not request.is_shared_out:
        yield OneProcess(paths, engine)
        return
    from OneShotSegLib.study.cluster import Cluster, job_of
    from OneShotSegLib.study.cluster_start import connected, started

    if request.scheduler is not None:
        cluster = connected(request.scheduler)
    else:
        cluster = started(request.workers or 1, request.device)
    with cluster as client:
        yield Cluster(paths, job_of(request, engine.weights), client)


def do_cases(
    paths: StudyPaths, cases: Sequence[StudyCase], crew: Crew, listener: Listener, retry_failed: bool
) -> Outcome:
    """Do what is not done yet."""
    waiting, given_up = _left_to_do(paths, cases, listener)
    failed = crew.do(waiting, listener)
    if retry_failed and failed:
        failed = crew.do(failed, listener)
    without = {case.case for case in (*failed, *given_up)}
    done = [case.case for case in cases if case.case not in without]
    return Outcome(paths.root, tuple(done), tuple(case.case for case in cases if case.case in without))


def _left_to_do(
    paths: StudyPaths, cases: Sequence[StudyCase], listener: Listener
) -> tuple[list[StudyCase], list[StudyCase]]:
    """The cases to do in this run, and those that ended earlier runs too often to be tried now."""
    fresh: list[StudyCase] = []
    interrupted: list[StudyCase] = []
    given_up: list[StudyCase] = []
    for case in cases:
        files = paths.case(case.case)
        quality = result_of(files)
        if quality is not None:
            end(files)
            listener("case_done", **done_fields(quality), resumed=True)
        elif sudden_ends(files) >= SUDDEN_ENDS:
            listener("case_failed", case=case.case, error=give_up(files))
            given_up.append(case)
        else:
            # What may have ended the last run comes last: the others are done by then, should it do so again.
            (interrupted if files.under_way.is_file() else fresh).append(case)
    return [*fresh, *interrupted], given_up


def close_run(paths: StudyPaths, outcome: Outcome, listener: Listener) -> None:
    """Bring review.csv and the report up to date.

    Raises:
        InputError: If the ledger is broken by now.
        OSError: If they cannot be written (a full disk); the cases are done all the same.
    """
    report = ""
    try:
        ledger = ReviewLedger.load(paths.review)
        ledger.ensure_cases(read_quality(paths.case(name).quality) for name in outcome.done)
        check_is_there(paths)
        ledger.save()
        report = str(write_report(paths.root))
    except (InputError, OSError):
        listener("notice", text="The review ledger or the report could not be written; the results are there.")
        raise
    finally:
        listener("finished", done=len(outcome.done), failed=len(outcome.failed), report=report)
