"""A trained network's masks as one more candidate: by name, with shares, and only where it knows the region."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference import network_candidate
from OneShotSegLib.inference.network_candidate import NetworkCandidate, soft_labels
from OneShotSegLib.networks.inference import Segmenter
from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo
from OneShotSegLib.timer import StepTimer, ignore_steps

BONE, OTHER = Segment(value=4, name="Bone", color=(1, 1, 1)), Segment(value=5, name="Other", color=(1, 1, 1))
IN_STUDY = Segment(value=9, name="bone", color=(1, 1, 1))


class BrightIsBone(nn.Module):
    """Calls bright voxels bone, and nothing the other structure."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((torch.zeros_like(x), (x - 0.85) * 100, torch.full_like(x, -50)), dim=1)


def segmenter() -> Segmenter:
    info = SegmentationInfo(
        network="unet", base_channels=2, patch_size=(16, 16, 16), spacing=(4.0, 4.0, 4.0), structures=(BONE, OTHER)
    )
    return Segmenter(file=Path("model"), network=BrightIsBone(), info=info, device=torch.device("cpu"))


def bony_ct() -> Volume:
    array = np.full((30, 40, 50), -1000, dtype=np.int16)
    array[2:28, 4:36, 4:46] = 40
    array[8:20, 10:26, 8:24] = 1200
    return Volume.create(array, (2.5, 2.0, 2.0), (10.0, -20.0, 5.0))


def test_masks_have_the_studys_values_and_what_is_not_used_is_named(caplog: pytest.LogCaptureFixture) -> None:
    ct = bony_ct()
    with caplog.at_level(logging.WARNING):
        candidate = NetworkCandidate(segmenter(), [IN_STUDY])
    assert "not in the study, and not used of the network: Other" in caplog.text
    found = candidate.masks_in("case", ct, StepTimer(ignore_steps))
    assert found is not None
    assert found.values == {IN_STUDY.value}
    labels = found.labels.labels
    assert set(np.unique(labels.array)) == {0, IN_STUDY.value}
    middle = tuple(np.rint(labels.to_index(ct.to_world(np.array([14, 18, 16])))).astype(int))
    assert labels.array[middle] == IN_STUDY.value


def test_a_network_of_none_of_the_structures_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a network of some of the study's structures \(Heart\), found one"):
        NetworkCandidate(segmenter(), [Segment(value=1, name="Heart", color=(1, 0, 0))])


def test_a_case_of_another_region_goes_on_without_the_network(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(prediction: object, info: object) -> None:
        raise InputError("Another region.")

    monkeypatch.setattr(network_candidate, "check_region", refuse)
    candidate = NetworkCandidate(segmenter(), [IN_STUDY])
    with caplog.at_level(logging.WARNING):
        assert candidate.masks_in("case", bony_ct(), StepTimer(ignore_steps)) is None
    assert "case: the network is not used: Another region." in caplog.text


def test_shares_are_those_of_the_two_most_likely_classes() -> None:
    probabilities = np.zeros((3, 1, 1, 3), dtype=np.float32)
    probabilities[:, 0, 0, 0] = (0.2, 0.6, 0.1)
    probabilities[:, 0, 0, 1] = (0.1, 0.3, 0.6)
    probabilities[:, 0, 0, 2] = (0.7, 0.3, 0.0)
    grid = Volume.create(np.zeros((1, 1, 3), dtype=np.float32), (1, 1, 1))
    found = soft_labels(probabilities, grid, [4, 7])
    whole = (slice(None),) * 3
    assert found.labels.array.ravel().tolist() == [4, 7, 0]
    np.testing.assert_allclose(found.share_of(4, whole).ravel(), [0.75, 1 / 3, 0.3], rtol=1e-6)
    np.testing.assert_allclose(found.share_of(7, whole).ravel(), [0, 2 / 3, 0], rtol=1e-6)
    unknown = soft_labels(probabilities, grid, [4, None])
    assert unknown.labels.array.ravel().tolist() == [4, 0, 0]


def test_a_prediction_without_masks_is_an_empty_one() -> None:
    grid = Volume.create(np.zeros((2, 2, 2), dtype=np.float32), (1, 1, 1))
    probabilities = np.stack([np.ones((2, 2, 2)), np.zeros((2, 2, 2))]).astype(np.float32)
    assert not soft_labels(probabilities, grid, [4]).labels.array.any()
