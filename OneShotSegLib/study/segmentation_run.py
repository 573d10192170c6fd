"""A segmentation network over a batch: a study folder as propagation makes one, so that it can be reviewed alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import sweep
from OneShotSegLib.imaging.files import find_volumes
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.device import choose_device, describe_device
from OneShotSegLib.segmenting import STEPS, Segmenter, SegmentOptions, segment_ct
from OneShotSegLib.study.case_run import do_case
from OneShotSegLib.study.case_state import check_is_there
from OneShotSegLib.study.description import StudyCase, StudyDescription, fingerprint_of, label_table, name_cases
from OneShotSegLib.study.events import Listener, silent
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.locking import exclusive
from OneShotSegLib.study.opening import check_output, open_study
from OneShotSegLib.study.quality import CaseQuality, write_quality
from OneShotSegLib.study.reading_ahead import read_ahead
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.run_log import run_log
from OneShotSegLib.study.runner import Outcome, close_run, do_cases
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
        InputError: If model, volumes or output cannot be used, or another run is at work on the study; then nothing
            was written.
        OSError: If the study folder cannot be written to.
    """
    paths = StudyPaths(request.output)
    check_output(paths)
    with exclusive(paths):
        check_output(paths)
        ReviewLedger.load(paths.review)  # rather a sentence now than after a night's work
        cases = name_cases(path for volume in request.volumes for path in find_volumes(volume))
        device = choose_device(request.device)
        segmenter = Segmenter.load(request.model, device)
        options = _options(request, segmenter.info.structures)
        description = open_study(paths, _describe(segmenter, options, device), cases)
        sweep(paths.root)
        with run_log(paths, listener) as tell:
            tell("started", cases=[case.case for case in description.cases], study=str(paths.root))
            crew = SegmentCrew(paths, segmenter, options)
            outcome = do_cases(paths, description.cases, crew, tell, retry_failed=False)
            close_run(paths, outcome, tell)
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


@dataclass(frozen=True, eq=False)
class SegmentCrew:
    """Does case after case in this process, reading the next one meanwhile."""

    paths: StudyPaths
    segmenter: Segmenter
    options: SegmentOptions

    def do(self, cases: Sequence[StudyCase], listener: Listener) -> list[StudyCase]:
        """Do cases in their order; those that failed come back."""
        return [case for case, ct in read_ahead(cases) if not self._one(case, ct.result, listener)]

    def _one(self, case: StudyCase, read: Callable[[], Volume], listener: Listener) -> bool:
        return do_case(self.paths, case.case, lambda files: self._segment(case, read(), files, listener), listener)

    def _segment(self, case: StudyCase, ct: Volume, files: CasePaths, listener: Listener) -> CaseQuality:
        steps = (*STEPS, "write")

        def on_step(step: str) -> None:
            listener("step", case=case.case, step=step, fraction=round(steps.index(step) / len(steps), 3))

        result = segment_ct(self.segmenter, ct, self.options, on_step, case.source)
        structures = self.segmenter.info.structures
        quality = judge_segmented(case.case, result, structures)
        on_step("write")
        check_is_there(self.paths)
        write_label_map(LabelMap(result.labels, structures), files.pseudo_mask)
        write_quality(quality, files.quality)
        return quality
