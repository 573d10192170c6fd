"""Self-supervised training: exact relations, resuming after a kill, stopping in time, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.checkpoint import load_prnet, save_prnet
from OneShotSegLib.training.prnet.augmentation import Augmentation, mask_boxes, rotation_matrix
from OneShotSegLib.training.prnet.trainer import Progress
from OneShotSegLib.training.prnet.volumes import TrainingVolume
from Testing.helpers.training_volumes import INFO, make_trainer, make_training_volumes


@pytest.fixture(scope="module")
def volumes() -> list[TrainingVolume]:
    return make_training_volumes()


def test_masking_blanks_an_eighth_of_a_patch_on_average() -> None:
    masked = mask_boxes(torch.ones(200, 1, 32, 32, 32), torch.Generator().manual_seed(0))
    assert 0.09 < float((masked == 0).float().mean()) < 0.15


def test_a_rotation_keeps_lengths() -> None:
    turn = rotation_matrix(torch.tensor([0.3, -0.2, 0.5]))
    torch.testing.assert_close(turn @ turn.T, torch.eye(3))


def test_air_stays_air_whatever_happens_to_the_intensity() -> None:
    patches = torch.zeros(2, 1, 16, 16, 16)
    patches[..., 8:] = 0.5
    changed = Augmentation(noise=0.1, shift=0.2).change_intensity(patches, torch.Generator().manual_seed(1))
    assert not changed[..., :8].any()
    assert (changed[..., 8:] != 0.5).any()


def test_relations_in_the_changed_frame_are_exact(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    training = make_trainer(volumes, tmp_path / "coarse.safetensors")
    generator = torch.Generator().manual_seed(3)
    linear = training.settings.augmentation.draw_linear(torch.Generator().manual_seed(3))
    _, places = training._draw_patches(volumes[0], generator)
    again = torch.Generator().manual_seed(3)
    training.settings.augmentation.draw_linear(again)
    centres = training._draw_centres(volumes[0], again, 3)
    torch.testing.assert_close((places[0] - places[1]) @ linear.T, centres[0] - centres[1], atol=1e-3, rtol=1e-4)


def test_training_makes_the_localisation_error_smaller(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    training = make_trainer(volumes, tmp_path / "coarse.safetensors", steps=40, validate_every=40, patches_per_volume=6)
    before = training.measure_error()
    training.run()
    assert training.best_step == 40
    assert training.best_mm < 0.9 * before


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    unbroken = make_trainer(volumes, tmp_path / "unbroken.safetensors")
    unbroken.run()

    class KilledError(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.check.step == 3:
            raise KilledError

    broken = make_trainer(volumes, tmp_path / "broken.safetensors")
    with pytest.raises(KilledError):
        broken.run(kill)
    resumed = make_trainer(volumes, tmp_path / "broken.safetensors")
    resumed.run()
    assert resumed.step == 6
    assert not resumed.state_path.exists()
    for one, other in zip(unbroken.network.parameters(), resumed.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_boxes_blanked_at_once_are_those_blanked_one_by_one() -> None:
    patches = torch.rand(3, 1, 32, 48, 16) + 0.1
    masked = mask_boxes(patches, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    rounds = torch.randint(1, 17, (3, 1), generator=generator)
    starts = [torch.randint(0, n - n // 4 + 1, (3, 16, 1), generator=generator) for n in (32, 48, 16)]
    expected = patches.clone()
    for patch in range(3):
        for box in range(int(rounds[patch])):
            z, y, x = (int(start[patch, box]) for start in starts)
            expected[patch, 0, z : z + 8, y : y + 12, x : x + 4] = 0
    assert torch.equal(masked, expected)


def test_a_cut_field_of_view_leaves_air_on_one_side_of_a_plane() -> None:
    source = make_training_volumes(1)[0].source
    points = source.grid(torch.tensor([[60.0, 50.0, 120.0]]), (16, 16, 16))
    patches = torch.ones(1, 1, 16, 16, 16)
    cut = Augmentation(cut_probability=1.0).cut_field_of_view(patches, points, torch.Generator().manual_seed(2))
    profile = cut[0, 0].mean(dim=(1, 2))
    assert set(profile.tolist()) == {0.0, 1.0}
    assert int(profile.diff().abs().sum()) == 1


def test_training_stops_when_the_error_no_longer_falls(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    training = make_trainer(
        volumes, tmp_path / "coarse.safetensors", steps=50, validate_every=1, patience=2, learning_rate=1e-9
    )
    error = iter((30.0, 20.0, 21.0, 22.0, 10.0))
    training.measure_error = lambda: next(error)  # type: ignore[method-assign, assignment, misc]
    info = training.run()
    assert training.step == 3
    assert info.step == 1
    assert info.metrics["held_out_error_mm"] == 20.0


def test_the_best_weights_are_kept_not_the_last(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    training = make_trainer(volumes, tmp_path / "coarse.safetensors", steps=3, validate_every=1)
    weights, error = [], iter((30.0, 20.0, 25.0, 26.0))

    def note_weights() -> float:
        weights.append(training.network.fc3.weight.detach().clone())
        return next(error)

    training.measure_error = note_weights  # type: ignore[method-assign, assignment]
    training.run()
    kept, info = load_prnet(tmp_path / "coarse.safetensors")
    assert info.step == 1
    assert torch.equal(kept.fc3.weight, weights[1])
    assert not torch.equal(weights[1], weights[3])


def test_training_goes_on_from_given_weights_and_never_ends_with_worse_ones(
    volumes: list[TrainingVolume], tmp_path: Path
) -> None:
    first = make_trainer(volumes, tmp_path / "first.safetensors")
    first.run()
    # A learning rate that ruins everything.
    second = make_trainer(
        volumes, tmp_path / "second.safetensors", start_from=tmp_path / "first.safetensors", learning_rate=50.0
    )
    assert second.measure_error() == pytest.approx(first.best_mm, rel=1e-3)
    assert second.run().metrics["held_out_error_mm"] <= first.best_mm * 1.001


def test_weights_of_another_size_to_go_on_from_are_refused_in_a_sentence(
    volumes: list[TrainingVolume], tmp_path: Path
) -> None:
    wider = replace(INFO, base_channels=8)
    save_prnet(tmp_path / "wide.safetensors", wider.build(), wider)
    with pytest.raises(InputError, match=r"4 base channels .* found 8 base channels"):
        make_trainer(volumes, tmp_path / "own.safetensors", start_from=tmp_path / "wide.safetensors")


def test_timing_a_few_steps_changes_nothing(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    training = make_trainer(volumes, tmp_path / "coarse.safetensors")
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    assert training.seconds_needed() > 0
    assert training.step == 0
    for name, value in training.network.state_dict().items():
        assert torch.equal(value, before[name])
