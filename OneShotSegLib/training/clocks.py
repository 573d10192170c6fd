"""How long trainings take: in all, and part by part."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class TotalTime:
    """The time that a training took so far, earlier runs included.

    Args:
        seconds: Of earlier runs, by the clock.
        cpu_seconds: Of earlier runs, of all processor cores together.
    """

    def __init__(self, seconds: float, cpu_seconds: float) -> None:
        self._before, self._started = (seconds, cpu_seconds), (time.monotonic(), time.process_time())

    @property
    def this_run(self) -> float:
        """Seconds of this run by the clock."""
        return time.monotonic() - self._started[0]

    def read(self) -> tuple[float, float]:
        """Seconds by the clock and of all cores, earlier runs included."""
        return self._before[0] + self.this_run, self._before[1] + time.process_time() - self._started[1]


class PartTimes:
    """How long each time took that a part of a training was done."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Count the block as this part."""
        started = time.monotonic()
        yield
        self._seconds[part].append(time.monotonic() - started)

    def mean(self, part: str, otherwise: float = 0.0, latest: int = 0) -> float:
        """Mean seconds of a part.

        Args:
            part: The part.
            otherwise: What is returned for a part that was not done yet.
            latest: Take only so many of the latest times; 0 for all.
        """
        seconds = self._seconds[part][-latest:]
        return sum(seconds) / len(seconds) if seconds else otherwise
