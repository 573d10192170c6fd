"""One case, from its CT to its files; whatever happens, it ends as a result or as one sentence on its failure."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.runner.warning_events import warnings_emitted
from OneShotSegLib.study.case_ct import record_of
from OneShotSegLib.study.case_state import begin, check_is_there, check_no_link, end, record_failure, result_of
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.replacement import discard, place_result
from OneShotSegLib.study.results import is_decided
from OneShotSegLib.study.review import ledger_on_disk
from OneShotSegLib.study.revisions import FIRST
from OneShotSegLib.study.segmentation import Segmentation
from OneShotSegLib.timer import OnStep
from OneShotSegLib.troubles import file_sentence

WRITE = "write"
Found = TypeVar("Found")
Ended = bool | Future[bool]
"""Whether a case is done; a future of it where its files are written later."""
Submit = Callable[[Callable[[], bool]], Future[bool]]
"""Has what writes a case's files done later."""


def run_case(
    engine: Engine,
    paths: StudyPaths,
    case: str,
    read: Callable[[], Volume],
    emit: Emit,
    revision: int = FIRST,
    support_cases: bool = False,
    submit: Submit | None = None,
) -> Ended:
    """Do one case of a propagation.

    Args:
        engine: Supports and networks.
        paths: The study, whose folder must be there.
        case: The case's name.
        read: Gives the query.
        emit: Takes "case_started", "step", "warning", and "case_done" or "case_failed".
        revision: Number of the study's revision that it is computed from.
        support_cases: Whether a case whose CT is a support's gets the mask that the support's strokes grew into.
        submit: Has the files written later; None to write them now.

    Returns:
        Whether it is done; if not, its failed.json says why.
    """
    steps = engine.steps_per_query(case)

    def segment(ct: Volume, on_step: OnStep) -> Segmentation:
        own = engine.own_segmentation(case, ct)
        if own is not None and support_cases:
            return own
        if own is not None:
            raise InputError(f"{case}: expected another CT than the support, found the support under another name.")
        return engine.segment(case, ct, on_step)

    return segment_case(paths, case, read, segment, steps, emit, revision, submit)


def segment_case(
    paths: StudyPaths,
    case: str,
    read: Callable[[], Volume],
    segment: Callable[[Volume, OnStep], Segmentation],
    steps: int,
    emit: Emit,
    revision: int = FIRST,
    submit: Submit | None = None,
) -> Ended:
    """Read a CT, segment it and write the result, as one case of a study.

    A result that is there stays until the new one is whole, and for good if the case fails or was decided meanwhile.

    Args:
        paths: The study, whose folder must be there.
        case: The case's name.
        read: Gives the CT.
        segment: Makes the result; calls the function it is given with the name of each step as it begins.
        steps: How many steps that will be.
        emit: Takes the events.
        revision: Number of the study's revision that it is computed from.
        submit: Has the files written later; None to write them now.

    Returns:
        Whether it is done; if not, its failed.json says why.
    """

    def compute(files: CasePaths) -> Callable[[], CaseDone]:
        number = count()

        def on_step(step: str) -> None:
            emit("step", case=case, step=step, fraction=round(next(number) / (steps + 1), 3))

        before = result_of(files)
        if before is not None and _is_decided(paths, files):
            decided = CaseDone(before, decided=True)
            return lambda: decided
        ct = read()
        record = record_of(ct)
        result = segment(ct, on_step)
        on_step(WRITE)
        result = replace(result, quality=replace(result.quality, ct=record, revision=revision))
        return lambda: _write(paths, files, result, before)

    return do_case(paths, case, compute, emit, submit)


@dataclass(frozen=True)
class CaseDone:
    """How a case that is done ended.

    Attributes:
        quality: Of the result that it has now.
        before: Of the result that was replaced, if there was one.
        decided: Whether a reviewer decided on it during the run, so that its result stays.
    """

    quality: CaseQuality
    before: CaseQuality | None = None
    decided: bool = False

    @property
    def fields(self) -> dict[str, object]:
        """What a "case_done" event has besides the usual fields."""
        if self.decided:
            return {"resumed": True}
        return {"score_before": self.before.score} if self.before is not None else {}


def _is_decided(paths: StudyPaths, files: CasePaths) -> bool:
    ledger = ledger_on_disk(paths.review)
    return is_decided(files, ledger.state_of(files.name), ledger.structures_of(files.name))


def _write(paths: StudyPaths, files: CasePaths, result: Segmentation, before: CaseQuality | None) -> CaseDone:
    """Write a result, unless the one that is there was decided on meanwhile."""
    check_is_there(paths)
    if before is None:
        result.write(files)
    elif _is_decided(paths, files):
        return CaseDone(before, decided=True)
    else:
        _write_anew(paths, files, result)
    return CaseDone(result.quality, before)


def _write_anew(paths: StudyPaths, files: CasePaths, result: Segmentation) -> None:
    """Write a result in the place of another, which is kept."""
    fresh = paths.unfinished(files.name)
    check_no_link(paths, fresh.folder)
    discard(fresh)
    try:
        result.write(fresh)
    except (InputError, OSError):
        discard(fresh)
        raise
    place_result(paths, files.name)


def do_case(
    paths: StudyPaths,
    case: str,
    compute: Callable[[CasePaths], Callable[[], CaseDone]],
    emit: Emit,
    submit: Submit | None = None,
) -> Ended:
    """Do a piece of work as one case of a study; see `segment_case`.

    Args:
        paths: The study, whose folder must be there.
        case: The case's name.
        compute: Gives what writes the case's results, its quality last.
        emit: Takes the events.
        submit: Has them written later; None to write them now.

    Returns:
        Whether it is done; if not, its failed.json says why.
    """
    emit("case_started", case=case)
    run = _CaseRun(paths.case(case), emit)

    def begin_and_compute() -> Callable[[], CaseDone]:
        begin(paths, run.files)
        return compute(run.files)

    write = run.attempt(begin_and_compute)
    if write is None:
        return False
    if submit is None:
        return run.finish(write)
    try:
        return submit(lambda: run.finish(write))
    except BaseException:  # it was cancelled, or the case before was
        end(run.files)
        raise


@dataclass(frozen=True)
class _CaseRun:
    """A case that is being done: whatever one of its steps raises, it ends, and says so.

    Attributes:
        files: Its files.
        emit: Takes its events.
        started: When it began.
    """

    files: CasePaths
    emit: Emit
    started: float = field(default_factory=time.perf_counter)

    def attempt(self, step: Callable[[], Found]) -> Found | None:
        """Take a step; None if it failed, which is recorded and emitted then."""
        files = self.files
        try:
            with warnings_emitted(self.emit, case=files.name):
                return step()
        except InputError as error:
            _failed(files, self.emit, str(error))
        except OSError as error:
            _failed(files, self.emit, file_sentence(error, files.folder), traceback.format_exc())
        except Exception as error:  # whatever it is, the other cases go on
            sentence = f"An unexpected error stopped this case ({type(error).__name__}: {error})."
            _failed(files, self.emit, sentence, traceback.format_exc())
        except BaseException:  # it was cancelled
            end(files)
            raise
        return None

    def finish(self, write: Callable[[], CaseDone]) -> bool:
        """Write the results; returns whether the case is done."""
        done = self.attempt(write)
        if done is None:
            return False
        end(self.files)
        if done.decided:
            self.emit("warning", case=self.files.name, text="It was decided during the run: its result stays as it is.")
        seconds = {} if done.decided else {"seconds": round(time.perf_counter() - self.started, 3)}
        self.emit("case_done", **done_fields(done.quality), **seconds, **done.fields)
        return True


def done_fields(quality: CaseQuality) -> dict[str, object]:
    """The fields of a "case_done" event."""
    structures = {structure.name: structure.score for structure in quality.structures}
    return {"case": quality.case, "score": quality.score, "structures": structures}


def _failed(files: CasePaths, emit: Emit, sentence: str, details: str = "") -> None:
    stays = result_of(files)
    if stays is not None:
        sentence += f" Its result of revision {stays.revision} stays."
    record_failure(files, sentence, details)
    emit("case_failed", case=files.name, error=sentence)
