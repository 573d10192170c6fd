"""Reading the next case's CT while the present one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import read_case_ct
from OneShotSegLib.study.description import StudyCase


def prefetch(cases: Iterable[StudyCase]) -> Iterator[tuple[StudyCase, Future[Volume]]]:
    """Each case with its CT, the next one being read meanwhile; at most two CTs are held."""
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        previous: tuple[StudyCase, Future[Volume]] | None = None
        for case in cases:
            current = (case, reader.submit(read_case_ct, case.source, case.series))
            if previous is not None:
                yield previous
            previous = current
        if previous is not None:
            yield previous
    finally:
        # A cancelled run does not wait for a CT that nobody needs any more.
        reader.shutdown(wait=False, cancel_futures=True)
