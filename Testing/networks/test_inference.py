"""A network on a CT: the CT's own grid, tidy structures, flips that leave left and right, scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from OneShotSegLib.imaging.components import fill_holes, keep_largest
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import Segment, read_label_map
from OneShotSegLib.imaging.probabilities import most_likely
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.inference import Segmenter, SegmentOptions, segment_ct
from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo, save_segmentation
from OneShotSegLib.networks.sliding import predict_probabilities
from OneShotSegLib.runner.request import SegmentationRequest
from OneShotSegLib.runner.segmentation import segment_batch
from OneShotSegLib.scoring.overlap import expected_dice
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.review import ReviewLedger

BONE = Segment(value=4, name="Bone", color=(0.9, 0.9, 0.7))
INFO = SegmentationInfo(
    network="unet", base_channels=2, patch_size=(16, 16, 16), spacing=(4.0, 4.0, 4.0), structures=(BONE,)
)
FLIPPED_X_AND_TURNED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


class BrightIsBone(nn.Module):
    """Calls bright voxels bone."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((torch.zeros_like(x), (x - 0.85) * 100), dim=1)


class LeftHalf(nn.Module):
    """Calls the half of a patch with the lower x a structure, so that a left-right flip would show."""

    def forward(self, x: Tensor) -> Tensor:
        half = torch.zeros_like(x)
        half[..., : x.shape[-1] // 2] = 10
        return torch.cat((torch.full_like(x, 5.0), half), dim=1)


def bony_ct(direction: np.ndarray | None = None) -> tuple[Volume, np.ndarray]:
    """Tissue in air with a bone off its middle."""
    array = np.full((30, 40, 50), -1000, dtype=np.int16)
    array[2:28, 4:36, 4:46] = 40
    bone = np.zeros(array.shape, dtype=bool)
    bone[8:20, 10:26, 8:24] = True
    array[bone] = 1200
    return Volume.create(array, (2.5, 2.0, 2.0), (10.0, -20.0, 5.0), direction), bone


def bone_segmenter() -> Segmenter:
    return Segmenter(file=Path("model"), network=BrightIsBone(), info=INFO, device=torch.device("cpu"))


@pytest.mark.parametrize("direction", [None, FLIPPED_X_AND_TURNED], ids=["axis-aligned", "turned"])
def test_the_result_lies_on_the_cts_own_grid_in_any_orientation(direction: np.ndarray | None) -> None:
    ct, bone = bony_ct(direction)
    labels = segment_ct(bone_segmenter(), ct).labels
    assert labels.same_grid(ct)
    assert set(np.unique(labels.array)) == {0, BONE.value}
    found = labels.array == BONE.value
    assert 2 * np.count_nonzero(found & bone) / (np.count_nonzero(found) + np.count_nonzero(bone)) > 0.85


def test_flips_never_swap_left_and_right() -> None:
    image = torch.rand(16, 16, 16)
    plain = predict_probabilities(LeftHalf(), image, (16, 16, 16))
    flipped = predict_probabilities(LeftHalf(), image, (16, 16, 16), flips=True)
    torch.testing.assert_close(plain, flipped)
    assert bool((plain[1, ..., :8] > 0.9).all())
    assert bool((plain[1, ..., 8:] < 0.1).all())


def test_probabilities_are_blended_to_one_over_overlapping_windows() -> None:
    found = predict_probabilities(BrightIsBone(), torch.rand(20, 37, 25), (16, 16, 16), overlap=0.5)
    assert found.shape == (2, 20, 37, 25)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(20, 37, 25))


def test_borders_are_finer_than_the_working_voxels() -> None:
    grid = Volume.create(np.zeros((8, 8, 8)), (4.0, 4.0, 4.0))
    ramp = np.clip((np.arange(8) - 2.75) / 2, 0, 1).astype(np.float32)  # passes 0.5 at 3.75 voxels, 15 mm
    inside = np.broadcast_to(ramp[:, None, None], (8, 8, 8))
    target = Volume.create(np.zeros((32, 8, 8)), (1.0, 4.0, 4.0))
    found = most_likely(np.stack([1 - inside, inside]), grid, target)
    assert int(np.argmax(found[:, 4, 4])) == 16  # the first voxel over 15 mm


def test_a_structure_outside_the_volume_is_not_painted() -> None:
    grid = Volume.create(np.zeros((8, 8, 8)), (4.0, 4.0, 4.0))
    probabilities = np.zeros((2, 8, 8, 8), dtype=np.float32)
    probabilities[0], probabilities[1, 2, 2, 2] = 0.5, 1.0
    far = Volume.create(np.zeros((4, 4, 4)), (4.0, 4.0, 4.0), (500.0, 0.0, 0.0))
    assert not most_likely(probabilities, grid, far).any()


def test_only_the_largest_part_of_the_structures_asked_for_stays() -> None:
    labels = np.zeros((8, 8, 8), dtype=np.uint8)
    labels[:3, :3, :3], labels[6, 6, 6] = 1, 1
    labels[0, 7, 7], labels[7, 0, :2] = 2, 2
    tidy = keep_largest(labels, (1,))
    assert np.count_nonzero(tidy == 1) == 27
    assert np.count_nonzero(tidy == 2) == 3
    assert np.count_nonzero(keep_largest(labels, (1, 2)) == 2) == 2


def test_holes_are_filled_but_other_structures_in_them_stay() -> None:
    labels = np.zeros((7, 7, 7), dtype=np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[3, 3, 3], labels[3, 3, 4] = 0, 2
    filled = fill_holes(labels, (1,))
    assert filled[3, 3, 3] == 1
    assert filled[3, 3, 4] == 2
    assert np.array_equal(fill_holes(labels, (2,)), labels)


def test_the_expected_dice_falls_with_doubt() -> None:
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[:2] = True
    assert expected_dice(mask.astype(np.float32), mask) == 1
    assert expected_dice(np.where(mask, 0.6, 0.4).astype(np.float32), mask) == pytest.approx(0.6)
    assert expected_dice(np.zeros((4, 4, 4), dtype=np.float32), np.zeros_like(mask)) == 0


def test_a_batch_ends_with_masks_scores_and_one_sentence_for_what_failed(tmp_path: Path) -> None:
    ct, _ = bony_ct()
    write_volume(ct, tmp_path / "ct" / "good.nii.gz")
    write_volume(ct.with_array(np.full(ct.shape, 7, dtype=np.int16)), tmp_path / "ct" / "flat.nii.gz")
    torch.manual_seed(0)
    save_segmentation(tmp_path / "model.safetensors", INFO.build(), INFO)
    events = []
    request = SegmentationRequest(
        model=tmp_path / "model.safetensors", volumes=[tmp_path / "ct"], output=tmp_path / "out", device="cpu"
    )
    outcome = segment_batch(request, lambda event, **fields: events.append((event, fields)))
    out = StudyPaths(tmp_path / "out")
    assert outcome.done == ("good",)
    assert outcome.failed == ("flat",)
    assert "one constant value" in next(fields["error"] for event, fields in events if event == "case_failed")
    mask = read_label_map(out.case("good").pseudo_mask)
    assert mask.volume.same_grid(ct)
    assert mask.segments == (BONE,)
    assert read_quality(out.case("good").quality).structures[0].name == "Bone"
    assert "Expected Dice" in out.report.read_text(encoding="utf-8")
    again = []
    segment_batch(request, lambda event, **fields: again.append((event, fields)))
    assert [fields.get("resumed") for event, fields in again if event == "case_done"] == [True]


def test_another_model_makes_a_new_revision_with_the_values_of_the_study(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_volume(bony_ct()[0], tmp_path / f"{name}.nii.gz")
    moved = replace(INFO, structures=(replace(BONE, name="Marrow"), replace(BONE, value=BONE.value + 1)))
    for seed, (name, info) in enumerate({"first": INFO, "second": moved}.items()):
        torch.manual_seed(seed)
        save_segmentation(tmp_path / f"{name}.safetensors", info.build(), info)
    request = SegmentationRequest(
        model=tmp_path / "first.safetensors",
        volumes=[tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"],
        output=tmp_path / "out",
        device="cpu",
    )
    segment_batch(request)
    out = StudyPaths(tmp_path / "out")
    ledger = ReviewLedger.load(out.review)
    ledger.decide("a", "accepted")
    ledger.save()
    before = out.case("a").pseudo_mask.read_bytes()
    events = []
    segment_batch(
        replace(request, model=tmp_path / "second.safetensors"), lambda event, **fields: events.append((event, fields))
    )
    (text,) = [fields["text"] for event, fields in events if event == "revision"]
    assert "other weights" in text
    assert "1 case is recomputed, 1 decided one stays" in text
    assert out.case("a").pseudo_mask.read_bytes() == before
    quality = read_quality(out.case("b").quality)
    assert quality.revision == 2
    values = {structure.name: structure.value for structure in quality.structures}
    assert values == {segment.name: segment.value for segment in StudyDescription.read(out).structures}
    assert values["Bone"] == BONE.value
    assert {s.name: s.value for s in read_label_map(out.case("b").pseudo_mask).segments} == values


def test_flips_and_tidying_are_part_of_the_options() -> None:
    ct, _ = bony_ct()
    array = ct.array.copy()
    array[24:27, 30:33, 40:43] = 1200
    speck = ct.with_array(array)
    options = SegmentOptions(flips=True, largest_component=(BONE.value,))
    assert segment_ct(bone_segmenter(), speck).labels.array[25, 31, 41] == BONE.value
    assert segment_ct(bone_segmenter(), speck, options).labels.array[25, 31, 41] == 0
