"""The costs of all offsets and the choice among them, by compiled loops, by PyTorch and by their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from OneShotSegLib.method.descriptors import BITS, CHANNELS
from OneShotSegLib.method.displacement import ControlGrid
from OneShotSegLib.method.offset_search import (
    MIN_IN_VIEW,
    Offsets,
    _choose_compiled,
    block_costs,
    block_costs_by_torch,
    choose_by_torch,
    smooth_offsets,
)

SPACING = np.array([3.0, 4.0, 5.0])
GRID = ControlGrid(low=np.zeros(3), spacing=SPACING, step=np.array([4, 3, 1]), cells=np.array([3, 2, 5]))
PAD = np.array([3, 2, 2])
OFFSETS = Offsets.within(10.0, SPACING)


def words(shape: tuple[int, ...], seed: int, in_view: float = 1.0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 1 << (CHANNELS * BITS), shape, dtype=np.int64)
    seen = generator.random(shape) < in_view
    return torch.from_numpy(np.where(seen, values | np.iinfo(np.int64).min, values))


def reference_and_query(in_view: float = 0.9) -> tuple[torch.Tensor, torch.Tensor]:
    return words(GRID.shape, 0, in_view), words(tuple((np.asarray(GRID.shape) + 2 * PAD).tolist()), 1, in_view)


def cost_by_definition(point: tuple[int, ...], offset: np.ndarray) -> float:
    """The share of differing bits in the block around one control point, NaN where too little is in view."""
    first, second = (one.numpy() for one in reference_and_query())
    bits = seen = voxels = 0
    middle = np.asarray(point) * GRID.step
    for index in np.ndindex(*GRID.shape):
        if (np.abs(np.asarray(index) - middle) < GRID.step).all():
            voxels += 1
            own, other = int(first[index]), int(second[tuple(np.asarray(index) + PAD + offset)])
            if own < 0 and other < 0:
                seen += 1
                bits += ((own ^ other) & ((1 << 60) - 1)).bit_count()
    return bits / (60 * seen) if seen >= MIN_IN_VIEW * voxels else np.nan


@pytest.mark.parametrize("point", [(0, 0, 0), (1, 1, 2), (3, 2, 5)])
def test_a_cost_is_the_share_of_differing_bits_in_a_block(point: tuple[int, ...]) -> None:
    costs = block_costs(*reference_and_query(), PAD, GRID, OFFSETS)
    for number in (0, len(OFFSETS.voxels) // 2, len(OFFSETS.voxels) - 1):
        expected = cost_by_definition(point, OFFSETS.voxels[number])
        assert float(costs[(*point, number)]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("in_view", [1.0, 0.55, 0.0])
def test_the_compiled_costs_are_those_of_pytorch(in_view: float) -> None:
    reference, query = reference_and_query(in_view)
    found = block_costs(reference, query, PAD, GRID, OFFSETS)
    torch.testing.assert_close(found, block_costs_by_torch(reference, query, PAD, GRID, OFFSETS), atol=1e-6, rtol=0)


def test_several_threads_find_the_same_costs() -> None:
    alone = block_costs(*reference_and_query(), PAD, GRID, OFFSETS)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(block_costs(*reference_and_query(), PAD, GRID, OFFSETS), alone)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("between", [True, False])
def test_the_compiled_choice_is_that_of_pytorch(between: bool) -> None:
    costs = torch.rand((4, 3, 6, len(OFFSETS.voxels)), generator=torch.Generator().manual_seed(0))
    field = 6 * torch.rand((3, 4, 3, 6), generator=torch.Generator().manual_seed(1)) - 3
    found = _choose_compiled(costs, OFFSETS, field, 0.003, between)
    torch.testing.assert_close(found, choose_by_torch(costs, OFFSETS, field, 0.003, between), atol=1e-3, rtol=0)


def test_neighbours_are_the_next_offsets_of_the_ball() -> None:
    for number, offset in enumerate(OFFSETS.mm):
        for axis in range(3):
            for way, neighbour in zip((-1, 1), OFFSETS.neighbours[number, axis], strict=True):
                place = offset + way * OFFSETS.step_mm[axis] * np.eye(3)[axis]
                if neighbour < 0:
                    assert np.linalg.norm(place) > 10.0
                else:
                    assert np.allclose(OFFSETS.mm[neighbour], place)


def test_a_wide_search_tries_every_third_voxel() -> None:
    wide = Offsets.within(32.0, SPACING)
    assert not (wide.voxels % 3).any()
    assert np.allclose(wide.step_mm, 3 * SPACING)
    assert np.linalg.norm(wide.mm, axis=1).max() <= 32.0


def test_one_point_against_all_others_gives_way_to_them() -> None:
    """The stiffness holds the offsets together: a lone minimum elsewhere is overruled."""
    distance = ((OFFSETS.mm - OFFSETS.mm[0]) ** 2).sum(axis=1)
    costs = torch.as_tensor(0.1 * distance, dtype=torch.float32).expand(5, 5, 5, -1).clone()
    costs[2, 2, 2] = costs[2, 2, 2].flip(0)
    held = smooth_offsets(costs, OFFSETS, 1.0, False)
    loose = smooth_offsets(costs, OFFSETS, 0.0, False)
    others = torch.as_tensor(OFFSETS.mm[0], dtype=torch.float32)
    assert torch.linalg.norm(held[:, 2, 2, 2] - others) < 0.5
    assert torch.linalg.norm(loose[:, 2, 2, 2] - others) > 0.5
