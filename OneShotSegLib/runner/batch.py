"""What every batch has in common: the folder that it reserves, the cases that are left to do, and how it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit
from OneShotSegLib.imaging.inputs import LeftOut
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.report.html import write_report
from OneShotSegLib.runner.case import Ended, Submit, done_fields
from OneShotSegLib.runner.inputs import emit_left_out
from OneShotSegLib.runner.known_cases import KnownCases
from OneShotSegLib.runner.prefetch import prefetch
from OneShotSegLib.runner.standing import CaseStanding, Standing, revision_text, standings
from OneShotSegLib.study.case_ct import record_of
from OneShotSegLib.study.case_state import SUDDEN_ENDS, check_is_there, end, give_up, sudden_ends
from OneShotSegLib.study.description import StudyCase, StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.locking import exclusive
from OneShotSegLib.study.opening import check_output
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.replacement import remove_empty
from OneShotSegLib.study.review import TRUSTED_STATES, ReviewLedger

RunCase = Callable[[StudyCase, Callable[[], Volume], Emit, Submit], Ended]
"""Does one case, given a function that reads its CT and one that has its files written later."""


WITHOUT_MEASURES = (
    "{case}: expected the measures of a case that was decided on (quality.json), found none that can be read: its mask "
    "stays as it is. Without its folder in the study it is computed anew."
)


@dataclass(frozen=True)
class BatchResult:
    """How a run ended.

    Attributes:
        study: The study folder.
        done: The cases that are done, before or now.
        failed: Those that failed.
    """

    study: Path
    done: tuple[str, ...]
    failed: tuple[str, ...]


class Executor(Protocol):
    """What does the cases."""

    def do(self, cases: Sequence[StudyCase], emit: Emit) -> list[StudyCase]:
        """Do cases, by their order where there is one; returns those that failed."""


@dataclass(frozen=True)
class SequentialExecutor:
    """Does case after case in this process; the next one's CT is read, and the last one's files are written, meanwhile.

    Attributes:
        run: Does one case.
        prepare: What is done with a CT as soon as it is read, in the thread that reads.
    """

    run: RunCase
    prepare: Callable[[Volume], object] = record_of

    def do(self, cases: Sequence[StudyCase], emit: Emit) -> list[StudyCase]:
        """Do cases in their order; returns those that failed."""
        emit = _one_at_a_time(emit)
        ended: list[tuple[StudyCase, Ended]] = []
        written: list[Future[bool]] = []
        # Leaving the block waits for what is being written, a cancelled run too: that takes less than a second.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="write") as writer:

            def submit(write: Callable[[], bool]) -> Future[bool]:
                for before in written[-1:]:
                    before.result()  # no more than one result waits, and what its events raised is raised
                written.append(writer.submit(write))
                return written[-1]

            for case, ct in prefetch(cases, self.prepare):
                ended.append((case, self.run(case, ct.result, emit, submit)))
            return [case for case, one in ended if not _is_done(one)]


def _is_done(ended: Ended) -> bool:
    """Whether a case is done, once its files are written."""
    return ended if isinstance(ended, bool) else ended.result()


def _one_at_a_time(emit: Emit) -> Emit:
    """The same receiver for several threads."""
    lock = threading.Lock()

    def locked(event: str, **fields: Any) -> None:
        with lock:
            emit(event, **fields)

    return locked


@contextmanager
def study_reserved(output: Path) -> Iterator[StudyPaths]:
    """While the block lasts, no other run can use this study folder; it is made if it is not there.

    Raises:
        InputError: If the folder holds something else or a broken review ledger, or another run is at work on it.
        OSError: If it cannot be made or written to.
    """
    paths = StudyPaths(output)
    check_output(paths)
    with exclusive(paths):
        check_output(paths)  # again: another run may have ended in between
        ReviewLedger.load(paths.review)  # rather an error now than after a night's work
        yield paths


def run_batch(
    paths: StudyPaths,
    description: StudyDescription,
    executor: Executor,
    emit: Emit,
    *,
    retry_failed: bool = False,
    warnings: Sequence[str] = (),
    known: KnownCases | None = None,
    left_out: Sequence[LeftOut] = (),
    begun: bool = False,
    support_cts: Collection[str] = (),
) -> BatchResult:
    """Do the cases that are not done yet, from the event "started" to "finished".

    Args:
        paths: The study, described and with its supports.
        description: What it is by now, with all its cases.
        executor: What does them.
        emit: Takes the events.
        retry_failed: Try each case that fails once more, after all the others.
        warnings: What is to be said of the run as a whole.
        known: What became of the cases that the study had before.
        left_out: What of the queries is not used.
        begun: Whether this run began the study's present revision, which had others before.
        support_cts: Fingerprints of the scribbled supports' CTs.

    Raises:
        InputError: If the review ledger is broken by now, or the study is gone.
        OSError: If ledger or report cannot be written; the cases are done all the same.
    """
    cases = description.cases
    emit("started", cases=[case.case for case in cases], study=str(paths.root))
    emit_left_out(left_out, emit)
    known = known or KnownCases()
    for text in (*warnings, *known.notes):
        emit("warning", text=text)
    found = standings(paths, description, support_cts)
    emit_revision(description, found, emit, begun)
    waiting, given_up = _left_to_do(paths, cases, found, known, emit)
    _open_again(paths, waiting, emit)
    failed = executor.do(waiting, emit)
    if retry_failed and failed:
        failed = executor.do(failed, emit)
    remove_empty(paths)
    without = {case.case for case in (*failed, *given_up)}
    done = [case.case for case in cases if case.case not in without]
    result = BatchResult(paths.root, tuple(done), tuple(case.case for case in cases if case.case in without))
    close_run(paths, result, emit)
    return result


def emit_revision(description: StudyDescription, found: Mapping[str, CaseStanding], emit: Emit, begun: bool) -> None:
    """Emit what the present revision changes, if it begins or if some cases are not of it yet."""
    recomputed = [name for name, one in found.items() if one.standing is Standing.RECOMPUTED]
    if begun or recomputed:
        decided = sum(one.standing is Standing.DECIDED for one in found.values())
        text = revision_text(description, found.values())
        emit("revision", number=description.revision, text=text, recomputed=recomputed, decided=decided)


def _left_to_do(
    paths: StudyPaths, cases: Sequence[StudyCase], found: Mapping[str, CaseStanding], known: KnownCases, emit: Emit
) -> tuple[list[StudyCase], list[StudyCase]]:
    """The cases to do in this run, and those that cannot be: of another CT, or ended too many runs."""
    fresh: list[StudyCase] = []
    again: list[tuple[float, StudyCase]] = []
    interrupted: list[StudyCase] = []
    given_up: list[StudyCase] = []
    for case in cases:
        files, standing, quality = paths.case(case.case), found[case.case].standing, found[case.case].quality
        if case.case in known.failed:
            emit("case_failed", case=case.case, error=known.failed[case.case])
            given_up.append(case)
        elif quality is None and standing.stays:
            emit("case_failed", case=case.case, error=WITHOUT_MEASURES.format(case=case.case))
            given_up.append(case)
        elif quality is not None and standing.stays:
            end(files)
            if standing is Standing.SUPPORT:
                emit("warning", case=case.case, text="Its CT is a support now: its result stays as it is.")
            emit("case_done", **done_fields(quality), resumed=True)
        elif sudden_ends(files) >= SUDDEN_ENDS:
            emit("case_failed", case=case.case, error=give_up(files))
            given_up.append(case)
        elif files.under_way.is_file():
            interrupted.append(case)
        elif quality is not None:
            again.append((quality.score, case))
        else:
            fresh.append(case)
    # The doubtful first of those that have a result. What may have ended the last run comes last: the others are done
    # by then, should it do so again.
    return [*fresh, *(case for _, case in sorted(again, key=lambda one: one[0])), *interrupted], given_up


def _open_again(paths: StudyPaths, waiting: Sequence[StudyCase], emit: Emit) -> None:
    """Take back the decisions on masks that are gone: what is computed in their place was seen by nobody."""
    ledger = ReviewLedger.load(paths.review)
    lost = [case.case for case in waiting if ledger.state_of(case.case) in TRUSTED_STATES]
    for case in lost:
        text = f"The mask that was {ledger.state_of(case)} is gone: it is computed anew and waits for a decision again."
        emit("warning", case=case, text=text)
        ledger.decide(case, "pending")
    if lost:
        ledger.save()


def close_run(paths: StudyPaths, result: BatchResult, emit: Emit) -> None:
    """Bring review.csv and the report up to date, and emit "finished".

    Raises:
        InputError: If the ledger is broken by now.
        OSError: If they cannot be written (a full disk); the cases are done all the same.
    """
    report = ""
    try:
        ledger = ReviewLedger.load(paths.review)
        ledger.ensure_cases(read_quality(paths.case(name).quality) for name in result.done)
        check_is_there(paths)
        ledger.save()
        report = str(write_report(paths.root))
    except (InputError, OSError):
        emit("warning", text="The review ledger or the report could not be written; the results are there.")
        raise
    finally:
        emit("finished", done=len(result.done), failed=len(result.failed), report=report)
