"""The second half of the method in small: spoilt masks, a network that learns from them, better masks."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from OneShotSegLib import phantom
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.networks.segmentation_checkpoint import load_segmentation, save_segmentation
from OneShotSegLib.runner.request import SegmentationRequest
from OneShotSegLib.runner.segmentation import chosen_values, segment_batch
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.training.segmentation.command import train_segmentation
from OneShotSegLib.training.segmentation.request import CorrectionName, SegmentationTrainingRequest
from Testing.helpers.noisy_study import STRUCTURES, NoisyStudy, mean_dice, write_noisy_study
from Testing.helpers.shared import made_once

PATIENTS = (0, 1, 2, 3, 5, 6)  # the scan of number 4 ends in the larynx


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> NoisyStudy:
    """Six coarse phantoms with spoilt masks, all pending."""
    patients = [phantom.make_patient(n, coarseness=2.0) for n in PATIENTS]
    return made_once(tmp_path_factory, "noisy", lambda folder: write_noisy_study(folder, patients))


def request_for(study: NoisyStudy, output: Path, **changes: object) -> SegmentationTrainingRequest:
    settings: dict[str, object] = {
        "base_channels": 6,
        "patch_size": (24, 32, 32),
        "spacing": (6.0, 5.0, 5.0),
        "learning_rate": 3e-3,
        "correction": CorrectionName.ensemble,
        "rounds": 2,
        "device": "cpu",
    }
    return SegmentationTrainingRequest(study=study.paths.root, output=output, **{**settings, **changes})  # type: ignore[arg-type]


def test_the_network_is_better_than_the_masks_that_it_learnt_from(study: NoisyStudy, tmp_path: Path) -> None:
    events = []
    train_segmentation(
        request_for(study, tmp_path / "model", steps=240), lambda event, **fields: events.append((event, fields))
    )
    request = SegmentationRequest(
        model=tmp_path / "model", volumes=[study.paths.root.parent / "ct"], output=tmp_path / "out", device="cpu"
    )
    segment_batch(request)
    out = StudyPaths(tmp_path / "out")
    before, after = [], []
    for name, truth in study.references.items():
        mask = read_label_map(out.case(name).pseudo_mask)
        ct = read_volume(study.paths.root.parent / "ct" / f"{name}.nii.gz")
        assert mask.volume.same_grid(ct)
        assert mask.segments == STRUCTURES
        before.append(mean_dice(study.noisy[name], truth))
        after.append(mean_dice(mask.volume.array, truth))
        assert read_quality(out.case(name).quality).score > 0
    assert np.mean(after) > np.mean(before) + 0.02, (before, after)
    assert [event for event, _ in events].count("planned") == 1
    assert (tmp_path / "model" / "training.png").stat().st_size > 5000
    assert len(json.loads((tmp_path / "model" / "training.json").read_text(encoding="utf-8"))["corrected"]) == 2
    assert out.report.is_file()
    assert ReviewLedger.load(out.review).counts()["pending"] == len(PATIENTS)
    assert StudyDescription.read(out).labels[0]["name"] == "Larynx"


def test_a_killed_training_goes_on_from_its_last_epoch_and_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    few = write_noisy_study(tmp_path, [phantom.make_patient(n, coarseness=3.0) for n in PATIENTS[:4]])
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    numbers = {"--base-channels": 6, "--learning-rate": 3e-3, "--rounds": 3, "--steps": 50}
    words = [str(part) for option in numbers.items() for part in option]
    words += ["--spacing", "6,5,5", "--patch", "24,32,32", "--correction", "ensemble", "--precision", "float32"]
    command = [sys.executable, "-m", "OneShotSegLib", "train-seg", str(few.paths.root), "--output", str(broken), *words]
    with subprocess.Popen([*command, "--device", "cpu", "--events", "json"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        next(line for line in child.stdout if b"training, step 25" in line)
        child.kill()
    assert not (broken / "model.safetensors").exists()
    settings: dict[str, object] = {"rounds": 3, "steps": 50, "precision": "float32"}
    again: list[str] = []
    train_segmentation(
        request_for(few, broken, **settings), lambda event, **fields: again.append(str(fields.get("step")))
    )
    assert any("training, step 50 " in step for step in again)
    assert not any("training, step 25 " in step for step in again)  # it goes on after it
    train_segmentation(request_for(few, unbroken, **settings))
    resumed, _ = load_segmentation(broken / "model.safetensors")
    whole, _ = load_segmentation(unbroken / "model.safetensors")
    for mine, other in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)
    assert sorted(path.name for path in broken.iterdir()) == ["model.safetensors", "training.json", "training.png"]


def test_a_network_goes_on_from_another_as_more_cases_were_reviewed(study: NoisyStudy, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train_segmentation(request_for(study, first, steps=25, rounds=0))
    request = request_for(study, second, steps=1, learning_rate=1e-6, rounds=0, start_from=first, base_channels=4)
    train_segmentation(request)
    (before, _), (after, info) = (load_segmentation(folder / "model.safetensors") for folder in (first, second))
    for mine, other in zip(after.state_dict().values(), before.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-3, rtol=1e-2)
    assert info.base_channels == 6  # its own, not what was asked for
    assert info.step == 1
    assert "started_from" in info.training


def test_a_network_of_other_structures_is_nothing_to_go_on_from(study: NoisyStudy, tmp_path: Path) -> None:
    first = tmp_path / "first"
    train_segmentation(request_for(study, first, steps=1, rounds=0))
    network, info = load_segmentation(first / "model.safetensors")
    renamed = (replace(info.structures[0], name="Tail"), *info.structures[1:])
    save_segmentation(first / "model.safetensors", network, replace(info, structures=renamed))
    with pytest.raises(InputError, match=r"to go on from, found one of Tail too"):
        train_segmentation(request_for(study, tmp_path / "second", start_from=first))


def test_a_study_of_rejected_cases_teaches_nothing(study: NoisyStudy, tmp_path: Path) -> None:
    other = write_noisy_study(tmp_path, [phantom.make_patient(0, coarseness=3.0)])
    ledger = ReviewLedger.load(other.paths.review)
    ledger.decide("phantom_00", "rejected")
    ledger.save()
    with pytest.raises(InputError, match="expected cases that are done and not rejected"):
        train_segmentation(request_for(other, tmp_path / "model"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "transformer"}, "Expected a network of unet"),
        ({"patch_size": (20, 32, 32)}, "multiples of 8"),
        ({"structures": ("Tail",)}, "Expected structures of Larynx"),
        ({"precision": "int8"}, "Expected a precision"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    changes: dict[str, object], sentence: str, study: NoisyStudy, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        train_segmentation(request_for(study, tmp_path / "model", **changes))


def test_a_folder_with_other_files_is_no_place_for_a_model(study: NoisyStudy, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="found a folder with other files"):
        train_segmentation(request_for(study, tmp_path))


def test_structures_are_chosen_by_name_or_value() -> None:
    assert chosen_values("all", STRUCTURES) == (STRUCTURES[0].value,)
    assert chosen_values("none", STRUCTURES) == ()
    assert chosen_values("larynx", STRUCTURES) == chosen_values(str(STRUCTURES[0].value), STRUCTURES)
    with pytest.raises(InputError, match="found 'tail'"):
        chosen_values("tail", STRUCTURES)
