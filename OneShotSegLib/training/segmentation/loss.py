"""Cross-entropy and Dice on logits, for noisy and for partial labels."""

from __future__ import annotations

import torch
from torch import Tensor

from OneShotSegLib.training.segmentation.sampling import TrainingBatch

SMOOTH_VOXELS = 5.0


def segmentation_loss(logits: Tensor, batch: TrainingBatch, emphasis: float = 1.0) -> Tensor:
    """Cross-entropy plus soft Dice, each weighted by voxel and by structure.

    A channel of which nothing is known in a case ("absent") is no background there: what the network gives it counts
    as background, whatever it is (the marginal loss of partially labelled data), and its Dice is left out.

    Args:
        logits: Shape (N, classes, d, h, w).
        batch: What is to be learnt.
        emphasis: How much more than a voxel of the background one of a structure counts in the cross-entropy.
    """
    logs = _marginal(torch.log_softmax(logits.float(), dim=1), batch.absent)
    return _cross_entropy(logs, batch, emphasis) + _dice_loss(logs.exp(), batch)


def _marginal(logs: Tensor, absent: Tensor) -> Tensor:
    """Log probabilities in which the background holds the absent channels too."""
    if not bool(absent.any()):
        return logs
    joined = absent.clone()
    joined[:, 0] = True
    gone = joined[:, :, None, None, None]
    background = torch.logsumexp(logs.masked_fill(~gone, -torch.inf), dim=1, keepdim=True)
    others = logs[:, 1:].masked_fill(absent[:, 1:, None, None, None], -30.0)
    return torch.cat((background, others), dim=1)


def _cross_entropy(logs: Tensor, batch: TrainingBatch, emphasis: float) -> Tensor:
    targets = _with_absent_as_background(batch)
    channel_weights = batch.channel_weights * emphasis
    channel_weights[:, 0] = batch.channel_weights[:, 0]
    weights = batch.voxel_weights * torch.einsum("ncdhw,nc->ndhw", targets, channel_weights)
    return -((targets * logs).sum(dim=1) * weights).sum() / weights.sum().clamp(min=1.0)


def _dice_loss(probabilities: Tensor, batch: TrainingBatch) -> Tensor:
    targets, weights = _with_absent_as_background(batch), batch.voxel_weights[:, None]
    axes = (2, 3, 4)
    both = (probabilities * targets * weights).sum(axes)
    each = ((probabilities + targets) * weights).sum(axes)
    dice = (2 * both + SMOOTH_VOXELS) / (each + SMOOTH_VOXELS)
    counted = batch.channel_weights * ~batch.absent
    return ((1 - dice) * counted).sum() / counted.sum().clamp(min=1e-6)


def _with_absent_as_background(batch: TrainingBatch) -> Tensor:
    """The targets, in which an ensemble may have given an absent channel a share."""
    if not bool(batch.absent.any()):
        return batch.targets
    gone = batch.absent[:, :, None, None, None]
    share = (batch.targets * gone).sum(dim=1, keepdim=True)
    kept = batch.targets.masked_fill(gone, 0.0)
    return torch.cat((kept[:, :1] + share, kept[:, 1:]), dim=1)
