"""One case ends as a result or as one sentence, whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference import engine as engine_module
from OneShotSegLib.inference.engine import Engine, LoadedModels
from OneShotSegLib.method.support import ScribbledCT, prepare_support
from OneShotSegLib.networks.prnet import PRNet
from OneShotSegLib.runner.case import run_case
from OneShotSegLib.study.case_state import SUDDEN_ENDS, begin, give_up, result_of, sudden_ends
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from Testing.helpers.tiny_batch import QUICK, TinyBatch

pytestmark = pytest.mark.usefixtures("brief_scores")

CASE = "phantom_01"


class Events(list[tuple[str, dict[str, Any]]]):
    """Keeps the events that it is given."""

    def __call__(self, event: str, **fields: object) -> None:
        self.append((event, fields))

    def only(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self if name == event]


@pytest.fixture(scope="module")
def engine(tiny: TinyBatch) -> Engine:
    return Engine(
        [ScribbledCT(read_volume(tiny.files.support), read_label_map(tiny.files.scribbles))], tiny.weights, QUICK
    )


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    paths = StudyPaths(tmp_path / "study")
    paths.root.mkdir()
    paths.description.write_text("{}", encoding="utf-8")
    return paths


@pytest.fixture
def query(tiny: TinyBatch) -> Callable[[], Volume]:
    return lambda: read_volume(tiny.files.queries[0])


def names(files: CasePaths) -> set[str]:
    return {path.name for path in files.folder.iterdir()}


RESULTS = {"pseudo.seg.nrrd", "scribbles.seg.nrrd", "shares.nrrd", "quality.json"}


def test_a_case_that_failed_before_and_is_done_now_has_its_results_and_nothing_else(
    engine: Engine, study: StudyPaths, query: Callable[[], Volume]
) -> None:
    files = study.case(CASE)
    assert not run_case(engine, study, CASE, lambda: read_volume(study.root / "gone.nrrd"), Events())
    assert names(files) == {"failed.json"}
    events = Events()
    assert run_case(engine, study, CASE, query, events)
    assert names(files) == RESULTS
    assert [events[0][0], events[-1][0]] == ["case_started", "case_done"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("no CT."), "no CT."),
        (OSError(errno.EIO, os.strerror(errno.EIO), "/share/a.nrrd"), "/share/a.nrrd: Input/output error."),
        (MemoryError("gigabytes"), "unexpected error stopped this case (MemoryError: gigabytes)"),
        (TypeError("odd"), "unexpected error"),
        (RecursionError("deep"), "unexpected error"),
    ],
)
def test_whatever_reading_raises_is_one_sentence_in_the_event_and_on_disk(
    engine: Engine, study: StudyPaths, error: Exception, sentence: str
) -> None:
    def read() -> Volume:
        raise error

    events = Events()
    assert not run_case(engine, study, CASE, read, events)
    (failed,) = events.only("case_failed")
    assert sentence in failed["error"]
    assert json.loads(study.case(CASE).failure.read_text(encoding="utf-8"))["error"] == failed["error"]
    assert names(study.case(CASE)) == {"failed.json"}


def test_a_case_that_is_cancelled_leaves_no_trace(engine: Engine, study: StudyPaths) -> None:
    def read() -> Volume:
        assert study.case(CASE).under_way.exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_case(engine, study, CASE, read, Events())
    assert names(study.case(CASE)) == set()


def test_a_full_disk_fails_the_case_before_it_is_computed(
    engine: Engine, study: StudyPaths, query: Callable[[], Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    events = Events()
    assert not run_case(engine, study, CASE, query, events)
    assert [event for event, _ in events] == ["case_started", "case_failed"]
    assert "No space left on device" in events[-1][1]["error"]
    assert names(study.case(CASE)) == set()


def test_a_study_that_went_away_is_not_begun_anew_elsewhere(
    engine: Engine, study: StudyPaths, query: Callable[[], Volume]
) -> None:
    shutil.rmtree(study.root)
    events = Events()
    assert not run_case(engine, study, CASE, query, events)
    assert "is gone" in events[-1][1]["error"]
    assert not study.root.exists()


def test_a_study_that_goes_away_meanwhile_fails_the_case(
    engine: Engine, study: StudyPaths, query: Callable[[], Volume]
) -> None:
    def read() -> Volume:
        shutil.rmtree(study.root)
        return query()

    events = Events()
    run_case(engine, study, CASE, read, events)
    assert events[-1][0] in ("case_failed", "case_done")
    assert not study.description.exists()


def test_results_that_were_there_stay_where_a_later_try_fails(
    engine: Engine, study: StudyPaths, query: Callable[[], Volume]
) -> None:
    assert run_case(engine, study, CASE, query, Events())
    before = study.case(CASE).pseudo_mask.read_bytes()
    study.case(CASE).quality.unlink()
    assert not run_case(engine, study, CASE, lambda: read_volume(study.root / "gone.nrrd"), Events())
    assert study.case(CASE).pseudo_mask.read_bytes() == before


def test_a_result_counts_only_while_its_files_are_there_and_whole(
    engine: Engine, study: StudyPaths, query: Callable[[], Volume]
) -> None:
    files = study.case(CASE)
    assert result_of(files) is None
    run_case(engine, study, CASE, query, Events())
    assert result_of(files) is not None
    text = files.quality.read_text(encoding="utf-8")
    files.quality.write_text(text[: len(text) // 2], encoding="utf-8")
    assert result_of(files) is None
    files.quality.write_text(text, encoding="utf-8")
    files.pseudo_mask.unlink()
    assert result_of(files) is None


def test_sudden_ends_are_counted_until_the_case_is_given_up(study: StudyPaths) -> None:
    files = study.case(CASE)
    assert sudden_ends(files) == 0
    for number in range(1, SUDDEN_ENDS + 1):
        begin(study, files)
        assert sudden_ends(files) == number
    files.under_way.write_text("half a fi", encoding="utf-8")
    assert sudden_ends(files) == 1
    assert "without a word" in give_up(files)
    assert names(files) == {"failed.json"}


def limit_memory(monkeypatch: pytest.MonkeyPatch, fits: int) -> None:
    """Networks that stand for those on a GPU run out of memory over so many patches."""
    locate = PRNet.locate

    def limited(self: PRNet, patches: torch.Tensor) -> torch.Tensor:
        if getattr(self, "on_gpu", False) and len(patches) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return locate(self, patches)

    monkeypatch.setattr(PRNet, "locate", limited)


def on_gpu(models: LoadedModels) -> LoadedModels:
    models.weights.coarse.network.on_gpu = True  # type: ignore[assignment]
    return models


def test_a_gpu_short_of_memory_takes_smaller_batches_and_says_so(
    tiny: TinyBatch, study: StudyPaths, query: Callable[[], Volume], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Engine(engine.supports, engine.folder, engine.method)
    on_gpu(small.models)
    limit_memory(monkeypatch, 5)
    events = Events()
    assert run_case(small, study, CASE, query, events)
    texts = [fields["text"] for fields in events.only("warning")]
    assert "going on with 4 patches at a time" in texts[-1]
    assert len(texts) == len(set(texts))
    assert all(fields["case"] == CASE for fields in events.only("warning"))
    assert study.case(CASE).quality.exists()


def test_a_gpu_too_small_for_one_patch_leaves_the_case_to_the_cpu_and_says_so(
    study: StudyPaths, query: Callable[[], Volume], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StudyPaths(tmp_path / "whole")
    shutil.copytree(study.root, whole.root)
    run_case(engine, whole, CASE, query, Events())
    small = Engine(engine.supports, engine.folder, engine.method)
    on_gpu(small.models)
    limit_memory(monkeypatch, 0)
    events = Events()
    assert run_case(small, study, CASE, query, events)
    assert "it runs on the CPU" in events.only("warning")[-1]["text"]
    assert study.case(CASE).pseudo_mask.read_bytes() == whole.case(CASE).pseudo_mask.read_bytes()


def test_a_support_too_large_for_the_gpu_is_prepared_on_the_cpu(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def limited(ct: Any, scribbles: Any, weights: Any, method: Any, device: Any) -> Any:
        if str(device) == "meta":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return prepare_support(ct, scribbles, weights, method, device)

    monkeypatch.setattr(engine_module, "prepare_support", limited)
    monkeypatch.setattr(engine_module, "load_weights", lambda folder, device: engine.weights)
    small = Engine(engine.supports, engine.folder, engine.method, torch.device("meta"))
    assert str(small.models.device) == "cpu"
    assert "everything runs on the CPU" in caplog.text
