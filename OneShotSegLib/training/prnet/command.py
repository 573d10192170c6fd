"""`oneshotseg train-prnet`: both stages from a folder of CTs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.input_search import search
from OneShotSegLib.imaging.inputs import LeftOut
from OneShotSegLib.networks.checkpoint import PRNetInfo, load_prnet
from OneShotSegLib.networks.device import describe_device
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE, resolve_weights
from OneShotSegLib.timer import in_words
from OneShotSegLib.training.drawing import has_matplotlib
from OneShotSegLib.training.parallel import Ranks, join_ranks
from OneShotSegLib.training.prnet.curves import has_tensorboard
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.prnet.trainer import COARSE, FINE, PRNetTrainer, Progress, TrainingSettings
from OneShotSegLib.training.prnet.volumes import load_training_volumes

FILES = {COARSE.stage: COARSE_FILE, FINE.stage: FINE_FILE}
RECORD = "training.json"


@dataclass(frozen=True)
class _Split:
    """Which CTs are learnt from, which ones are held out, and what of the volumes is not used."""

    training: Sequence[Path]
    held_out: Sequence[Path]
    left_out: Sequence[LeftOut]

    @classmethod
    def of(cls, request: PRNetTrainingRequest) -> _Split:
        found = search(request.volumes)
        paths = [ct.path for ct in found.cts]
        held_out = request.hold_out or min(max(len(paths) // 10, 1), 8)
        if len(paths) <= held_out:
            raise InputError(f"Expected more than {held_out} CTs (so many are held out), found {len(paths)}.")
        return cls(paths[:-held_out], paths[-held_out:], found.left_out)


def train_weights(request: PRNetTrainingRequest, emit: Emit = ignore_events) -> None:
    """Train the coarse, then the fine stage, each going on where an earlier run was cut off.

    Under ``torchrun`` each process trains on a device of its own, and the first one writes files and emits events.

    Raises:
        InputError: If there are too few volumes, or one cannot be used.
    """
    split = _Split.of(request)
    with join_ranks(request.device) as (ranks, device):
        if not ranks.leads:
            emit = ignore_events
        emit("started", cases=list(FILES), study=str(request.output))
        for entry in split.left_out:
            emit("left_out", **entry.fields)
        trainers = _prepare(request, split, ranks, device)
        if trainers:
            if ranks.leads:
                _write_record(request, split)
            _announce(trainers, split, emit)
        for stage in FILES:
            emit("case_started", case=stage)
            if stage in trainers:
                _train(trainers[stage], emit)
            else:
                emit("case_done", case=stage, score=1.0, resumed=True)
        emit("finished", done=len(FILES), failed=0)


def _prepare(
    request: PRNetTrainingRequest, split: _Split, ranks: Ranks, device: torch.device
) -> dict[str, PRNetTrainer]:
    """A trainer for each stage that is not done; every CT is read once."""
    infos = [_info(stage, request) for stage in (COARSE, FINE) if not _is_done(request.output / FILES[stage.stage])]
    ranks.wait()  # until all have looked: from here on files appear
    if not infos:
        return {}
    loaded = load_training_volumes([*split.training, *split.held_out], infos, device)
    count = len(split.training)
    first = None if request.start_from is None else resolve_weights(str(request.start_from))
    return {
        info.stage: PRNetTrainer(
            info,
            _settings(request, info.stage, device),
            volumes[:count],
            volumes[count:],
            request.output / FILES[info.stage],
            device,
            None if first is None else first / FILES[info.stage],
            ranks,
        )
        for info, volumes in zip(infos, loaded, strict=True)
    }


def _settings(request: PRNetTrainingRequest, stage: str, device: torch.device) -> TrainingSettings:
    """How to train a stage."""
    settings = TrainingSettings(
        steps=request.steps,
        seed=request.seed,
        learning_rate=request.learning_rate,
        validate_every=request.check_every,
        patience=request.patience or None,
        bfloat16=device.type == "cuda" and torch.cuda.is_bf16_supported(),
    )
    if stage == FINE.stage:
        steps = request.fine_steps or request.steps
        settings = replace(settings, steps=steps, max_offset_mm=28.0, position_scale_mm=4.0)
    return settings


def _info(default: PRNetInfo, request: PRNetTrainingRequest) -> PRNetInfo:
    if request.start_from is None:
        return replace(default, base_channels=request.base_channels)
    found = load_prnet(resolve_weights(str(request.start_from)) / FILES[default.stage])[1]
    return replace(found, training={}, step=0, metrics={})


def _is_done(file: Path) -> bool:
    return file.exists() and not file.with_suffix(".state").exists()


def _write_record(request: PRNetTrainingRequest, split: _Split) -> None:
    """Write which CTs the weights have seen, and which ones they were evaluated on."""
    record = {"training": [str(path) for path in split.training], "held_out": [str(path) for path in split.held_out]}
    request.output.mkdir(parents=True, exist_ok=True)
    with atomic_file(request.output / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1))


def _announce(trainers: dict[str, PRNetTrainer], split: _Split, emit: Emit) -> None:
    """Emit before it starts what will be done and how long it takes on this machine."""
    seconds = {stage: trainer.seconds_needed() for stage, trainer in trainers.items()}
    some = next(iter(trainers.values()))
    where = describe_device(some.device) + (f" in each of {some.ranks.count} processes" if some.ranks.count > 1 else "")
    text = (
        f"Training on {len(split.training)} CTs, {len(split.held_out)} held out "
        f"({', '.join(path.name for path in split.held_out)}), on {where}. "
        f"This takes at most {in_words(sum(seconds.values()))}: "
        + ", ".join(f"{stage} {in_words(needed)}" for stage, needed in seconds.items())
        + "."
    )
    if not (has_matplotlib() and has_tensorboard()):
        there = "a PNG and a CSV" if has_matplotlib() else "a CSV"
        text += f' Curves go to {there}; for more, pip install "OneShotSegLib[train]".'
    emit("planned", text=text, seconds=round(sum(seconds.values())))


def _train(trainer: PRNetTrainer, emit: Emit) -> None:
    stage = trainer.info.stage

    def emit_step(progress: Progress) -> None:
        check = progress.check
        step = f"step {check.step} of {progress.steps}, error {check.error_mm:.1f} mm (best {check.best_mm:.1f})"
        emit(
            "step",
            case=stage,
            step=step,
            fraction=round(check.step / progress.steps, 3),
            loss=check.loss if check.step else None,
            error_mm=check.error_mm,
            best_mm=check.best_mm,
            seconds_left=round(progress.seconds_left) if check.step else None,
        )

    trained = trainer.run(emit_step)
    emit("case_done", case=stage, score=1.0, steps=trainer.step, best_step=trained.step, **trained.metrics)
