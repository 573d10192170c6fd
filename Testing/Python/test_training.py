"""Self-supervised training: exact relations, resuming after a kill, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.networks.checkpoint import PRNetInfo, load_prnet
from OneShotSegLib.networks.patches import PatchSource
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.training.augmentation import Augmentation, mask_boxes, rotation_matrix
from OneShotSegLib.training.command import PRNetRequest, train_weights
from OneShotSegLib.training.prnet import PRNetTrainer, TrainingSettings, TrainingVolume

INFO = PRNetInfo("coarse", 4, (32, 32, 32), (6.0, 6.0, 6.0), (300.0, 300.0, 300.0))
SETTINGS = TrainingSettings(steps=6, volumes_per_step=1, patches_per_volume=3, validate_every=3, learning_rate=5e-3)


@pytest.fixture(scope="module")
def volumes() -> list[TrainingVolume]:
    """Smooth volumes whose intensities differ along every axis, so that places can be told apart."""
    made = []
    for seed in range(2):
        z, y, x = np.indices((24, 26, 28)) / 27
        noise = np.random.default_rng(seed).normal(0, 0.02, z.shape)
        array = np.clip(0.2 + 0.5 * z + 0.2 * np.sin(5 * y) + 0.2 * x**2 + noise, 0.01, 1).astype(np.float32)
        source = PatchSource.from_volume(Volume.create(array, (6, 6, 6), (5, -20, 40)))
        made.append(TrainingVolume.from_source(source))
    return made


def trainer(volumes: list[TrainingVolume], output: Path, **changes: object) -> PRNetTrainer:
    return PRNetTrainer(INFO, replace(SETTINGS, **changes), volumes[:1], volumes[1:], output)  # type: ignore[arg-type]


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
    training = trainer(volumes, tmp_path / "coarse.safetensors")
    generator = torch.Generator().manual_seed(3)
    linear = training.settings.augmentation.draw_linear(torch.Generator().manual_seed(3))
    _, places = training._draw_patches(volumes[0], generator)
    again = torch.Generator().manual_seed(3)
    training.settings.augmentation.draw_linear(again)
    centres = training._draw_centres(volumes[0], again, 3)
    torch.testing.assert_close((places[0] - places[1]) @ linear.T, centres[0] - centres[1], atol=1e-3, rtol=1e-4)


def test_training_makes_the_localisation_error_smaller(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    training = trainer(volumes, tmp_path / "coarse.safetensors", steps=40, validate_every=40, patches_per_volume=6)
    before = training.measure_error()
    training.run()
    assert training.error_mm < before


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(volumes: list[TrainingVolume], tmp_path: Path) -> None:
    unbroken = trainer(volumes, tmp_path / "unbroken.safetensors")
    unbroken.run()

    class KilledError(Exception):
        pass

    def kill(progress: object) -> None:
        raise KilledError

    broken = trainer(volumes, tmp_path / "broken.safetensors")
    with pytest.raises(KilledError):
        broken.run(kill)
    resumed = trainer(volumes, tmp_path / "broken.safetensors")
    resumed.run()
    assert resumed.step == 6
    assert not resumed.state_path.exists()
    for one, other in zip(unbroken.network.parameters(), resumed.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_command_writes_weights_that_can_be_loaded(phantoms: CohortFiles, tmp_path: Path) -> None:
    request = PRNetRequest(
        [phantoms.support, *phantoms.queries], tmp_path / "own", steps=2, base_channels=4, hold_out=1
    )
    train_weights(request)
    network, info = load_prnet(tmp_path / "own" / "fine.safetensors")
    assert info.stage == "fine"
    assert info.step == 2
    assert info.metrics["held_out_error_mm"] > 0
    assert network.base_channels == 4


def test_too_few_volumes_are_refused_in_a_sentence(phantoms: CohortFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected more than 4 CTs"):
        train_weights(PRNetRequest([phantoms.support], tmp_path / "own"))
