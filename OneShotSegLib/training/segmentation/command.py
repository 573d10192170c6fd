"""`oneshotseg train-seg`: a segmentation network from a reviewed study."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.labelmaps import Segment, name_key
from OneShotSegLib.networks.device import describe_device, is_fast_in_bfloat16
from OneShotSegLib.networks.inference import Segmenter
from OneShotSegLib.networks.segmentation_checkpoint import MODEL_FILE, NETWORKS, SegmentationInfo, load_segmentation
from OneShotSegLib.study.layout import write_json
from OneShotSegLib.study.structure_choice import chosen_structures
from OneShotSegLib.timer import in_words
from OneShotSegLib.training.drawing import has_matplotlib
from OneShotSegLib.training.parallel import Ranks, join_ranks
from OneShotSegLib.training.segmentation.cases import (
    CaseSource,
    TrainingCase,
    anatomy_of,
    choose_spacing,
    load_cases,
    study_sources,
)
from OneShotSegLib.training.segmentation.curves import draw_curves
from OneShotSegLib.training.segmentation.loss import segmentation_loss
from OneShotSegLib.training.segmentation.request import SegmentationTrainingRequest
from OneShotSegLib.training.segmentation.sampling import TrainingBatch
from OneShotSegLib.training.segmentation.trainer import SegmentationProgress, SegmentationSettings, SegmentationTrainer

CURVES_FILE = "training.png"
HISTORY_FILE = "training.json"
STAGE = "segmentation"
MOST_HELD_OUT = 6


def train_segmentation(request: SegmentationTrainingRequest, emit: Emit = ignore_events) -> Path:
    """Train a segmentation network on the cases of a study that were not rejected, going on where a run was cut off.

    Returns:
        The model's file.

    Raises:
        InputError: If study, output or settings cannot be used.
    """
    _check_output(request.output)
    with join_ranks(request.device) as (ranks, device):
        return _train(request, ranks, device, emit if ranks.leads else ignore_events)


def _train(request: SegmentationTrainingRequest, ranks: Ranks, device: torch.device, emit: Emit) -> Path:
    file = request.output / MODEL_FILE
    fields: dict[str, Any]
    emit("started", cases=[STAGE], study=str(request.study))
    emit("case_started", case=STAGE)
    if file.exists():
        described, fields = load_segmentation(file)[1], {"resumed": True}
    else:
        trainer = _trainer(request, file, device, ranks, emit)
        started = time.perf_counter()
        described = trainer.run(lambda progress: _emit_step(progress, emit))
        if ranks.leads:
            write_json(request.output / HISTORY_FILE, trainer.state.history)
            if has_matplotlib():
                draw_curves(trainer.state.history, request.output / CURVES_FILE)
        fields = {"seconds": round(time.perf_counter() - started, 3), **described.metrics}
    emit("case_done", case=STAGE, score=_score(described), **fields)
    emit("finished", done=1, failed=0, model=str(file))
    return file


def _check_output(folder: Path) -> None:
    if folder.is_file():
        raise InputError(f"{folder}: expected a folder for the model, found a file.")
    ours = {MODEL_FILE, CURVES_FILE, HISTORY_FILE, f"{MODEL_FILE}.training"}
    if folder.is_dir() and any(entry.name not in ours and entry.name[0] != "." for entry in folder.iterdir()):
        raise InputError(f"{folder}: expected an empty folder or a training of ours, found a folder with other files.")


def _trainer(
    request: SegmentationTrainingRequest, file: Path, device: torch.device, ranks: Ranks, emit: Emit
) -> SegmentationTrainer:
    sources, structures = study_sources(request.study)
    chosen = chosen_structures(structures, request.structures) if request.structures else structures
    first = None if request.start_from is None else Segmenter.load(request.start_from, device)
    info = _info(request, sources, chosen) if first is None else info_like(first, request, sources, structures)
    emit("step", case=STAGE, step=f"reading {len(sources)} cases", fraction=0.0)
    cases = load_cases(sources, info, device)
    names = [case.name for case in cases]
    sources = [source for source in sources if source.name in names]
    info = replace(info, training={**info.training, "trained_on": names}, anatomy=anatomy_of(cases, info))
    learnt, held_out = (
        [cases[names.index(one.name)] for one in part] for part in split(sources, request.hold_out, request.seed)
    )
    settings = SegmentationSettings(
        steps=request.steps,
        batch_size=request.batch_size,
        learning_rate=request.learning_rate,
        correction=request.correction,
        rounds=request.rounds,
        seed=request.seed,
        bfloat16=_is_bfloat16(request.precision, device),
    )
    start = None if first is None else first.network
    trainer = SegmentationTrainer(info, settings, learnt, held_out, file, device, ranks, start)
    seconds = estimate_seconds(trainer)
    text = f"About {in_words(seconds)} for {settings.steps} steps on {describe_device(device)}."
    emit("planned", text=text, seconds=round(seconds))
    return trainer


def _info(
    request: SegmentationTrainingRequest, sources: Sequence[CaseSource], chosen: tuple[Segment, ...]
) -> SegmentationInfo:
    if request.network not in NETWORKS:
        raise InputError(f"Expected a network of {', '.join(NETWORKS)}, found {request.network!r}.")
    spacing = request.spacing or choose_spacing(sources)
    training = {"study": request.study.resolve().name, "trained_on": [source.name for source in sources]}
    try:
        return SegmentationInfo(
            network=request.network,
            base_channels=request.base_channels,
            patch_size=request.patch_size,
            spacing=spacing,
            structures=chosen,
            training=training,
        )
    except ValueError as error:
        raise InputError(f"The network cannot be built: {error}.") from error


def info_like(
    first: Segmenter, request: SegmentationTrainingRequest, sources: Sequence[CaseSource], structures: Sequence[Segment]
) -> SegmentationInfo:
    """The description of a network that goes on from another: what it learns is what that one knows.

    Raises:
        InputError: If the study has not all of its structures.
    """
    of_study = {name_key(segment.name): segment for segment in structures}
    own = first.info.structures
    missing = [segment.name for segment in own if name_key(segment.name) not in of_study]
    if missing:
        raise InputError(
            f"{first.file}: expected a network of the study's structures "
            f"({', '.join(segment.name for segment in structures)}) to go on from, found one of "
            f"{', '.join(missing)} too."
        )
    training = {
        "study": request.study.resolve().name,
        "trained_on": [source.name for source in sources],
        "started_from": fingerprint_of(first.file.read_bytes()),
    }
    same = tuple(of_study[name_key(segment.name)] for segment in own)
    return replace(first.info, structures=same, training=training, offsets=(), metrics={}, step=0, anatomy=None)


def split(sources: Sequence[CaseSource], share: float, seed: int) -> tuple[list[CaseSource], list[CaseSource]]:
    """Cases to learn from and cases held out, at most six; pending ones are held out before trusted ones.

    With fewer than four cases none is held out.
    """
    count = min(MOST_HELD_OUT, round(len(sources) * share)) if len(sources) >= 4 else 0
    if len(sources) >= 4 and share > 0:
        count = max(1, count)
    order = np.random.default_rng(seed).permutation(len(sources))
    by_trust = sorted(order, key=lambda number: sources[number].trusted)
    held = {int(number) for number in by_trust[:count]}
    learnt = [source for number, source in enumerate(sources) if number not in held]
    return learnt, [sources[number] for number in sorted(held)]


def _is_bfloat16(precision: str, device: torch.device) -> bool:
    if precision not in ("auto", "float32", "bfloat16"):
        raise InputError(f"Expected a precision of auto, float32 or bfloat16, found {precision!r}.")
    return is_fast_in_bfloat16(device) if precision == "auto" else precision == "bfloat16"


def estimate_seconds(trainer: SegmentationTrainer) -> float:
    """About how long a training will take here: one step and one window are timed, nothing of the training changes."""
    settings, noisy = trainer.settings, [case for case in trainer.training if not case.trusted]
    network = copy.deepcopy(trainer.network)
    batch = trainer.sampler.draw(trainer.training, torch.Generator().manual_seed(0))
    step = min(_timed(lambda: _whole_step(network, trainer, batch)) for _ in range(2))
    network.eval()
    with torch.no_grad():
        window = _timed(lambda: network(batch.images[:1]))
    patch = np.asarray(trainer.info.patch_size)

    def windows(cases: Sequence[TrainingCase]) -> float:
        extents = [[part.stop - part.start for part in case.focus] for case in cases]
        return sum(float(np.prod(np.ceil(np.maximum(np.asarray(e) / patch - 0.25, 0.1) / 0.75))) for e in extents)

    rounds = len(settings.round_steps) * windows(noisy) + len(settings.check_steps) * windows(trainer.held_out)
    return step * (settings.steps - trainer.files.steps_done()) + window * rounds


def _whole_step(network: torch.nn.Module, trainer: SegmentationTrainer, batch: TrainingBatch) -> None:
    trainer.sampler.draw(trainer.training, torch.Generator().manual_seed(1))
    network.train()
    with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.settings.bfloat16):
        logits = network(batch.images)
    segmentation_loss(logits, batch).backward()
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _emit_step(progress: SegmentationProgress, emit: Emit) -> None:
    held_out = "" if progress.held_out is None else f", held out {progress.held_out:.3f}"
    words = f"{progress.doing}, step {progress.step} of {progress.steps}, loss {progress.loss:.3f}{held_out}"
    emit(
        "step",
        case=STAGE,
        step=words,
        fraction=round(progress.step / progress.steps, 4),
        loss=round(progress.loss, 5),
        held_out_dice=progress.held_out,
        stability=progress.stability,
        seconds_left=round(progress.seconds_left),
    )


def _score(info: SegmentationInfo) -> float:
    return round(float(info.metrics.get("held_out_dice", 0.0)), 4)
