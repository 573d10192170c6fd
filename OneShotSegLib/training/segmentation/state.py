"""The resumable state of a segmentation training on disk; each file appears whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import load_tensors, save_tensors
from OneShotSegLib.training.segmentation.cases import TrainingCase
from OneShotSegLib.training.tensor_state import (
    load_optimizer,
    network_tensors,
    optimizer_tensors,
    storable,
    with_prefix,
)

STATE_KIND = "segmentation-state"
LABELS_KIND = "segmentation-labels"


def _empty_history() -> dict[str, list[list[float]]]:
    return {"loss": [], "checks": [], "corrected": []}


@dataclass(kw_only=True)
class SegmentationState:
    """Where a training stands, besides the networks' and the optimiser's tensors.

    Attributes:
        step: Steps done.
        rounds: Rounds of correction done.
        held_out: Mean Dice on the cases held out at the last check.
        stability: Mean Dice between the last two checks' predictions.
        best: The best sum of both so far.
        history: Curves: [step, loss], [step, held_out, stability], [step, voxels changed].
        labels_changed: Whether labels were corrected since they were last written.
        masks: Predictions of the last check, one per case held out.
    """

    step: int = 0
    rounds: int = 0
    held_out: float | None = None
    stability: float | None = None
    best: float = -1.0
    history: dict[str, list[list[float]]] = field(default_factory=_empty_history)
    labels_changed: bool = False
    masks: list[Tensor] = field(default_factory=list)


class StateFiles:
    """The files of a training that is under way, in a folder next to the checkpoint.

    Args:
        output: The checkpoint to be.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.with_name(f"{output.name}.training")
        self.state = self.folder / "state.safetensors"
        self.best = self.folder / "best.safetensors"

    @property
    def exists(self) -> bool:
        """Whether there is a training to go on with."""
        return self.state.is_file()

    def steps_done(self) -> int:
        """Steps of the training that is there to go on with; 0 if there is none."""
        return int(load_tensors(self.state)[1]["step"]) if self.exists else 0

    def _labels(self, rounds: int) -> Path:
        return self.folder / f"labels-{rounds}.safetensors"

    def save(
        self,
        state: SegmentationState,
        network: nn.Module,
        teacher: nn.Module,
        optimizer: torch.optim.Optimizer,
        cases: Sequence[TrainingCase],
    ) -> None:
        """Write everything; the state names the labels that belong to it, so that both always fit."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if state.labels_changed:
            self._save_labels(self._labels(state.rounds), cases)
            state.labels_changed = False
        tensors = network_tensors("network.", network) | network_tensors("teacher.", teacher)
        tensors |= {f"mask.{number}": mask for number, mask in enumerate(state.masks)}
        tensors |= optimizer_tensors(optimizer)
        description = {
            "kind": STATE_KIND,
            "step": state.step,
            "rounds": state.rounds,
            "held_out": state.held_out,
            "stability": state.stability,
            "best": state.best,
            "history": state.history,
            "cases": [case.name for case in cases],
        }
        save_tensors(self.state, storable(tensors), description)
        for old in self.folder.glob("labels-*.safetensors"):
            if old != self._labels(state.rounds):
                old.unlink(missing_ok=True)

    def _save_labels(self, path: Path, cases: Sequence[TrainingCase]) -> None:
        tensors, rounds = {}, {}
        for case in cases:
            if not case.trusted:
                tensors[f"labels.{case.name}"] = case.labels
                rounds[case.name] = case.rounds
                if case.ensemble is not None:
                    tensors[f"ensemble.{case.name}"] = case.ensemble
        save_tensors(path, storable(tensors), {"kind": LABELS_KIND, "rounds": rounds})

    def load(
        self,
        network: nn.Module,
        teacher: nn.Module,
        optimizer: torch.optim.Optimizer,
        cases: Sequence[TrainingCase],
    ) -> SegmentationState:
        """Put everything back where it was.

        Raises:
            InputError: If the files belong to another training.
        """
        tensors, description = load_tensors(self.state)
        other = InputError(f"{self.folder}: expected the state of this training, found that of another one.")
        if description.get("kind") != STATE_KIND or description["cases"] != [case.name for case in cases]:
            raise other
        try:
            network.load_state_dict(with_prefix("network.", tensors))
            teacher.load_state_dict(with_prefix("teacher.", tensors))
        except RuntimeError as error:
            raise other from error
        load_optimizer(optimizer, tensors)
        rounds = int(description["rounds"])
        if rounds and self._labels(rounds).is_file():
            self._load_labels(self._labels(rounds), cases)
        masks = with_prefix("mask.", tensors)
        return SegmentationState(
            step=int(description["step"]),
            rounds=rounds,
            held_out=description["held_out"],
            stability=description["stability"],
            best=float(description["best"]),
            history=description["history"],
            masks=[masks[str(number)] for number in range(len(masks))],
        )

    def _load_labels(self, path: Path, cases: Sequence[TrainingCase]) -> None:
        tensors, description = load_tensors(path)
        for case in cases:
            if case.trusted:
                continue
            device = case.labels.device
            case.labels = tensors[f"labels.{case.name}"].to(device)
            case.rounds = int(description["rounds"][case.name])
            if f"ensemble.{case.name}" in tensors:
                case.ensemble = tensors[f"ensemble.{case.name}"].to(device)

    def keep_best(self) -> None:
        """Make the best network the result; the state is removed."""
        self.best.replace(self.output)
        # The state goes first: without it, what is left over of the others is no training to go on with.
        self.state.unlink(missing_ok=True)
        for rest in self.folder.iterdir():
            rest.unlink()
        self.folder.rmdir()
