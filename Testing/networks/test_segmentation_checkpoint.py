"""The segmentation networks: the official layout, checkpoints that describe themselves, clear refusals."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.networks.checkpoint import PRNetInfo, load_tensors, save_prnet, save_tensors
from OneShotSegLib.networks.segmentation_checkpoint import (
    NETWORKS,
    SegmentationInfo,
    load_segmentation,
    save_segmentation,
)
from OneShotSegLib.networks.unet import UNet

STRUCTURES = (
    Segment(value=3, name="Gland", color=(0.9, 0.6, 0.0), tags="tags"),
    Segment(value=7, name="Bone", color=(0.3, 0.7, 0.9)),
)
INFO = SegmentationInfo(
    network="unet", base_channels=4, patch_size=(16, 16, 16), spacing=(3.0, 4.0, 4.0), structures=STRUCTURES
)


class OfficialBlock(nn.Module):
    """One convolution as the published code writes it (networks/layers.py)."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        depthwise = nn.Module()
        depthwise.Conv = nn.Conv3d(cin, cout, 3, padding=1)
        depthwise.forward = depthwise.Conv.forward
        self.model = nn.Sequential(OrderedDict(conv1_1=depthwise, norm1_1=nn.InstanceNorm3d(cout), relu1_1=nn.ReLU()))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class OfficialUNet(nn.Module):
    """The published network, written after networks/Unet.py; its output is the probabilities."""

    def __init__(self, n_classes: int, c: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="trilinear")
        self.downsample = nn.MaxPool3d(2, 2)
        self.conv1_1, self.conv1_2 = OfficialBlock(1, c), OfficialBlock(c, 2 * c)
        self.conv2_1, self.conv2_2 = OfficialBlock(2 * c, 2 * c), OfficialBlock(2 * c, 4 * c)
        self.conv3_1, self.conv3_2 = OfficialBlock(4 * c, 4 * c), OfficialBlock(4 * c, 8 * c)
        self.conv4_1, self.conv4_2 = OfficialBlock(8 * c, 8 * c), OfficialBlock(8 * c, 16 * c)
        self.conv5_1, self.conv5_2 = OfficialBlock(24 * c, 8 * c), OfficialBlock(8 * c, 8 * c)
        self.conv6_1, self.conv6_2 = OfficialBlock(12 * c, 4 * c), OfficialBlock(4 * c, 4 * c)
        self.conv7_1, self.conv7_2 = OfficialBlock(6 * c, 2 * c), OfficialBlock(2 * c, 2 * c)
        self.classification = nn.Sequential(nn.Conv3d(2 * c, n_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        conv1 = self.conv1_2(self.conv1_1(x))
        conv2 = self.conv2_2(self.conv2_1(self.downsample(conv1)))
        conv3 = self.conv3_2(self.conv3_1(self.downsample(conv2)))
        out = self.conv4_2(self.conv4_1(self.downsample(conv3)))
        out = self.conv5_2(self.conv5_1(torch.cat((self.upsample(out), conv3), 1)))
        out = self.conv6_2(self.conv6_1(torch.cat((self.upsample(out), conv2), 1)))
        out = self.conv7_2(self.conv7_1(torch.cat((self.upsample(out), conv1), 1)))
        return torch.softmax(self.classification(out), dim=1)


def test_official_weights_load_and_give_the_official_probabilities() -> None:
    torch.manual_seed(1)
    official = OfficialUNet(3, 4).eval()
    ours = UNet(4, 3).eval()
    ours.load_state_dict(official.state_dict())
    patch = torch.rand(1, 1, 16, 24, 16)
    with torch.no_grad():
        torch.testing.assert_close(torch.softmax(ours(patch), dim=1), official(patch), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_gives_logits_of_each_class_at_each_voxel(name: str) -> None:
    network = replace(INFO, network=name, base_channels=8).build().eval()
    with torch.no_grad():
        assert network(torch.rand(1, 1, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_checkpoint_comes_back_with_all_that_it_says_of_itself(name: str, tmp_path: Path) -> None:
    info = replace(INFO, network=name, base_channels=8, training={"study": "s"}, step=12, metrics={"stability": 0.5})
    network = info.build().eval()
    save_segmentation(tmp_path / "m.safetensors", network, info)
    again, read = load_segmentation(tmp_path / "m.safetensors")
    assert read == info
    patch = torch.rand(1, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(again(patch), network(patch))


def test_weights_of_another_kind_are_refused_in_one_sentence(tmp_path: Path) -> None:
    prnet = PRNetInfo(
        stage="coarse",
        base_channels=4,
        patch_size=(32, 32, 32),
        spacing=(6.0, 6.0, 6.0),
        position_range=(300.0, 300.0, 300.0),
    )
    save_prnet(tmp_path / "coarse.safetensors", prnet.build(), prnet)
    with pytest.raises(InputError, match=r"expected a segmentation network, found weights of another kind \(prnet\)"):
        load_segmentation(tmp_path / "coarse.safetensors")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network": "transformer"}, "expected a network of unet"),
        ({"patch_size": [16, 16, 12]}, "multiples of 8"),
        ({"spacing": [0.0, 1.0, 1.0]}, "expected a spacing"),
        ({"base_channels": 5}, "do not fit the network"),
        ({"structures": []}, "expected structures"),
        ({"structures": [{"value": 3}]}, "expected a full description"),
        ({"extra": 1}, "expected a full description"),
    ],
)
def test_a_description_that_cannot_be_is_refused(change: dict[str, object], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_segmentation(path, INFO.build(), INFO)
    tensors, description = load_tensors(path)
    save_tensors(path, tensors, {**description, **change})
    with pytest.raises(InputError, match=sentence):
        load_segmentation(path)


def test_weights_that_are_no_numbers_are_neither_written_nor_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    network = INFO.build()
    save_segmentation(path, network, INFO)
    tensors, description = load_tensors(path)
    first = next(iter(tensors))
    save_tensors(path, tensors | {first: torch.full_like(tensors[first], math.nan)}, description)
    with pytest.raises(InputError, match="found NaN"):
        load_segmentation(path)
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    with pytest.raises(ValueError, match="NaN"):
        save_segmentation(tmp_path / "other.safetensors", network, INFO)
    assert not (tmp_path / "other.safetensors").exists()
