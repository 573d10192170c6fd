"""Reading the next case's CT while the present one is computed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.runner.warning_events import collected_warnings
from OneShotSegLib.study.case_ct import read_case_ct
from OneShotSegLib.study.description import StudyCase

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrefetchedCT:
    """A CT that is being read in another thread, and what was logged there as warnings."""

    reading: Future[tuple[Volume, list[str]]]

    def result(self) -> Volume:
        """The CT, once it is read; its warnings are logged in this thread, so that they count for the case."""
        volume, warnings = self.reading.result()
        for text in warnings:
            log.warning("%s", text)
        return volume


def prefetch(
    cases: Iterable[StudyCase], prepare: Callable[[Volume], Any] = lambda ct: None
) -> Iterator[tuple[StudyCase, PrefetchedCT]]:
    """Each case with its CT, the next one being read meanwhile; at most two CTs are held.

    Args:
        cases: The cases.
        prepare: What is done with a CT as soon as it is read, in the thread that reads; what it raises is left to who
            does the same with the CT later.
    """
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        previous: tuple[StudyCase, PrefetchedCT] | None = None
        for case in cases:
            current = (case, PrefetchedCT(reader.submit(_read, case, prepare)))
            if previous is not None:
                yield previous
            previous = current
        if previous is not None:
            yield previous
    finally:
        # A cancelled run does not wait for a CT that nobody needs any more.
        reader.shutdown(wait=False, cancel_futures=True)


def _read(case: StudyCase, prepare: Callable[[Volume], Any]) -> tuple[Volume, list[str]]:
    with collected_warnings() as warnings:
        volume = read_case_ct(case.source, case.series)
        with suppress(Exception):
            prepare(volume)
        return volume, warnings
