"""Self-supervised training of PRNet on unlabelled CTs (Lei et al., section III-A).

A step takes a few volumes, cuts K patches out of each in one batched gather, and learns from all K(K-1)/2 relations
among them at the cost of K forward passes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import PRNetInfo, load_prnet, save_prnet
from OneShotSegLib.networks.prnet import PRNet, relative_position
from OneShotSegLib.training.clocks import TotalTime
from OneShotSegLib.training.parallel import Ranks
from OneShotSegLib.training.prnet.augmentation import Augmentation, mask_boxes
from OneShotSegLib.training.prnet.curves import Check, Curves
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.prnet.state import load_state, save_state
from OneShotSegLib.training.prnet.volumes import TrainingVolume
from OneShotSegLib.training.schedule import learning_rate

COARSE = PRNetInfo(
    stage="coarse",
    base_channels=8,
    patch_size=(32, 32, 32),
    spacing=(6.0, 6.0, 6.0),
    position_range=(700.0, 500.0, 500.0),
)
FINE = PRNetInfo(
    stage="fine", base_channels=8, patch_size=(48, 32, 32), spacing=(3.0, 4.0, 4.0), position_range=(60.0, 60.0, 60.0)
)
TIMED_STEPS = 3
WARM_UP_STEPS = 100
JITTER_MM = 6.0
"""How far patches that may lie anywhere are moved off the voxels that were drawn for them."""
ALONE = Ranks()
COUNTERS = ("step", "best_step", "best_mm", "checks_without_gain", "seconds", "cpu_seconds")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How PRNet is trained.

    Attributes:
        steps: Optimiser steps; the learning rate falls to zero along a half cosine over them.
        volumes_per_step: Volumes of one step (in each process, where several train together).
        patches_per_volume: Patches K of a volume; all K(K-1)/2 relations count.
        reconstructed_per_volume: How many of them go through the decoder too.
        learning_rate: Peak of AdamW's learning rate.
        position_scale_mm: Relation errors are divided by this before they are squared.
        reconstruction_weight: Weight of the reconstruction's mean squared error.
        max_offset_mm: Patches of a volume lie within this distance, per axis, of an anchor; None for anywhere.
        validate_every: Steps between two checks on the volumes held out.
        validation_groups: Groups of 8 patches that a check takes from each volume held out.
        patience: Checks without a smaller error after which training stops; None for never.
        bfloat16: Mixed precision, for CUDA: on a CPU the gradients of bfloat16 convolutions came out as NaN.
        seed: Seed of everything random.
        augmentation: Random changes of the volumes.
    """

    steps: int = PRNetTrainingRequest.steps
    volumes_per_step: int = 2
    patches_per_volume: int = 8
    reconstructed_per_volume: int = 2
    learning_rate: float = PRNetTrainingRequest.learning_rate
    position_scale_mm: float = 10.0
    reconstruction_weight: float = 10.0
    max_offset_mm: float | None = None
    validate_every: int = PRNetTrainingRequest.check_every
    validation_groups: int = 4
    patience: int | None = None
    bfloat16: bool = False
    seed: int = PRNetTrainingRequest.seed
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Progress:
    """What a listener gets after each check: the steps in all, what the check found, seconds left at most."""

    steps: int
    check: Check
    seconds_left: float


class _Passes(nn.Module):
    """The two outputs of a training step in one forward call, which is what averaging over processes needs."""

    def __init__(self, network: PRNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor, decoded: Tensor) -> tuple[Tensor, Tensor]:
        """Latent positions of all patches, reconstructions of those with the indices ``decoded``."""
        maps = self.network.encode(patches)
        return self.network.position(maps[-1]), self.network.rebuild([m[decoded] for m in maps])


class PRNetTrainer:
    """Trains one PRNet stage; the state after each check is on disk, so that a killed run goes on where it was.

    The checkpoint is the one with the smallest error on the volumes held out, not the last one.

    Args:
        info: Architecture and working space of the network to train.
        settings: How to train it.
        training: Volumes to learn from.
        held_out: Volumes on which the localisation error is measured.
        output: Checkpoint to write; the resumable state lies next to it as ``<name>.state`` until training is done.
        device: Where to train.
        start_from: Checkpoint of the same architecture whose weights are taken first; None for fresh ones.
        ranks: Which of several processes this is.

    Raises:
        InputError: If the weights to start from, or the state to go on from, are of another architecture.
    """

    def __init__(
        self,
        info: PRNetInfo,
        settings: TrainingSettings,
        training: Sequence[TrainingVolume],
        held_out: Sequence[TrainingVolume],
        output: Path,
        device: torch.device | str = "cpu",
        start_from: Path | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        if not training or not held_out:
            raise ValueError(f"Expected volumes to train on and to hold out; got {len(training)} and {len(held_out)}.")
        self.info, self.settings, self.output, self.ranks = info, settings, output, ranks
        self.training, self.held_out = training, held_out
        self.device = torch.device(device)
        torch.manual_seed(settings.seed)
        network = info.build() if start_from is None else _weights_like(info, start_from)
        self.network = network.to(self.device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
        self.range = torch.tensor(info.position_range, device=self.device)
        self.step, self.best_step, self.best_mm, self.checks_without_gain = 0, 0, math.inf, 0
        self.seconds, self.cpu_seconds = 0.0, 0.0
        if self.state_path.exists():
            self._load_state()
        self.passes = ranks.share(_Passes(self.network), self.device)

    @property
    def state_path(self) -> Path:
        """Where the resumable state lies."""
        return self.output.with_suffix(".state")

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the error has long stopped falling."""
        patience = self.settings.patience
        return self.step >= self.settings.steps or (patience is not None and self.checks_without_gain >= patience)

    def run(self, listener: Callable[[Progress], None] = lambda progress: None) -> PRNetInfo:
        """Train to the end, going on from the saved state if there was one; returns the best weights' description."""
        curves = Curves(self.output, self.step) if self.ranks.leads else None
        if self.step == 0:
            self._save_state()  # From now on the folder says that what lies in it is not finished.
            self.ranks.wait()
            self._check(torch.full((2,), math.nan), curves, listener, 0.0)
        first, losses, clock = self.step, torch.zeros(2, device=self.device), TotalTime(self.seconds, self.cpu_seconds)
        while not self.finished:
            losses += self.train_step()
            due = self.step % self.settings.validate_every or self.settings.validate_every
            if due == self.settings.validate_every or self.step == self.settings.steps:
                mean = losses.cpu() / due
                self.seconds, self.cpu_seconds = clock.read()
                left = clock.this_run / (self.step - first) * (self.settings.steps - self.step)
                self._check(mean, curves, listener, left)
                losses.zero_()
        if curves is not None:
            curves.close()
            self.state_path.unlink(missing_ok=True)
        self.ranks.wait()
        return self.described()

    def train_step(self) -> Tensor:
        """One optimiser step; returns the losses of relations and reconstruction, shape (2,), on the device."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        losses = self._backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        return losses

    def seconds_needed(self) -> float:
        """How long the remaining steps take at most on this machine, from a few that change nothing."""
        if self.finished:
            return 0.0
        self.network.train()
        self._backward()  # The first one sets things up.
        per_step = self._timed(lambda: [self._backward() for _ in range(TIMED_STEPS)]) / TIMED_STEPS
        self.optimizer.zero_grad(set_to_none=True)
        checks = (self.settings.steps - self.step) / self.settings.validate_every + 1
        return per_step * (self.settings.steps - self.step) + self._timed(self.measure_error) * checks

    def _timed(self, work: Callable[[], Any]) -> float:
        started = time.perf_counter()
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - started

    @torch.inference_mode()
    def measure_error(self, patches: int = 8) -> float:
        """Mean absolute error of relations, mm per axis, on the unchanged volumes held out; always the same pairs."""
        self.network.eval()
        total = torch.zeros(2, device=self.device)
        for number in range(self.ranks.rank, len(self.held_out), self.ranks.count):
            volume = self.held_out[number]
            generator = torch.Generator().manual_seed(number)
            for _ in range(self.settings.validation_groups):
                centres = self._draw_centres(volume, generator, patches)
                with self._autocast():
                    latent = self.network.locate(_fast(volume.source.cut(centres, self.info.patch_size)))
                total[0] += (self._relations(latent.float()) - _differences(centres)).abs().mean()
                total[1] += 1
        error, count = self.ranks.sum(total).tolist()
        found: float = error / count
        return found

    def described(self) -> PRNetInfo:
        """The best network's description with what it was trained on, its step and its error."""
        training = {
            "volumes": len(self.training),
            "held_out": len(self.held_out),
            "processes": self.ranks.count,
            "settings": {**asdict(self.settings), "augmentation": asdict(self.settings.augmentation)},
        }
        return replace(self.info, training=training, step=self.best_step, metrics={"held_out_error_mm": self.best_mm})

    def _check(
        self, losses: Tensor, curves: Curves | None, listener: Callable[[Progress], None], seconds_left: float
    ) -> None:
        """Measure the error; keep the weights if they are the best so far; write state and curves; report."""
        error = self.measure_error()
        self.checks_without_gain += 1
        if error < self.best_mm:
            self.best_mm, self.best_step, self.checks_without_gain = error, self.step, 0
            if self.ranks.leads:
                save_prnet(self.output, self.network, self.described())
        if curves is not None:
            self._save_state()
            position, reconstruction = losses.tolist()
            check = Check(
                step=self.step,
                seconds=round(self.seconds, 2),
                cpu_seconds=round(self.cpu_seconds, 2),
                loss=position + reconstruction,
                position_loss=position,
                reconstruction_loss=reconstruction,
                error_mm=error,
                best_mm=self.best_mm,
                learning_rate=self._learning_rate(),
            )
            curves.add(check)
            listener(Progress(self.settings.steps, check, seconds_left))

    def _learning_rate(self) -> float:
        return learning_rate(self.settings.learning_rate, self.step, self.settings.steps, WARM_UP_STEPS)

    def _backward(self) -> Tensor:
        """Gradients of this step's batch; returns its two losses."""
        generator = torch.Generator().manual_seed(
            self.settings.seed * 1_000_003 + self.step + self.ranks.rank * 1_000_000_007
        )
        patches, places = self._draw_batch(generator)
        losses = self._losses(patches, places, generator)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        return losses.detach()

    def _draw_batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Changed patches (V*K, 1, d, h, w) and their places in the changed frame (V, K, 3), mm."""
        chosen = torch.randint(len(self.training), (self.settings.volumes_per_step,), generator=generator)
        drawn = [self._draw_patches(self.training[int(number)], generator) for number in chosen]
        return torch.cat([patches for patches, _ in drawn]), torch.stack([places for _, places in drawn])

    def _draw_patches(self, volume: TrainingVolume, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        change = self.settings.augmentation
        linear = change.draw_linear(generator).to(self.device)
        centres = self._draw_centres(volume, generator, self.settings.patches_per_volume)
        points = volume.source.grid(centres, self.info.patch_size, linear)
        patches = change.change_intensity(volume.source.read(points), generator)
        patches = change.cut_field_of_view(patches, points, generator)
        return patches, centres @ torch.linalg.inv(linear).T

    def _draw_centres(self, volume: TrainingVolume, generator: torch.Generator, count: int) -> Tensor:
        largest = self.settings.max_offset_mm
        anchors = volume.draw_places(count if largest is None else 1, generator)
        spread = JITTER_MM if largest is None else largest
        centres = anchors + (torch.rand(count, 3, generator=generator) * 2 - 1) * spread
        return centres.to(self.device)

    def _losses(self, patches: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
        """Losses of relations and (weighted) reconstruction, shape (2,)."""
        settings = self.settings
        masked = _fast(mask_boxes(patches, generator))
        count = settings.patches_per_volume
        decoded = torch.arange(len(patches), device=self.device)
        decoded = decoded[decoded % count < settings.reconstructed_per_volume]
        with self._autocast():
            latent, rebuilt = self.passes(masked, decoded)
        predicted = torch.cat([self._relations(group) for group in latent.float().split(count)])
        wanted = torch.cat([_differences(group) for group in places])
        position_loss = F.mse_loss(predicted / settings.position_scale_mm, wanted / settings.position_scale_mm)
        rebuilding_loss = F.mse_loss(rebuilt.float(), patches[decoded])
        return torch.stack([position_loss, settings.reconstruction_weight * rebuilding_loss])

    def _relations(self, latent: Tensor) -> Tensor:
        first, second = torch.triu_indices(len(latent), len(latent), 1)
        return relative_position(latent[first], latent[second], self.range)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16)

    def _save_state(self) -> None:
        if self.ranks.leads:
            counters = {name: getattr(self, name) for name in COUNTERS}
            save_state(self.state_path, self.network, self.optimizer, counters)

    def _load_state(self) -> None:
        counters = load_state(self.state_path, self.network, self.optimizer)
        for name in COUNTERS:
            setattr(self, name, counters[name])


def _weights_like(info: PRNetInfo, path: Path) -> PRNet:
    """Trained weights of this architecture."""
    network, found = load_prnet(path)
    ours, theirs = ((i.base_channels, i.patch_size, i.spacing) for i in (info, found))
    if ours != theirs:
        raise InputError(f"{path}: expected weights to go on from with {_in_words(*ours)}, found {_in_words(*theirs)}.")
    return network.train()


def _in_words(channels: int, patch: tuple[int, ...], spacing: tuple[float, ...]) -> str:
    size, step = (" x ".join(f"{n:g}" for n in numbers) for numbers in (patch, spacing))
    return f"{channels} base channels and patches of {size} voxels of {step} mm"


def _differences(places: Tensor) -> Tensor:
    """All places[i] - places[j] with i < j, shape (K(K-1)/2, 3)."""
    first, second = torch.triu_indices(len(places), len(places), 1)
    return places[first] - places[second]


def _fast(patches: Tensor) -> Tensor:
    return patches.contiguous(memory_format=torch.channels_last_3d)
