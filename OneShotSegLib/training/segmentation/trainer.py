"""Training of a segmentation network on noisy labels (Lei et al., section III-D), resumable at every epoch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo, load_segmentation, save_segmentation
from OneShotSegLib.networks.sliding import predict_probabilities
from OneShotSegLib.training.clocks import PartTimes
from OneShotSegLib.training.parallel import Ranks
from OneShotSegLib.training.prnet.augmentation import Augmentation
from OneShotSegLib.training.schedule import learning_rate
from OneShotSegLib.training.segmentation.calibration import size_offsets
from OneShotSegLib.training.segmentation.cases import TrainingCase
from OneShotSegLib.training.segmentation.label_correction import CORRECTIONS
from OneShotSegLib.training.segmentation.loss import segmentation_loss
from OneShotSegLib.training.segmentation.request import CorrectionName, SegmentationTrainingRequest
from OneShotSegLib.training.segmentation.sampling import PatchSampler
from OneShotSegLib.training.segmentation.state import SegmentationState, StateFiles

CALIBRATION_CASES = 12
RECENT_STEPS = 50
STEP, ROUND, CHECK = "step", "round", "check"


@dataclass(frozen=True, kw_only=True)
class SegmentationSettings:
    """How a segmentation network is trained.

    Attributes:
        steps: Optimiser steps; the learning rate falls to zero along a half cosine over them.
        steps_per_epoch: Steps between two saved states.
        batch_size: Patches per step.
        learning_rate: Peak of AdamW's learning rate.
        weight_decay: AdamW's.
        correction: What is done about noisy labels.
        first_round: Share of the steps before the first round of correction.
        last_round: Share of the steps after which no round is begun.
        rounds: Rounds of correction.
        checks: How often the network is measured on the cases held out.
        teacher_decay: How slowly the averaged network follows; it is the one that is kept.
        emphasis: How much more a structure's voxel counts than one of the background at the beginning.
        emphasis_until: Share of the steps after which all count the same.
        on_structures: Share of the patches that lie around structures.
        bfloat16: Mixed precision.
        seed: Seed of everything random.
        augmentation: Random changes of the patches.
    """

    steps: int = SegmentationTrainingRequest.steps
    steps_per_epoch: int = 25
    batch_size: int = SegmentationTrainingRequest.batch_size
    learning_rate: float = SegmentationTrainingRequest.learning_rate
    weight_decay: float = 1e-4
    correction: CorrectionName = SegmentationTrainingRequest.correction
    first_round: float = 0.3
    last_round: float = 0.85
    rounds: int = SegmentationTrainingRequest.rounds
    checks: int = 10
    teacher_decay: float = 0.99
    emphasis: float = 5.0
    emphasis_until: float = 0.6
    on_structures: float = 2 / 3
    bfloat16: bool = False
    seed: int = SegmentationTrainingRequest.seed
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def round_steps(self) -> tuple[int, ...]:
        """The steps after which a round of correction is due."""
        if not CORRECTIONS[self.correction].needs_predictions or self.rounds == 0:
            return ()
        first, last = self.first_round * self.steps, self.last_round * self.steps
        between = (last - first) / max(1, self.rounds - 1)
        return tuple(sorted({max(1, round(first + n * between)) for n in range(self.rounds)}))

    @property
    def check_steps(self) -> tuple[int, ...]:
        """The steps after which the network is measured; the last step is one of them."""
        return tuple(sorted({max(1, round(self.steps * n / self.checks)) for n in range(1, self.checks + 1)}))


@dataclass(frozen=True, kw_only=True)
class SegmentationProgress:
    """What a listener gets as the training goes on.

    Attributes:
        step: Steps done.
        steps: All steps.
        loss: Mean loss since the last time.
        held_out: Mean Dice with the labels of the cases held out; None before the first check.
        stability: Mean Dice with the predictions of the check before; None before the second.
        seconds_left: Until the end.
        doing: "training", or what else takes time.
    """

    step: int
    steps: int
    loss: float
    held_out: float | None
    stability: float | None
    seconds_left: float
    doing: str = "training"


ProgressListener = Callable[[SegmentationProgress], None]


class SegmentationTrainer:
    """Trains one network; the state after each epoch is on disk, so that a killed run goes on where it was.

    Args:
        info: Architecture, working space and structures of the network to train.
        settings: How to train it.
        training: Cases to learn from.
        held_out: Cases whose labels only the choice of the model sees.
        output: Checkpoint to write; the resumable state lies next to it.
        device: Where to train.
        ranks: The processes that train together; alone if left out.
        start: A network of the same architecture whose weights are taken first; None for fresh ones.
    """

    def __init__(
        self,
        info: SegmentationInfo,
        settings: SegmentationSettings,
        training: Sequence[TrainingCase],
        held_out: Sequence[TrainingCase],
        output: Path,
        device: torch.device | str = "cpu",
        ranks: Ranks | None = None,
        start: nn.Module | None = None,
    ) -> None:
        if not training:
            raise ValueError("Expected cases to train on; got none.")
        self.info, self.settings, self.output = info, settings, output
        self.training, self.held_out = training, held_out
        self.device = torch.device(device)
        self.ranks = ranks or Ranks()
        torch.manual_seed(settings.seed)
        self.network = info.build().to(self.device)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        if self.device.type == "cuda":
            self.network = self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.teacher = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.wrapped = self.ranks.share(self.network, self.device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.correction = CORRECTIONS[settings.correction]
        self.sampler = PatchSampler(
            patch_size=info.patch_size,
            batch_size=settings.batch_size,
            correction=self.correction,
            on_structures=settings.on_structures,
            augmentation=settings.augmentation,
        )
        self.files = StateFiles(output)
        self.state = SegmentationState()
        self._last_masks: list[Tensor] = []

    def run(self, listener: ProgressListener = lambda progress: None) -> SegmentationInfo:
        """Train to the last step, going on from the saved state if there is one; returns the chosen description."""
        self._resume()
        times = PartTimes()
        losses: list[float] = []
        while self.state.step < self.settings.steps:
            with times.during(STEP):
                losses.append(self.train_step())
            step = self.state.step
            if step in self.settings.round_steps:
                listener(self._progress(losses, times, "correcting labels"))
                with times.during(ROUND):
                    self._correct()
            if step in self.settings.check_steps:
                listener(self._progress(losses, times, "checking"))
                with times.during(CHECK):
                    self._check()
            if step % self.settings.steps_per_epoch == 0 or step == self.settings.steps:
                self._record_loss(losses)
                self._save()
                listener(self._progress(losses, times, "training"))
                losses = []
        return self._finish()

    def train_step(self) -> float:
        """One optimiser step; returns the loss."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        seed = (self.settings.seed * 1_000_003 + self.state.step) * self.ranks.count + self.ranks.rank
        batch = self.sampler.draw(self.training, torch.Generator().manual_seed(seed))
        images = _fast(batch.images)
        with self._autocast():
            logits = self.wrapped(images)
        loss = segmentation_loss(logits, batch, self._emphasis())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        if bool(torch.isfinite(norm)):  # one patch that overflows in half precision spoils one step, not the training
            self.optimizer.step()
        self.state.step += 1
        self._update_teacher()
        return float(loss.detach())

    def _emphasis(self) -> float:
        """How much a structure's voxel counts: much at first, else all becomes background; in the end as any."""
        settings = self.settings
        left = max(0.0, 1 - self.state.step / (settings.emphasis_until * settings.steps))
        return 1 + (settings.emphasis - 1) * left

    def _learning_rate(self) -> float:
        steps = self.settings.steps
        return learning_rate(self.settings.learning_rate, self.state.step, steps, max(1.0, min(100.0, steps / 10)))

    @torch.no_grad()
    def _update_teacher(self) -> None:
        """Let the averaged network follow, over a twentieth of the training at most; the first steps count little."""
        step, steps = self.state.step, self.settings.steps
        keep = min(self.settings.teacher_decay, max(0.0, 1 - 20 / steps), (1 + step) / (10 + step))
        for mean, value in zip(self.teacher.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)

    def _predict(self, network: nn.Module, case: TrainingCase) -> Tensor:
        """Class probabilities in a case's focus box."""
        network.eval()
        with self._autocast():
            return predict_probabilities(network, case.image[case.focus], self.info.patch_size)

    def _correct(self) -> None:
        """A round of label correction over all noisy cases."""
        network = self.teacher if self.correction.uses_teacher else self.network
        changed = 0
        for case in self.training:
            if not case.trusted:
                changed += self.correction.take(case, self._predict(network, case), self.state.rounds)
        self.state.rounds += 1
        self.state.labels_changed = True
        self.state.history["corrected"].append([self.state.step, changed])

    def _check(self) -> None:
        """Measure the averaged network on the cases held out, and keep it if it is the best so far."""
        masks = [self._predict(self.teacher, case).argmax(dim=0).to(torch.uint8) for case in self.held_out]
        pairs = [(mask, case.labels[case.focus]) for mask, case in zip(masks, self.held_out, strict=True)]
        known = [~case.absent for case in self.held_out]
        self.state.held_out = _mean_dice(pairs, known)
        if self._last_masks:
            self.state.stability = _mean_dice(list(zip(masks, self._last_masks, strict=True)), known)
        self._last_masks = masks
        held_out, stability = self.state.held_out or 0.0, self.state.stability or 0.0
        self.state.history["checks"].append([self.state.step, held_out, stability])
        if not self.held_out or held_out + stability >= self.state.best:
            self.state.best = held_out + stability
            if self.ranks.leads:
                save_segmentation(self.files.best, self.teacher, self.described())

    def _record_loss(self, losses: Sequence[float]) -> None:
        self.state.history["loss"].append([self.state.step, sum(losses) / max(1, len(losses))])

    def _progress(self, losses: Sequence[float], times: PartTimes, doing: str) -> SegmentationProgress:
        mean = sum(losses) / max(1, len(losses))
        left = _seconds_left(self.settings, self.state.step, times)
        return SegmentationProgress(
            step=self.state.step,
            steps=self.settings.steps,
            loss=mean,
            held_out=self.state.held_out,
            stability=self.state.stability,
            seconds_left=left,
            doing=doing,
        )

    def described(self) -> SegmentationInfo:
        """The network's description with what it was trained on and its figures."""
        training: dict[str, Any] = {
            **self.info.training,
            "cases": len(self.training),
            "trusted": sum(case.trusted for case in self.training),
            "held_out": len(self.held_out),
            "settings": asdict(self.settings),
        }
        metrics = {"held_out_dice": self.state.held_out or 0.0, "stability": self.state.stability or 0.0}
        return replace(self.info, training=training, step=self.state.step, metrics=metrics)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16)

    def _resume(self) -> None:
        if not self.files.exists:
            return
        self.state = self.files.load(self.network, self.teacher, self.optimizer, self.training)
        self._last_masks = [mask.to(self.device) for mask in self.state.masks]

    def _save(self) -> None:
        self.state.masks = self._last_masks
        if self.ranks.leads:
            self.files.save(self.state, self.network, self.teacher, self.optimizer, self.training)
        self.ranks.wait()

    def _finish(self) -> SegmentationInfo:
        if self.ranks.leads:
            self._calibrate()
            self.files.keep_best()
        self.ranks.wait()
        return load_segmentation(self.output)[1]

    def _calibrate(self) -> None:
        """Let the chosen network draw masks as large as the labels, by cases held out before those learnt from."""
        network, info = load_segmentation(self.files.best, self.device)
        noisy = [case for case in self.training if not case.trusted]
        cases = [*self.held_out, *(noisy or self.training)][:CALIBRATION_CASES]
        evaluated = ((self._predict(network, case), case.labels[case.focus], case.absent) for case in cases)
        save_segmentation(self.files.best, network, replace(info, offsets=size_offsets(evaluated, info.classes)))


def _seconds_left(settings: SegmentationSettings, step: int, times: PartTimes) -> float:
    """From the means so far; a round that was not done yet counts as sixty steps, a check as ten."""
    second = times.mean(STEP, latest=RECENT_STEPS)
    rounds = sum(due > step for due in settings.round_steps)
    checks = sum(due > step for due in settings.check_steps)
    left = second * (settings.steps - step)
    return left + rounds * times.mean(ROUND, 60 * second) + checks * times.mean(CHECK, 10 * second)


def _mean_dice(pairs: Sequence[tuple[Tensor, Tensor]], known: Sequence[Tensor]) -> float:
    """Mean Dice over cases and their known structures, background left out."""
    values = []
    for (first, second), channels in zip(pairs, known, strict=True):
        for channel in range(1, len(channels)):
            a, b = first == channel, second == channel
            total = int(a.sum() + b.sum())
            if channels[channel] and total:
                values.append(2 * int((a & b).sum()) / total)
    return sum(values) / len(values) if values else 0.0


def _fast(patches: Tensor) -> Tensor:
    return patches.contiguous(memory_format=torch.channels_last_3d) if patches.is_cuda else patches
