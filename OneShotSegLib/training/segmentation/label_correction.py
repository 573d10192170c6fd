"""What is learnt from noisy labels: as they are, flipped as in the paper, or mixed with an ensemble's prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from OneShotSegLib.training.segmentation.cases import TrainingCase
from OneShotSegLib.training.segmentation.request import CorrectionName


class LabelCorrection(Protocol):
    """A way of dealing with noisy labels; trusted cases are never touched by any."""

    @property
    def needs_predictions(self) -> bool:
        """Whether rounds of predictions are to be made at all."""

    @property
    def uses_teacher(self) -> bool:
        """Whether the predictions are those of the averaged network, not of the present one."""

    def take(self, case: TrainingCase, probabilities: Tensor, round_number: int) -> int:
        """Take a round's prediction of a noisy case.

        Args:
            case: The case, which is changed.
            probabilities: Prediction in the case's focus box, shape (classes, d, h, w).
            round_number: 0 for the first round.

        Returns:
            How many voxels have another label now than before.
        """

    def targets(self, case: TrainingCase, index: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be learnt at voxels, and how much each counts.

        Args:
            case: The case.
            index: Voxel indices [z, y, x], shape (d, h, w, 3); outside the volume is background.

        Returns:
            Probabilities (classes, d, h, w) and weights (d, h, w).
        """


def read_labels(case: TrainingCase, index: Tensor) -> Tensor:
    """Channels at voxel indices (d, h, w, 3), shape (d, h, w); 0 outside the volume."""
    values, inside = _gather(case.labels[None], index)
    return torch.where(inside, values[0], torch.zeros_like(values[0]))


def _gather(maps: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Values (K, d, h, w) of maps (K, D, H, W) at voxel indices, and whether these lie in the maps."""
    extent = torch.tensor(maps.shape[1:], device=maps.device)
    inside = ((index >= 0) & (index < extent)).all(dim=-1)
    z, y, x = torch.minimum(index.clamp(min=0), extent - 1).unbind(-1)
    return maps[:, z, y, x], inside


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Channels (d, h, w) as probabilities (classes, d, h, w)."""
    return F.one_hot(labels.long(), classes).movedim(-1, 0).float()


@dataclass(frozen=True)
class NoCorrection:
    """Labels are learnt as they are."""

    needs_predictions: bool = False
    uses_teacher: bool = False

    def take(self, case: TrainingCase, probabilities: Tensor, round_number: int) -> int:
        """Change nothing."""
        return 0

    def targets(self, case: TrainingCase, index: Tensor) -> tuple[Tensor, Tensor]:
        """The labels; every voxel counts the same."""
        target = one_hot(read_labels(case, index), len(case.absent))
        return target, torch.ones_like(target[0])


@dataclass(frozen=True, kw_only=True)
class PaperCorrection(NoCorrection):
    """A label flips to what the network is sure of (Lei et al., section III-D).

    Attributes:
        threshold: Probability that a prediction must pass in the first round.
        decay: Factor on the threshold from round to round.
        least: Where the decay ends.
    """

    needs_predictions: bool = True
    threshold: float = 0.99
    decay: float = 0.99
    least: float = 0.95

    def threshold_of(self, round_number: int) -> float:
        """The probability that a prediction must pass in a round."""
        return max(self.least, self.threshold * self.decay**round_number)

    def take(self, case: TrainingCase, probabilities: Tensor, round_number: int) -> int:
        """Flip the labels of which the prediction is surer than the round's threshold."""
        if case.trusted:
            return 0
        sure, channel = probabilities.max(dim=0)
        labels = case.labels[case.focus]
        flips = (sure > self.threshold_of(round_number)) & (channel != labels) & ~case.absent[channel]
        case.labels[case.focus] = torch.where(flips, channel.to(labels.dtype), labels)
        return int(flips.sum())


@dataclass(frozen=True, kw_only=True)
class EnsembleCorrection:
    """Where the ensemble and the label differ, a mixture of both is learnt, and it counts less.

    The ensemble is the mean of what the averaged network (mean teacher) predicted in all rounds so far: over
    rounds (temporal ensembling) as over updates. The error of one patient's label, which no other patient shares, is
    outweighed; no hard threshold has to be passed, and nothing that was flipped wrongly stays flipped.

    Attributes:
        greatest_share: The ensemble's share in the mixture once it has seen `full_after` rounds.
        full_after: Rounds until then; the share rises evenly.
        least_weight: Weight of a voxel where label and ensemble contradict each other altogether.
    """

    needs_predictions: bool = True
    uses_teacher: bool = True
    greatest_share: float = 0.7
    full_after: int = 3
    least_weight: float = 0.3

    def take(self, case: TrainingCase, probabilities: Tensor, round_number: int) -> int:
        """Take a prediction into the mean."""
        if case.trusted:
            return 0
        before = self._likeliest(case)
        mean = probabilities if case.ensemble is None else self._mean(case, probabilities)
        case.ensemble = (mean * 255).round().to(torch.uint8)
        case.rounds += 1
        return int((self._likeliest(case) != before).sum())

    def _mean(self, case: TrainingCase, probabilities: Tensor) -> Tensor:
        assert case.ensemble is not None
        # Later rounds come from a better network: the weight of the past is bounded.
        past = min(case.rounds, self.full_after)
        return (case.ensemble.float() / 255 * past + probabilities) / (past + 1)

    def _likeliest(self, case: TrainingCase) -> Tensor:
        """The channel with the greatest share of the mixture in the focus box."""
        labels = case.labels[case.focus]
        if case.ensemble is None:
            return labels
        mixed = self._mix(one_hot(labels, len(case.absent)), case.ensemble.float() / 255, case.rounds)
        return mixed.argmax(dim=0).to(labels.dtype)

    def _mix(self, target: Tensor, ensemble: Tensor, rounds: int) -> Tensor:
        share = self.greatest_share * min(1.0, rounds / self.full_after)
        return (1 - share) * target + share * ensemble

    def targets(self, case: TrainingCase, index: Tensor) -> tuple[Tensor, Tensor]:
        """The mixture, and weights that fall where label and ensemble differ."""
        target = one_hot(read_labels(case, index), len(case.absent))
        if case.ensemble is None:
            return target, torch.ones_like(target[0])
        start = torch.tensor([part.start for part in case.focus], device=index.device)
        values, inside = _gather(case.ensemble, index - start)
        ensemble = torch.where(inside, values.float() / 255, target)
        agreement = (ensemble * target).sum(dim=0)
        weights = self.least_weight + (1 - self.least_weight) * agreement.clamp(0, 1)
        return self._mix(target, ensemble, case.rounds), weights


CORRECTIONS: Mapping[CorrectionName, LabelCorrection] = {
    CorrectionName.none: NoCorrection(),
    CorrectionName.paper: PaperCorrection(),
    CorrectionName.ensemble: EnsembleCorrection(),
}
