"""Batches of patches where the GPU's memory is short; the lack is injected, no GPU is needed."""

from __future__ import annotations

import logging

import pytest
import torch

from OneShotSegLib.networks.batches import in_batches

POSITIONS = torch.arange(300.0).reshape(100, 3)


class Device:
    """Doubles positions, as many at a time as fit."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.sizes: list[int] = []

    def __call__(self, positions: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(positions))
        if len(positions) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return positions * 2


@pytest.mark.parametrize("fits", [1, 3, 8, 31, 32, 1000])
def test_whatever_fits_the_result_is_the_same_and_in_order(fits: int) -> None:
    device = Device(fits)
    parts = list(in_batches(device, POSITIONS))
    torch.testing.assert_close(torch.cat(parts), POSITIONS * 2)
    assert max(map(len, parts)) <= fits


def test_a_batch_that_had_to_be_halved_stays_small_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    device = Device(9)
    with caplog.at_level(logging.WARNING):
        list(in_batches(device, POSITIONS))
    assert device.sizes == [32, 16] + [8] * 12 + [4]
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "going on with 16 patches at a time.",
        "going on with 8 patches at a time.",
    ]


def test_a_device_on_which_not_even_one_fits_says_so() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        list(in_batches(Device(0), POSITIONS))


def test_no_positions_give_one_empty_part() -> None:
    (part,) = in_batches(Device(5), POSITIONS[:0])
    assert part.shape == (0, 3)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def fail(positions: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: illegal memory access")

    with pytest.raises(RuntimeError, match="illegal"):
        list(in_batches(fail, POSITIONS))
