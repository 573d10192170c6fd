"""A segmentation network over a batch: a study folder as propagation makes one, so that it can be reviewed alike."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import find_volumes
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.device import choose_device, describe_device
from OneShotSegLib.segmenting import STEPS, Segmenter, SegmentOptions, segment_ct
from OneShotSegLib.study.description import StudyCase, StudyDescription, fingerprint_of, label_table, name_cases
from OneShotSegLib.study.events import Listener, silent
from OneShotSegLib.study.layout import CasePaths, StudyPaths, write_json
from OneShotSegLib.study.opening import check_output, open_study
from OneShotSegLib.study.quality import CaseQuality, read_quality, write_quality
from OneShotSegLib.study.reading_ahead import read_ahead
from OneShotSegLib.study.report import write_report
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.runner import Outcome
from OneShotSegLib.study.segmentation_scoring import judge_segmented

NO_BACKGROUND = 0
ALL, NONE = "all", "none"


@dataclass(frozen=True)
class SegmentRequest:
    """What `oneshotseg segment` is asked to do.

    Attributes:
        model: The network: a file, or the folder that ``train-seg`` wrote.
        volumes: CTs, or folders of them.
        output: The study folder.
        device: "auto", "cpu", "cuda" or "cuda:N".
        overlap: Share of a window that the next one covers again.
        flips: Average over flips along z and y.
        largest_component: "all", "none", or names or values of structures with commas.
        fill_holes: Likewise.
    """

    model: Path
    volumes: Sequence[Path]
    output: Path
    device: str = "auto"
    overlap: float = 0.5
    flips: bool = False
    largest_component: str = ALL
    fill_holes: str = NONE


def segment_batch(request: SegmentRequest, listener: Listener = silent) -> Outcome:
    """Segment every volume and keep the results in a study folder.

    Cases that are done already are left as they are; a failed case is tried again.

    Raises:
        InputError: If model, volumes or output cannot be used; then nothing was written.
    """
    paths = StudyPaths(request.output)
    check_output(paths)
    cases = name_cases(path for volume in request.volumes for path in find_volumes(volume))
    device = choose_device(request.device)
    segmenter = Segmenter.load(request.model, device)
    options = _options(request, segmenter.info.structures)
    description = open_study(paths, _describe(segmenter, options, device), cases)
    run = _Run(paths, segmenter, options, listener)
    outcome = run.all_cases(description.cases)
    ledger = ReviewLedger.load(paths.review)
    ledger.ensure_cases(read_quality(paths.case(name).quality) for name in outcome.done)
    ledger.save()
    report = str(write_report(paths.root))
    listener("finished", done=len(outcome.done), failed=len(outcome.failed), report=report)
    return outcome


def _options(request: SegmentRequest, structures: tuple[Segment, ...]) -> SegmentOptions:
    return SegmentOptions(
        request.overlap,
        request.flips,
        chosen_values(request.largest_component, structures),
        chosen_values(request.fill_holes, structures),
    )


def chosen_values(words: str, structures: Sequence[Segment]) -> tuple[int, ...]:
    """The values of the structures that are named: "all", "none", or names (any case) or values with commas.

    Raises:
        InputError: If there is no such structure.
    """
    if words.strip().casefold() in (ALL, NONE, ""):
        return tuple(s.value for s in structures) if words.strip().casefold() == ALL else ()
    known = {s.name.strip().casefold(): s.value for s in structures} | {str(s.value): s.value for s in structures}
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    for word in wanted:
        if word.casefold() not in known:
            names = ", ".join(f"{s.name} ({s.value})" for s in structures)
            raise InputError(f"Expected structures of {names}, or all or none; found {word!r}.")
    return tuple(sorted({known[word.casefold()] for word in wanted}))


def _describe(segmenter: Segmenter, options: SegmentOptions, device: torch.device) -> StudyDescription:
    info = segmenter.info
    return StudyDescription(
        supports=(),
        labels=label_table(info.structures),
        background_label=NO_BACKGROUND,
        settings={
            "name": "network",
            **{key: list(value) if isinstance(value, tuple) else value for key, value in asdict(options).items()},
        },
        weights={
            "name": segmenter.file.resolve().parent.name,
            "file": str(segmenter.file.resolve()),
            "fingerprint": fingerprint_of(segmenter.file.read_bytes()),
            "network": info.network,
            "steps": info.step,
            "device": describe_device(device),
        },
    )


class _Run:
    """One run over the cases."""

    def __init__(self, paths: StudyPaths, segmenter: Segmenter, options: SegmentOptions, listener: Listener) -> None:
        self.paths, self.segmenter, self.options, self.listener = paths, segmenter, options, listener

    def all_cases(self, cases: Sequence[StudyCase]) -> Outcome:
        """Do what is not done yet, reading the next case while this one computes."""
        self.listener("started", cases=[case.case for case in cases], study=str(self.paths.root))
        waiting = [case for case in cases if not self._done_before(case)]
        failed = [case.case for case, ct in read_ahead(waiting) if not self._one_case(case, ct)]
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
            return self._failed(files, str(error))
        except OSError as error:
            place = error.filename or files.folder
            return self._failed(files, f"{place}: {error.strerror or error}.", traceback.format_exc())
        except Exception as error:  # whatever it is, the other cases go on
            sentence = f"An unexpected error stopped this case ({type(error).__name__}: {error})."
            return self._failed(files, sentence, traceback.format_exc())
        files.failure.unlink(missing_ok=True)
        seconds = round(time.perf_counter() - started, 3)
        structures = {structure.name: structure.score for structure in quality.structures}
        self.listener("case_done", case=case.case, score=quality.score, seconds=seconds, structures=structures)
        return True

    def _segment(self, case: StudyCase, ct: Volume, files: CasePaths) -> CaseQuality:
        steps = (*STEPS, "write")

        def on_step(step: str) -> None:
            self.listener("step", case=case.case, step=step, fraction=round(steps.index(step) / len(steps), 3))

        result = segment_ct(self.segmenter, ct, self.options, on_step, case.source)
        structures = self.segmenter.info.structures
        quality = judge_segmented(case.case, result, structures)
        on_step("write")
        write_label_map(LabelMap(result.labels, structures), files.pseudo_mask)
        write_quality(quality, files.quality)
        return quality

    def _failed(self, files: CasePaths, sentence: str, details: str = "") -> bool:
        # The folder itself may be what failed (disk full, share gone): the event tells it all the same.
        with contextlib.suppress(OSError):
            write_json(files.failure, {"error": sentence, "details": details})
        self.listener("case_failed", case=files.name, error=sentence)
        return False
