"""Running patches through a network in batches, smaller ones where the device's memory does not suffice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

BATCH = 32
Part = TypeVar("Part")

log = logging.getLogger(__name__)


def in_batches(call: Callable[[Tensor], Part], positions: Tensor, size: int = BATCH) -> Iterator[Part]:
    """The results of a function of positions (N, 3), called with at most ``size`` of them at a time.

    Where the GPU's memory does not suffice the batch is halved, as often as need be, and a warning is logged.

    Yields:
        One result per call, in the positions' order; together they cover all positions.

    Raises:
        torch.cuda.OutOfMemoryError: If even one position is too much.
    """
    start = 0
    while start == 0 or start < len(positions):
        try:
            with torch.inference_mode():
                part = call(positions[start : start + size])
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            log.warning("The GPU's memory did not suffice: going on with %d patches at a time.", size)
        else:
            yield part
            start += size
            continue
        # Outside the except block: the error's traceback holds the tensors whose memory is to be released.
        release_gpu_memory()


def release_gpu_memory() -> None:
    """Return the GPU memory that PyTorch keeps in reserve but does not use."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
