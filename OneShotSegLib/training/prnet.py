"""Self-supervised training of PRNet on unlabelled CTs (Lei et al., section III-A).

A step takes a few volumes, cuts K patches out of each in one batched gather, and learns from all K(K-1)/2 relations
among them at the price of K forward passes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from OneShotSegLib.networks.checkpoint import PRNetInfo, load_prnet, load_tensors, save_prnet, save_tensors
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.networks.prnet import relative_position
from OneShotSegLib.training.augmentation import Augmentation, mask_boxes

COARSE = PRNetInfo("coarse", 8, (32, 32, 32), (6.0, 6.0, 6.0), (700.0, 500.0, 500.0))
FINE = PRNetInfo("fine", 8, (48, 32, 32), (3.0, 4.0, 4.0), (60.0, 60.0, 60.0))


@dataclass(frozen=True)
class TrainingSettings:
    """How PRNet is trained.

    Attributes:
        steps: Optimiser steps; the learning rate falls to zero along a half cosine over them.
        volumes_per_step: Volumes of one step.
        patches_per_volume: Patches K of a volume; all K(K-1)/2 relations count.
        reconstructed_per_volume: How many of them go through the decoder too.
        learning_rate: Peak of AdamW's learning rate.
        position_scale_mm: Relation errors are divided by this before they are squared.
        reconstruction_weight: Weight of the reconstruction's mean squared error.
        reach_mm: Patches of a volume lie within this distance, per axis, of an anchor; None for anywhere.
        validate_every: Steps between two checks on the volumes kept out.
        bfloat16: Mixed precision, for CUDA: on a CPU the gradients of bfloat16 convolutions came out as NaN.
        seed: Seed of everything random.
        augmentation: Random changes of the volumes.
    """

    steps: int = 4000
    volumes_per_step: int = 2
    patches_per_volume: int = 8
    reconstructed_per_volume: int = 2
    learning_rate: float = 2e-3
    position_scale_mm: float = 10.0
    reconstruction_weight: float = 10.0
    reach_mm: float | None = None
    validate_every: int = 250
    bfloat16: bool = False
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Progress:
    """What a listener is told after each check: step, steps, mean loss since the last, error in mm, seconds left."""

    step: int
    steps: int
    loss: float
    error_mm: float
    seconds_left: float


@dataclass(frozen=True)
class TrainingVolume:
    """A resident volume and the voxels around which patches may be cut.

    Attributes:
        source: The volume on the device.
        body: mm positions of its body voxels, shape (N, 3), on the CPU.
    """

    source: PatchSource
    body: Tensor

    @classmethod
    def from_source(cls, source: PatchSource) -> TrainingVolume:
        """Take every voxel above the window's floor as body."""
        index = (source.image > 0).nonzero().float()
        return cls(source, (index * source.spacing + source.origin).cpu())


class PRNetTrainer:
    """Trains one PRNet stage; the state after each check is on disk, so that a killed run goes on where it was.

    Args:
        info: Architecture and working space of the network to train.
        settings: How to train it.
        training: Volumes to learn from.
        held_out: Volumes on which the localisation error is measured.
        output: Checkpoint to write; the resumable state lies beside it as ``<name>.state``.
        device: Where to train.
        start_from: Checkpoint of the same architecture whose weights are taken first; None for fresh ones.
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
    ) -> None:
        if not training or not held_out:
            raise ValueError(f"Expected volumes to train on and to hold out; got {len(training)} and {len(held_out)}.")
        self.info, self.settings, self.output = info, settings, output
        self.training, self.held_out = training, held_out
        self.device = torch.device(device)
        torch.manual_seed(settings.seed)
        self.network = info.build().to(self.device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        if start_from is not None:
            self.network.load_state_dict(load_prnet(start_from)[0].state_dict())
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
        self.range = torch.tensor(info.position_range, device=self.device)
        self.step = 0
        self.error_mm = math.inf

    @property
    def state_path(self) -> Path:
        """Where the resumable state lies."""
        return self.output.with_suffix(".state")

    def run(self, listener: Callable[[Progress], None] = lambda progress: None) -> PRNetInfo:
        """Train to the last step, going on from the saved state if there is one; returns the final description."""
        if self.state_path.exists():
            self._load_state()
        started, first, losses = time.monotonic(), self.step, []
        while self.step < self.settings.steps:
            losses.append(self.train_step())
            if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
                self.error_mm = self.measure_error()
                self._save()
                seconds = (time.monotonic() - started) / (self.step - first) * (self.settings.steps - self.step)
                mean_loss = sum(losses) / len(losses)
                listener(Progress(self.step, self.settings.steps, mean_loss, self.error_mm, seconds))
                losses = []
        self.state_path.unlink(missing_ok=True)
        return self.described()

    def train_step(self) -> float:
        """One optimiser step; returns the loss."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step)
        patches, places = self._draw_batch(generator)
        loss = self._loss(patches, places, generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    @torch.inference_mode()
    def measure_error(self, relations: int = 8) -> float:
        """Mean absolute error of relations an axis, mm, on the unchanged volumes kept out; the same pairs each time."""
        self.network.eval()
        errors = []
        for number, volume in enumerate(self.held_out):
            generator = torch.Generator().manual_seed(number)
            centres = self._draw_centres(volume, generator, relations)
            with self._autocast():
                latent = self.network.locate(_fast(volume.source.cut(centres, self.info.patch_size)))
            errors.append((self._relations(latent.float()) - _differences(centres)).abs().mean())
        return float(torch.stack(errors).mean())

    def described(self) -> PRNetInfo:
        """The network's description with what it was trained on, its step and its error."""
        training = {
            "volumes": len(self.training),
            "held_out": len(self.held_out),
            "settings": {**asdict(self.settings), "augmentation": asdict(self.settings.augmentation)},
        }
        return replace(self.info, training=training, step=self.step, metrics={"held_out_error_mm": self.error_mm})

    def _learning_rate(self) -> float:
        warm_up = min(1.0, (self.step + 1) / 100)
        return self.settings.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * self.step / self.settings.steps))

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
        reach = self.settings.reach_mm
        body = volume.body
        anchors = body[torch.randint(len(body), (count if reach is None else 1,), generator=generator)]
        spread = 6.0 if reach is None else reach
        centres = anchors + (torch.rand(count, 3, generator=generator) * 2 - 1) * spread
        return centres.to(self.device)

    def _loss(self, patches: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
        settings = self.settings
        masked = _fast(mask_boxes(patches, generator))
        count = settings.patches_per_volume
        decoded = torch.tensor([n for n in range(len(patches)) if n % count < settings.reconstructed_per_volume])
        with self._autocast():
            maps = self.network.encode(masked)
            latent = self.network.position(maps[-1]).float()
            rebuilt = self.network.rebuild([m[decoded] for m in maps])
        predicted = torch.cat([self._relations(group) for group in latent.split(count)])
        wanted = torch.cat([_differences(group) for group in places])
        position_loss = F.mse_loss(predicted / settings.position_scale_mm, wanted / settings.position_scale_mm)
        return position_loss + settings.reconstruction_weight * F.mse_loss(rebuilt.float(), patches[decoded])

    def _relations(self, latent: Tensor) -> Tensor:
        first, second = torch.triu_indices(len(latent), len(latent), 1)
        return relative_position(latent[first], latent[second], self.range)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16)

    def _save(self) -> None:
        save_prnet(self.output, self.network, self.described())
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
        copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        save_tensors(self.state_path, copies, {"kind": "prnet-state", "step": self.step})

    def _load_state(self) -> None:
        tensors, description = load_tensors(self.state_path)
        prefix = "network."
        self.network.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, number, name = key.split(".", 2)
                state.setdefault(int(number), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.step = int(description["step"])


def _differences(places: Tensor) -> Tensor:
    """All places[i] - places[j] with i < j, shape (K(K-1)/2, 3)."""
    first, second = torch.triu_indices(len(places), len(places), 1)
    return places[first] - places[second]


def _fast(patches: Tensor) -> Tensor:
    return patches.contiguous(memory_format=torch.channels_last_3d)
