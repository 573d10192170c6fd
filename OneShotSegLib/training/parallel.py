"""Several GPUs under torchrun, seen from one process."""

from __future__ import annotations

import os

import torch
from torch import nn


class Parallel:
    """The processes that train together; one alone unless torchrun started more.

    Attributes:
        rank: This process's number.
        size: Number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def from_environment(cls, device: torch.device) -> tuple[Parallel, torch.device]:
        """Join the processes that torchrun's environment names; the device becomes this process's own."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size < 2 or "RANK" not in os.environ:
            return cls(), device
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if device.type == "cuda":
            device = torch.device("cuda", local)
            torch.cuda.set_device(device)
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size()), device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and tells how it goes on."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the processes."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()

    def close(self) -> None:
        """Leave the group."""
        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
