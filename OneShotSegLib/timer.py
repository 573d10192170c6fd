"""How long a piece of work takes, step by step, and durations in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnStep = Callable[[str], None]


def ignore_steps(step: str) -> None:
    """An ``on_step`` that does nothing."""


class StepTimer:
    """Times named steps and announces each as it begins.

    Attributes:
        seconds: Time of each step that ended without an error, by name, in the order of their first ends; that of a
            step that comes several times is added up.

    Args:
        on_step: Called with each step's name as it begins.
    """

    def __init__(self, on_step: OnStep = ignore_steps) -> None:
        self._on_step = on_step
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time the block as this step."""
        self._on_step(step)
        started = time.perf_counter()
        yield
        self.seconds[step] = round(self.seconds.get(step, 0.0) + time.perf_counter() - started, 3)


def in_words(seconds: float) -> str:
    """A duration for people: seconds, minutes or hours."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
