"""Reaching a Dask cluster, or starting one on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.networks.device import choose_device

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 15
LOCAL = "127.0.0.1"


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """A client of the cluster at this address.

    Raises:
        InputError: If Dask is not installed, or no cluster answers.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{scheduler}: expected the address of a Dask scheduler, found none that answers.") from error
    with client:
        yield client


@contextmanager
def started(workers: int, device: str) -> Iterator[Client]:
    """A client of so many worker processes on this machine, one per GPU where there are GPUs; they end with the block.

    Raises:
        InputError: If Dask is not installed, or there are fewer GPUs than workers.
    """
    distributed = _distributed()
    options = [_options(number, workers, device) for number in range(workers)]
    cluster = distributed.SpecCluster(
        scheduler={"cls": distributed.Scheduler, "options": {"host": LOCAL, "dashboard": False}},
        workers={number: {"cls": distributed.Nanny, "options": option} for number, option in enumerate(options)},
        silence_logs=40,
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


def _options(number: int, workers: int, device: str) -> dict[str, Any]:
    threads = os.environ.get("OMP_NUM_THREADS") or str(max((os.cpu_count() or 1) // workers, 1))
    environment = {name: threads for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    options: dict[str, Any] = {"host": LOCAL, "nthreads": 1, "memory_limit": None, "dashboard": False}
    if choose_device(device).type == "cuda":
        gpus = torch.cuda.device_count()
        if workers > gpus:
            raise InputError(f"Expected at most {gpus} workers, one per GPU, found {workers}: or take --device cpu.")
        environment["CUDA_VISIBLE_DEVICES"] = _visible(number)
        options["resources"] = {"GPU": 1}
    return {**options, "env": environment}


def _visible(number: int) -> str:
    """The name of the GPU with this number among those that this process may use."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return names.split(",")[number] if names else str(number)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "Expected Dask for --workers and --scheduler, found none: pip install 'OneShotSegLib[cluster]'."
        ) from error
    return distributed
