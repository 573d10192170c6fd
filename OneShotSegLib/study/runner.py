"""Propagation over a batch: every case ends as a result on disk or as one sentence why not."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import find_volumes, read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.resampling import paint_points
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.selection import choose_weights
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.pipeline import STEPS, Method, QueryResult, Support, prepare_support, segment_query
from OneShotSegLib.study.description import StudyCase, name_cases
from OneShotSegLib.study.events import Listener, silent
from OneShotSegLib.study.layout import CasePaths, StudyPaths, write_json
from OneShotSegLib.study.opening import PropagationRequest, check_output, describe, open_study, write_support
from OneShotSegLib.study.quality import CaseQuality, read_quality, write_quality
from OneShotSegLib.study.report import write_report
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.scoring import judge


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the cases that are done, before or now, and those that failed."""

    study: Path
    done: tuple[str, ...]
    failed: tuple[str, ...]


def propagate_batch(request: PropagationRequest, listener: Listener = silent) -> Outcome:
    """Carry the support's scribbles to every query and keep the results in a study folder.

    Cases that are done already are left as they are; a failed case is tried again.

    Raises:
        InputError: If support, scribbles, weights, queries or output cannot be used; then nothing was written.
    """
    paths = StudyPaths(request.output)
    check_output(paths)
    cases = name_cases(path for query in request.queries for path in find_volumes(query))
    ct = read_volume(request.support)
    scribbles = read_label_map(request.scribbles).with_background(request.background_label)
    device = choose_device(request.device)
    weights = load_weights(choose_weights(request.weights, ct, device), device)
    support = prepare_support(ct, scribbles, weights, request.method, device)
    description = describe(request, ct, scribbles, support, weights, device)
    description = open_study(paths, description, cases)
    write_support(paths, request.support, scribbles)
    run = _Run(paths, support, weights, request.method, device, listener)
    outcome = run.all_cases(description.cases)
    _close(paths, outcome)
    listener("finished", done=len(outcome.done), failed=len(outcome.failed), report=str(paths.report))
    return outcome


class _Run:
    """One run over the cases of a study."""

    def __init__(
        self,
        paths: StudyPaths,
        support: Support,
        weights: Weights,
        method: Method,
        device: torch.device,
        listener: Listener,
    ) -> None:
        self.paths, self.support, self.weights = paths, support, weights
        self.method, self.device, self.listener = method, device, listener

    def all_cases(self, cases: Sequence[StudyCase]) -> Outcome:
        """Do what is not done yet, reading the next case while this one computes."""
        self.listener("started", cases=[case.case for case in cases], study=str(self.paths.root))
        waiting = [case for case in cases if not self._done_before(case)]
        failed = [case.case for case, ct in _read_ahead(waiting) if not self._one_case(case, ct)]
        done = [case.case for case in cases if case.case not in failed]
        return Outcome(self.paths.root, tuple(done), tuple(failed))

    def _done_before(self, case: StudyCase) -> bool:
        files = self.paths.case(case.case)
        if not files.is_done:
            return False
        self.listener("case_done", case=case.case, score=read_quality(files.quality).score, resumed=True)
        return True

    def _one_case(self, case: StudyCase, ct: Future[Volume]) -> bool:
        self.listener("case_started", case=case.case)
        files = self.paths.case(case.case)
        started = time.perf_counter()
        try:
            quality = self._segment(case, ct.result(), files)
        except InputError as error:
            return self._failed(case, files, str(error))
        except (OSError, RuntimeError, MemoryError, ValueError, ArithmeticError, LookupError) as error:
            sentence = f"An unexpected error stopped this case ({type(error).__name__}: {error})."
            return self._failed(case, files, sentence, traceback.format_exc())
        files.failure.unlink(missing_ok=True)
        self.listener(
            "case_done",
            case=case.case,
            score=quality.score,
            seconds=round(time.perf_counter() - started, 3),
            structures={structure.name: structure.score for structure in quality.structures},
        )
        return True

    def _segment(self, case: StudyCase, ct: Volume, files: CasePaths) -> CaseQuality:
        steps = (*STEPS, "write")

        def on_step(step: str) -> None:
            self.listener("step", case=case.case, step=step, fraction=round(steps.index(step) / len(steps), 3))

        result = segment_query(self.support, ct, self.weights, self.method, self.device, on_step)
        quality = judge(case.case, self.support, result, self.weights)
        on_step("write")
        self._write(result, quality, ct, files)
        return quality

    def _write(self, result: QueryResult, quality: CaseQuality, ct: Volume, files: CasePaths) -> None:
        structures = self.support.structures
        absent = [structure.value for structure in quality.structures if structure.state == "absent"]
        write_label_map(LabelMap(result.pseudo_mask(absent), structures.foreground), files.pseudo_mask)
        kept = result.kept_scribbles
        painted = ct.with_array(paint_points(ct, kept.positions, kept.labels))
        write_label_map(LabelMap(painted, (*structures.foreground, structures.background)), files.scribbles)
        write_quality(quality, files.quality)

    def _failed(self, case: StudyCase, files: CasePaths, sentence: str, details: str = "") -> bool:
        # The folder itself may be what failed (disk full, share gone): the event tells it all the same.
        with contextlib.suppress(OSError):
            write_json(files.failure, {"error": sentence, "details": details})
        self.listener("case_failed", case=case.case, error=sentence)
        return False


def _read_ahead(cases: Iterable[StudyCase]) -> Iterator[tuple[StudyCase, Future[Volume]]]:
    """Each case with its CT, the next one being read meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        previous: tuple[StudyCase, Future[Volume]] | None = None
        for case in cases:
            current = (case, reader.submit(read_volume, Path(case.source)))
            if previous is not None:
                yield previous
            previous = current
        if previous is not None:
            yield previous


def _close(paths: StudyPaths, outcome: Outcome) -> None:
    """Bring review.csv and the report up to date."""
    ledger = ReviewLedger.load(paths.review)
    ledger.ensure_cases(read_quality(paths.case(name).quality) for name in outcome.done)
    ledger.save()
    write_report(paths.root)
