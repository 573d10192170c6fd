"""Label correction: the paper's flips, the ensemble's mixture, and hands off what a reviewer accepted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from OneShotSegLib.training.segmentation.cases import TrainingCase
from OneShotSegLib.training.segmentation.label_correction import CORRECTIONS, EnsembleCorrection, PaperCorrection

SHAPE = (4, 4, 4)


def case_with(labels: Tensor, trusted: bool = False, absent: tuple[int, ...] = ()) -> TrainingCase:
    gone = torch.zeros(3, dtype=torch.bool)
    gone[list(absent)] = True
    box = (slice(0, 4), slice(0, 4), slice(1, 4))
    return TrainingCase(
        name="case",
        image=torch.rand(SHAPE),
        labels=labels,
        spacing=torch.ones(3),
        trusted=trusted,
        absent=gone,
        weights=torch.ones(3),
        focus=box,
        seeds={0: torch.zeros(1, 3)},
    )


def sure_of(channel: int, probability: float) -> Tensor:
    """A prediction in the focus box that gives one channel this probability everywhere."""
    found = torch.full((3, 4, 4, 3), (1 - probability) / 2)
    found[channel] = probability
    return found


def everywhere() -> Tensor:
    return torch.stack(torch.meshgrid(*[torch.arange(4)] * 3, indexing="ij"), dim=-1)


def test_the_papers_threshold_falls_from_99_to_95_percent_and_no_further() -> None:
    paper = PaperCorrection()
    assert paper.threshold_of(0) == 0.99
    assert paper.threshold_of(1) == pytest.approx(0.99 * 0.99)
    assert paper.threshold_of(50) == 0.95


def test_a_label_flips_only_where_the_network_is_surer_than_the_threshold() -> None:
    case = case_with(torch.zeros(SHAPE, dtype=torch.uint8))
    assert PaperCorrection().take(case, sure_of(1, 0.985), 0) == 0
    assert not case.labels.any()
    assert PaperCorrection().take(case, sure_of(1, 0.985), 1) == 48
    assert (case.labels[:, :, 1:] == 1).all()
    assert not case.labels[:, :, 0].any()  # outside the focus box nothing was predicted


def test_labels_flip_back_to_background_too() -> None:
    case = case_with(torch.full(SHAPE, 2, dtype=torch.uint8))
    PaperCorrection().take(case, sure_of(0, 0.999), 0)
    assert not case.labels[:, :, 1:].any()


def test_no_label_flips_to_a_structure_that_is_absent() -> None:
    case = case_with(torch.zeros(SHAPE, dtype=torch.uint8), absent=(2,))
    assert PaperCorrection().take(case, sure_of(2, 0.999), 0) == 0


@pytest.mark.parametrize("name", list(CORRECTIONS))
def test_trusted_labels_are_never_changed(name: str) -> None:
    labels = torch.randint(0, 3, SHAPE, generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    case = case_with(labels.clone(), trusted=True)
    correction = CORRECTIONS[name]  # type: ignore[index]
    for number in range(4):
        assert correction.take(case, sure_of(1, 0.9999), number) == 0
    assert torch.equal(case.labels, labels)
    targets, weights = correction.targets(case, everywhere())
    assert torch.equal(targets.argmax(dim=0), labels.long())
    assert (weights == 1).all()


def test_without_a_prediction_the_ensemble_learns_the_labels_as_they_are() -> None:
    labels = torch.randint(0, 3, SHAPE, generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    targets, weights = EnsembleCorrection().targets(case_with(labels), everywhere())
    assert torch.equal(targets.argmax(dim=0), labels.long())
    assert targets.max() == 1
    assert (weights == 1).all()


def test_the_ensembles_share_grows_with_its_rounds_and_contradicted_voxels_count_less() -> None:
    case = case_with(torch.zeros(SHAPE, dtype=torch.uint8))
    correction = EnsembleCorrection()
    shares = []
    for number in range(4):
        correction.take(case, sure_of(1, 1.0), number)
        targets, weights = correction.targets(case, everywhere())
        shares.append(float(targets[1, 0, 0, 2]))
    assert shares == pytest.approx([0.7 / 3, 1.4 / 3, 0.7, 0.7], abs=0.01)
    assert float(weights[0, 0, 2]) == pytest.approx(correction.least_weight, abs=0.01)
    assert float(weights[0, 0, 0]) == 1  # outside the focus box
    torch.testing.assert_close(targets.sum(dim=0), torch.ones(SHAPE))


def test_one_round_alone_does_not_decide_the_ensemble() -> None:
    case = case_with(torch.zeros(SHAPE, dtype=torch.uint8))
    correction = EnsembleCorrection()
    for number, channel in enumerate((1, 0, 0)):
        correction.take(case, sure_of(channel, 1.0), number)
    assert case.ensemble is not None
    assert float(case.ensemble[1].float().mean()) / 255 == pytest.approx(1 / 3, abs=0.02)


def test_outside_the_volume_is_background() -> None:
    case = case_with(torch.full(SHAPE, 2, dtype=torch.uint8))
    targets, _ = CORRECTIONS["none"].targets(case, everywhere() + 4)  # type: ignore[index]
    assert (targets.argmax(dim=0) == 0).all()
