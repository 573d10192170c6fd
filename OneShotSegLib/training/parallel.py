"""Training on several devices: one process a device, started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from OneShotSegLib.networks.device import choose_device


@dataclass(frozen=True)
class Ranks:
    """Which of several processes this is.

    Attributes:
        rank: Number of this process, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and emits events."""
        return self.rank == 0

    def share(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with gradients averaged over all processes, from the same weights in each."""
        if self.count == 1:
            return network
        return DistributedDataParallel(network, [device] if device.type == "cuda" else None)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in each of them."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def join_ranks(device_name: str) -> Iterator[tuple[Ranks, torch.device]]:
    """Join the processes that ``torchrun`` started; without it, this is the only one.

    Args:
        device_name: "auto", "cpu", "cuda" or "cuda:N"; several processes take one GPU each unless it is "cpu".

    Yields:
        Which process this is, and where it trains.

    Raises:
        InputError: If the device is not there.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(), choose_device(device_name)
        return
    device = choose_device(device_name)
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), count), device
    finally:
        dist.destroy_process_group()
