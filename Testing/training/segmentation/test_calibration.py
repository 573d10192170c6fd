"""Offsets that make masks as large as the labels that were learnt from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from OneShotSegLib.networks.sliding import with_offsets
from OneShotSegLib.training.segmentation.calibration import LARGEST_OFFSET, size_offsets

KNOWN = torch.zeros(3, dtype=torch.bool)


def unsure_case(voxels: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities of three channels, and labels in which channels 1 and 2 have so many voxels each."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.softmax(2 * torch.randn(3, 10, 10, 10, generator=generator), dim=0)
    labels = torch.zeros(1000, dtype=torch.uint8)
    labels[:voxels], labels[voxels : 2 * voxels] = 1, 2
    return probabilities, labels.reshape(10, 10, 10), KNOWN


def size_of_first(cases: list[tuple[Tensor, Tensor, Tensor]], offsets: tuple[float, ...]) -> int:
    """Voxels of channel 1 in all cases together."""
    return sum(int((with_offsets(case[0], offsets).argmax(dim=0) == 1).sum()) for case in cases)


@pytest.mark.parametrize("voxels", [100, 250, 400])
def test_masks_become_as_large_as_the_labels(voxels: int) -> None:
    cases = [unsure_case(voxels, seed) for seed in range(3)]
    offsets = size_offsets(cases, 3)
    before, after = size_of_first(cases, (0.0, 0.0)), size_of_first(cases, (offsets[0], 0.0))
    assert abs(before - 3 * voxels) > 5
    assert abs(after - 3 * voxels) <= 1


def test_masks_that_are_as_large_already_stay() -> None:
    probabilities = torch.tensor([0.9, 0.1]).repeat(50, 1).T.clone().reshape(2, 50, 1, 1)
    probabilities[:, :20] = probabilities[:, :20].flip(0)
    labels = probabilities.argmax(dim=0).to(torch.uint8)
    (offset,) = size_offsets([(probabilities, labels, KNOWN[:2])], 2)
    assert torch.equal(with_offsets(probabilities, (0.99 * offset,)).argmax(dim=0), labels.long())


def test_an_offset_is_bounded_and_none_for_what_no_label_shows() -> None:
    probabilities, labels, _ = unsure_case(1)
    nothing = torch.zeros_like(labels)
    assert size_offsets([(probabilities, nothing, KNOWN)], 3) == (0.0, 0.0)
    everything = torch.ones_like(labels)
    assert size_offsets([(probabilities, everything, KNOWN)], 3)[0] == -LARGEST_OFFSET


def test_cases_whose_labels_say_nothing_of_a_structure_are_left_out() -> None:
    case = unsure_case(100)
    ignore_events = (*unsure_case(0, seed=1)[:2], torch.tensor([False, True, True]))
    assert size_offsets([case, ignore_events], 3) == size_offsets([case], 3)


def test_probabilities_stay_probabilities() -> None:
    probabilities = unsure_case(10)[0]
    lowered = with_offsets(probabilities, (1.0, 0.0))
    torch.testing.assert_close(lowered.sum(dim=0), torch.ones(10, 10, 10))
    assert bool((lowered[1] < probabilities[1]).all())
    assert with_offsets(probabilities, ()) is probabilities
