"""A segmentation network over a batch: a study like one of a propagation, so that it is reviewed in the same way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import torch

from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.atomic import remove_left_behind
from OneShotSegLib.imaging.label_matching import common_segments, translated
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.device import choose_device, describe_device
from OneShotSegLib.networks.inference import STEPS, Segmenter, SegmentOptions, segment_ct
from OneShotSegLib.runner.batch import BatchResult, SequentialExecutor, run_batch, study_reserved
from OneShotSegLib.runner.case import Ended, Submit, segment_case
from OneShotSegLib.runner.inputs import find_inputs
from OneShotSegLib.runner.known_cases import discard_results, known_cases
from OneShotSegLib.runner.request import ALL, NONE, SegmentationRequest
from OneShotSegLib.runner.run_log import run_log
from OneShotSegLib.scoring.network import check_region, score_prediction
from OneShotSegLib.study.description import NETWORK, StudyCase, StudyDescription, label_table
from OneShotSegLib.study.inputs import write_inputs
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.opening import open_study
from OneShotSegLib.study.replacement import finish_replacements
from OneShotSegLib.study.segmentation import Segmentation
from OneShotSegLib.study.structure_choice import chosen_structures
from OneShotSegLib.timer import OnStep

log = logging.getLogger(__name__)

NO_BACKGROUND = 0


def segment_batch(request: SegmentationRequest, emit: Emit = ignore_events) -> BatchResult:
    """Segment every volume and keep the results in a study folder.

    Cases that are done already are left as they are; a failed case is tried again.

    Args:
        request: What to do.
        emit: Takes the events; see `OneShotSegLib.events`.

    Raises:
        InputError: If model, volumes or output cannot be used, or another run is at work on the study; then nothing
            was written.
        OSError: If the study folder cannot be written to.
    """
    with study_reserved(request.output) as paths:
        found = find_inputs(paths, request.volumes, series=request.series)
        finish_replacements(paths)
        there = StudyDescription.read(paths) if paths.description.exists() else None
        known = known_cases(paths, found.cts)
        device = choose_device(request.device)
        segmenter = Segmenter.load(request.model, device)
        options = _options(request, segmenter.info.structures)
        structures = _study_structures(segmenter.info.structures, there)
        description = open_study(paths, _describe(segmenter, options, structures, device), found.cts, known.cases)
        discard_results(paths, known.redo)
        remove_left_behind(paths.root)
        write_inputs(paths, request.volumes, found.left_out)

        def run(case: StudyCase, read: Callable[[], Volume], emit: Emit, submit: Submit) -> Ended:
            checks, revision = request.check_region, description.revision
            return _run_case(segmenter, options, structures, checks, paths, case, read, emit, revision, submit)

        with run_log(paths, emit) as emit_and_log:
            return run_batch(
                paths,
                description,
                SequentialExecutor(run),
                emit_and_log,
                known=known,
                left_out=found.left_out,
                begun=there is not None and there.revision != description.revision,
            )


def _study_structures(own: Sequence[Segment], there: StudyDescription | None) -> tuple[Segment, ...]:
    """A network's structures with the values that the study has for their names, in the network's order.

    Raises:
        InputError: If a name is there twice.
    """
    if there is None:
        return tuple(own)
    table, (_, values) = common_segments(
        [(there.structures, frozenset()), (own, frozenset())], ["The study", "The network"]
    )
    names = {segment.value: segment.name for segment in table}
    return tuple(replace(s, value=values[s.value], name=names[values[s.value]]) for s in own)


def _run_case(
    segmenter: Segmenter,
    options: SegmentOptions,
    structures: tuple[Segment, ...],
    checks_region: bool,
    paths: StudyPaths,
    case: StudyCase,
    read: Callable[[], Volume],
    emit: Emit,
    revision: int,
    submit: Submit,
) -> Ended:
    own = segmenter.info.structures
    values = {segment.value: of_study.value for segment, of_study in zip(own, structures, strict=True)}

    def segment(ct: Volume, on_step: OnStep) -> Segmentation:
        prediction = segment_ct(segmenter, ct, options, on_step, case.source)
        warnings = check_region(prediction, segmenter.info) if checks_region else ()
        for text in warnings:
            log.warning("%s: %s", case.case, text)
        quality = score_prediction(case.case, prediction, own, warnings)
        measures = tuple(replace(one, value=values[one.value]) for one in quality.structures)
        labels = translated(LabelMap(prediction.labels, own), values, structures)
        return Segmentation(labels, replace(quality, structures=measures))

    return segment_case(paths, case.case, read, segment, len(STEPS), emit, revision, submit)


def _options(request: SegmentationRequest, structures: tuple[Segment, ...]) -> SegmentOptions:
    return SegmentOptions(
        overlap=request.overlap,
        flips=request.flips,
        largest_component=chosen_values(request.largest_component, structures),
        fill_holes=chosen_values(request.fill_holes, structures),
    )


def chosen_values(names: str, structures: Sequence[Segment]) -> tuple[int, ...]:
    """The values of the structures that an option names: "all", "none", or names or values with commas.

    Raises:
        InputError: If there is no such structure.
    """
    if names.strip().casefold() == ALL:
        return tuple(s.value for s in structures)
    if names.strip().casefold() == NONE:
        return ()
    chosen = chosen_structures(structures, names.split(","), ", or all or none")
    return tuple(sorted(s.value for s in chosen))


def _describe(
    segmenter: Segmenter, options: SegmentOptions, structures: Sequence[Segment], device: torch.device
) -> StudyDescription:
    info = segmenter.info
    return StudyDescription(
        supports=(),
        labels=label_table(structures),
        background_label=NO_BACKGROUND,
        settings={
            "name": NETWORK,
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
