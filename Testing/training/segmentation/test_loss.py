"""The loss: what is absent teaches nothing, weights weigh, a perfect answer costs nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from OneShotSegLib.training.segmentation.loss import segmentation_loss
from OneShotSegLib.training.segmentation.sampling import TrainingBatch

SIZE = 6


def batch_of(
    labels: Tensor, absent: tuple[int, ...] = (), weights: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> TrainingBatch:
    targets = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    gone = torch.zeros(len(labels), 3, dtype=torch.bool)
    gone[:, list(absent)] = True
    shown = torch.rand(len(labels), 1, SIZE, SIZE, SIZE)
    return TrainingBatch(
        images=shown,
        targets=targets,
        voxel_weights=torch.ones_like(shown[:, 0]),
        absent=gone,
        channel_weights=torch.tensor([weights] * len(labels)),
    )


@pytest.fixture
def labels() -> Tensor:
    """Background with a block of each of two structures."""
    made = torch.zeros(2, SIZE, SIZE, SIZE, dtype=torch.long)
    made[:, :3, :3, :3] = 1
    made[:, 3:, 3:, 3:] = 2
    return made


def logits_for(labels: Tensor, strength: float = 20.0) -> Tensor:
    return torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float() * strength


def test_the_right_answer_costs_nothing_and_a_wrong_one_much(labels: Tensor) -> None:
    assert float(segmentation_loss(logits_for(labels), batch_of(labels))) < 1e-3
    assert float(segmentation_loss(logits_for(labels.flip(1)), batch_of(labels))) > 2


def test_an_absent_structure_may_be_found_or_not_at_the_same_cost(labels: Tensor) -> None:
    unknown = labels.masked_fill(labels == 2, 0)
    batch = batch_of(unknown, absent=(2,))
    found = segmentation_loss(logits_for(labels), batch)
    not_found = segmentation_loss(logits_for(unknown), batch)
    assert float(found) == pytest.approx(float(not_found), abs=1e-3)
    as_background = segmentation_loss(logits_for(labels), batch_of(unknown))
    assert float(as_background) > float(found) + 0.5


def test_what_is_absent_has_no_gradient_towards_background(labels: Tensor) -> None:
    logits = logits_for(labels, 2.0).requires_grad_()
    unknown = labels.masked_fill(labels == 2, 0)
    segmentation_loss(logits, batch_of(unknown, absent=(2,))).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    there = logits.grad[:, :, 4, 4, 4]
    # Both background and the absent structure are right here; only structure 1 is pushed away.
    assert (there[:, 0] <= 0).all()
    assert (there[:, 2] <= 0).all()


def test_a_structure_of_little_weight_costs_less(labels: Tensor) -> None:
    wrong = logits_for(labels.masked_fill(labels == 2, 0))
    full = segmentation_loss(wrong, batch_of(labels))
    light = segmentation_loss(wrong, batch_of(labels, weights=(1.0, 1.0, 0.3)))
    assert float(light) < 0.8 * float(full)


def test_emphasis_makes_missing_a_structure_dearer(labels: Tensor) -> None:
    batch, nothing = batch_of(labels), logits_for(torch.zeros_like(labels), 3.0)
    assert float(segmentation_loss(nothing, batch, 5.0)) > float(segmentation_loss(nothing, batch, 1.0)) + 0.3
