"""One case, from its CT to its files; whatever happens, it ends as a result or as one sentence on its failure."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

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


def run_case(
    engine: Engine,
    paths: StudyPaths,
    case: str,
    read: Callable[[], Volume],
    emit: Emit,
    revision: int = FIRST,
    support_cases: bool = False,
) -> bool:
    """Do one case of a propagation.

    Args:
        engine: Supports and networks.
        paths: The study, whose folder must be there.
        case: The case's name.
        read: Gives the query.
        emit: Takes "case_started", "step", "warning", and "case_done" or "case_failed".
        revision: Number of the study's revision that it is computed from.
        support_cases: Whether a case whose CT is a support's gets the mask that the support's strokes grew into.

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

    return segment_case(paths, case, read, segment, steps, emit, revision)


def segment_case(
    paths: StudyPaths,
    case: str,
    read: Callable[[], Volume],
    segment: Callable[[Volume, OnStep], Segmentation],
    steps: int,
    emit: Emit,
    revision: int = FIRST,
) -> bool:
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

    Returns:
        Whether it is done; if not, its failed.json says why.
    """

    def work(files: CasePaths) -> CaseDone:
        number = count()

        def on_step(step: str) -> None:
            emit("step", case=case, step=step, fraction=round(next(number) / (steps + 1), 3))

        before = result_of(files)
        if before is not None and _is_decided(paths, files):
            return CaseDone(before, decided=True)
        ct = read()
        record = record_of(ct)
        result = segment(ct, on_step)
        on_step(WRITE)
        check_is_there(paths)
        result = replace(result, quality=replace(result.quality, ct=record, revision=revision))
        if before is None:
            result.write(files)
        elif _is_decided(paths, files):
            return CaseDone(before, decided=True)
        else:
            _write_anew(paths, files, result)
        return CaseDone(result.quality, before)

    return do_case(paths, case, work, emit)


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


def do_case(paths: StudyPaths, case: str, work: Callable[[CasePaths], CaseDone], emit: Emit) -> bool:
    """Do a piece of work as one case of a study; see `segment_case`.

    Args:
        paths: The study, whose folder must be there.
        case: The case's name.
        work: Writes the case's results, its quality last.
        emit: Takes the events.

    Returns:
        Whether it is done; if not, its failed.json says why.
    """
    emit("case_started", case=case)
    files = paths.case(case)
    started = time.perf_counter()
    try:
        begin(paths, files)
        with warnings_emitted(emit, case=case):
            done = work(files)
    except InputError as error:
        return _failed(files, emit, str(error))
    except OSError as error:
        return _failed(files, emit, file_sentence(error, files.folder), traceback.format_exc())
    except Exception as error:  # whatever it is, the other cases go on
        sentence = f"An unexpected error stopped this case ({type(error).__name__}: {error})."
        return _failed(files, emit, sentence, traceback.format_exc())
    finally:
        end(files)
    if done.decided:
        emit("warning", case=case, text="It was decided during the run: its result stays as it is.")
    seconds = {} if done.decided else {"seconds": round(time.perf_counter() - started, 3)}
    emit("case_done", **done_fields(done.quality), **seconds, **done.fields)
    return True


def done_fields(quality: CaseQuality) -> dict[str, object]:
    """The fields of a "case_done" event."""
    structures = {structure.name: structure.score for structure in quality.structures}
    return {"case": quality.case, "score": quality.score, "structures": structures}


def _failed(files: CasePaths, emit: Emit, sentence: str, details: str = "") -> bool:
    stays = result_of(files)
    if stays is not None:
        sentence += f" Its result of revision {stays.revision} stays."
    record_failure(files, sentence, details)
    emit("case_failed", case=files.name, error=sentence)
    return False
