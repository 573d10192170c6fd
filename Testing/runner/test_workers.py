"""How many worker processes there are: what was asked for, as far as memory suffices."""

from __future__ import annotations

from pathlib import Path

import pytest

from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.runner import workers
from OneShotSegLib.runner.warning_events import collected_warnings
from OneShotSegLib.runner.workers import LEFT_FREE, WORKER_BYTES, workers_that_fit

SMALL, LARGE = (
    FoundCT(path=Path("small.nii"), size=(64, 64, 64)),
    FoundCT(path=Path("large.nii"), size=(512, 512, 1000)),
)


@pytest.mark.parametrize(
    ("cts", "gigabytes", "fitting"), [([SMALL], 16, 8), ([SMALL], 5, 3), ([SMALL, LARGE], 16, 5), ([LARGE], 1, 1)]
)
def test_workers_are_as_many_as_memory_suffices_for(
    cts: list[FoundCT], gigabytes: int, fitting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_free_bytes", lambda: gigabytes * 2**30)
    with collected_warnings() as said:
        assert workers_that_fit(8, cts) == fitting
    assert said == ([] if fitting == 8 else [f"Memory suffices for {fitting} of 8 workers: only so many are started."])


def test_where_memory_cannot_be_told_all_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_free_bytes", lambda: None)
    assert workers_that_fit(8, [LARGE]) == 8


def test_a_query_without_a_readable_header_counts_for_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workers, "_free_bytes", lambda: LEFT_FREE + 3 * WORKER_BYTES)
    assert workers_that_fit(8, [FoundCT(path=tmp_path / "gone.nii")]) == 3
    assert workers_that_fit(8, [FoundCT(path=tmp_path)]) == 1  # a DICOM folder: one of the usual size is reckoned with
