"""What the benchmarks share: timing that other load hardly affects, the machine's own limits, and memory.

Clock time suffers from whatever else runs; CPU time (all threads of the process together) much less. Ratios between
rows of one run suffer least. On a GPU only the clock counts, and only once the GPU has done what it was asked.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Took:
    """Seconds by the clock, and of all cores."""

    clock: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Took:
        """The clocks' readings once the GPU, if one is in use, has nothing left to do."""
        _wait_for_gpu()
        return cls(time.perf_counter(), time.process_time())

    def __mul__(self, times: float) -> Took:
        return Took(self.clock * times, self.cpu * times)

    def __add__(self, other: Took) -> Took:
        return Took(self.clock + other.clock, self.cpu + other.cpu)


@contextmanager
def timed() -> Iterator[Took]:
    """Measures what is done within."""
    took, before = Took(), Took.now()
    yield took
    after = Took.now()
    took.clock, took.cpu = after.clock - before.clock, after.cpu - before.cpu


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def time_of(work: Callable[[], Any], repeats: int = 3, warm_up: bool = True) -> Took:
    """The median of several runs, after one that does not count."""
    if warm_up:
        work()
    runs = []
    for _ in range(repeats):
        with timed() as took:
            work()
        runs.append(took)
    return Took(*(statistics.median(getattr(run, name) for run in runs) for name in ("clock", "cpu")))


def peak_megabytes() -> float:
    """The most memory this process has used so far, libraries included."""
    if sys.platform == "linux":
        # What getrusage gives is not reset where a process starts another program: a large parent's peak would count.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10


def peak_gpu_megabytes() -> float:
    """The most GPU memory that tensors of this process have taken so far; 0 without a GPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0


@dataclass(frozen=True)
class Rates:
    """What this machine can do per CPU second with the threads PyTorch has now, or a GPU per second of the clock.

    Attributes:
        gigaflops: Operations (10^9; a multiplication and an addition are two) in a product of float32 matrices.
        gigabytes: Bytes (10^9) read and written in a sum of two arrays far larger than the caches.
    """

    gigaflops: float
    gigabytes: float

    @classmethod
    def measure(cls, device: torch.device, edge: int = 2048, megabytes: int = 256) -> Rates:
        """Measure both, the best of several runs."""
        unit = clock_of(device)
        edge = edge if device.type == "cpu" else 4 * edge  # a GPU needs more to be busy
        a, b = (torch.rand(edge, edge, device=device) for _ in range(2))
        matrix = min(getattr(time_of(lambda: a @ b, 1), unit) for _ in range(5))
        first, second = (torch.rand(megabytes * 2**18, device=device) for _ in range(2))
        result = torch.empty_like(first)
        copy = min(getattr(time_of(lambda: torch.add(first, second, out=result), 1), unit) for _ in range(5))
        return cls(2 * edge**3 / matrix / 1e9, 3 * first.nbytes / copy / 1e9)


def clock_of(device: torch.device) -> str:
    """Which of the seconds of ``Took`` count: the CPU's, or with a GPU the clock's."""
    return "cpu" if device.type == "cpu" else "clock"


class _ByteMode(TorchDispatchMode):
    """Adds up the tensors that each operation reads and writes; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            moved = (leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor))
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in moved)
        return result


@dataclass
class Counter:
    """Operations and bytes of the PyTorch calls within, as they were called; NumPy's and Numba's do not count."""

    _flops: FlopCounterMode = field(default_factory=lambda: FlopCounterMode(display=False))
    _bytes: _ByteMode = field(default_factory=_ByteMode)

    def __enter__(self) -> Counter:
        self._flops.__enter__()
        self._bytes.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bytes.__exit__(*error)
        self._flops.__exit__(*error)

    def read(self) -> tuple[float, float]:
        """GFLOP and GB so far."""
        return self._flops.get_total_flops() / 1e9, self._bytes.bytes / 1e9


def describe(device: torch.device | None = None) -> str:
    """The machine, in words."""
    model = ""
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    cpu = f"{model or 'CPU'}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"
    return cpu if device is None or device.type == "cpu" else f"{torch.cuda.get_device_name(device)}, {cpu}"
