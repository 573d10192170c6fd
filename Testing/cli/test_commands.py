"""The command line as a user meets it: exit status, sentences, events, what is on disk."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from OneShotSegLib.cli import cancelling, main
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import STEPS
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.study.layout import StudyPaths
from Testing.helpers import tiny_batch
from Testing.helpers.shared import made_once
from Testing.helpers.tiny_batch import TinyBatch

Mistake = Callable[[CohortFiles, Path], dict[str, object]]


def oneshotseg(*arguments: object, check: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "OneShotSegLib", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if check is not None:
        assert done.returncode == check, done.stderr
    return done


def propagate(files: CohortFiles, study: Path, *queries: object, **options: object) -> list[object]:
    values = {"support": files.support, "scribbles": files.scribbles, "output": study, "weights": "phantom", **options}
    named = [part for key, value in values.items() for part in (f"--{key.replace('_', '-')}", value)]
    return ["propagate", *named, *queries]


@dataclass(frozen=True)
class Run:
    """A run of the command line that made a study, and what it printed.

    Attributes:
        study: The study folder; it must stay as it is, for all tests share it.
        events: The events of standard output.
    """

    study: Path
    events: list[dict[str, Any]]


@pytest.fixture(scope="session")
def run(phantoms: CohortFiles, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished study of two phantom queries and a broken file."""

    def make(folder: Path) -> Run:
        broken = folder / "broken.nii.gz"
        broken.write_bytes(phantoms.queries[0].read_bytes()[:2000])
        done = oneshotseg(*propagate(phantoms, folder / "study", *phantoms.queries, broken, events="json"), check=1)
        return Run(folder / "study", [json.loads(line) for line in done.stdout.splitlines()])

    return made_once(tmp_path_factory, "cli_study", make)


@pytest.fixture
def own_study(run: Run, tmp_path: Path) -> Path:
    """A copy of the finished study, to be changed."""
    return shutil.copytree(run.study, tmp_path / "study")


def test_help_comes_without_loading_the_networks_library() -> None:
    code = """
import sys
from OneShotSegLib.cli import main
sys.argv = ["oneshotseg", "--help"]
try:
    main()
except SystemExit:
    assert not {"torch", "monai", "numba", "numpy", "SimpleITK"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_batch_ends_with_masks_on_the_queries_own_grids(run: Run, phantoms: CohortFiles) -> None:
    paths = StudyPaths(run.study)
    for query in phantoms.queries:
        case = paths.case(query.name.removesuffix(".nii.gz"))
        mask = read_label_map(case.pseudo_mask)
        assert mask.volume.same_grid(read_volume(query))
        names = {segment.value: segment.name for segment in mask.segments}
        assert names[1] == "Brainstem"
        assert read_label_map(case.scribbles).volume.same_grid(read_volume(query))


def test_pseudo_masks_of_phantoms_overlap_their_references(run: Run, phantoms: CohortFiles, tmp_path: Path) -> None:
    csv_file = tmp_path / "figures.csv"
    oneshotseg("evaluate", run.study, "--reference", phantoms.references, "--csv", csv_file, check=0)
    rows = [row for row in csv.DictReader(csv_file.open(encoding="utf-8")) if row["case"] != "broken"]
    assert np.mean([float(row["dice"]) for row in rows if row["dice"]]) > 0.3


def test_one_broken_query_fails_alone_with_a_sentence(run: Run) -> None:
    folder, events = run.study, run.events
    failed = [event for event in events if event["event"] == "case_failed"]
    assert [event["case"] for event in failed] == ["broken"]
    assert "broken or truncated" in failed[0]["error"]
    assert (
        json.loads(StudyPaths(folder).case("broken").failure.read_text(encoding="utf-8"))["error"] == failed[0]["error"]
    )
    assert events[-1] | {"report": ""} == {"event": "finished", "done": 2, "failed": 1, "report": ""}


def test_events_tell_the_steps_of_each_case_in_order(run: Run) -> None:
    events = run.events
    assert events[0]["event"] == "started"
    assert len(events[0]["cases"]) == 3
    first = [event for event in events if event.get("case") == events[0]["cases"][0]]
    assert [first[0]["event"], first[-1]["event"]] == ["case_started", "case_done"]
    assert [event["step"] for event in first[1:-1]] == [*STEPS, "fuse", "write"]
    fractions = [event["fraction"] for event in first if event["event"] == "step"]
    assert fractions == sorted(fractions)


def test_a_second_run_does_only_what_is_missing(own_study: Path, phantoms: CohortFiles) -> None:
    folder = own_study
    gone, kept = (StudyPaths(folder).case(query.name.removesuffix(".nii.gz")) for query in phantoms.queries[:2])
    before, stamp = gone.pseudo_mask.read_bytes(), kept.pseudo_mask.stat().st_mtime_ns
    shutil.rmtree(gone.folder)
    done = oneshotseg(*propagate(phantoms, folder, *phantoms.queries, events="json"))
    again = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["case"] for event in again if event.get("resumed")] == [kept.name]
    assert kept.pseudo_mask.stat().st_mtime_ns == stamp
    masks = read_label_map(gone.pseudo_mask).volume.array
    assert masks.any()
    assert len(before) == len(gone.pseudo_mask.read_bytes())


def test_review_decisions_are_kept_in_the_ledger(own_study: Path, phantoms: CohortFiles) -> None:
    case = phantoms.queries[0].name.removesuffix(".nii.gz")
    shown = oneshotseg("review", own_study, "--accept", case, "--comment", "=good", check=0)
    assert "1 accepted" in shown.stdout
    assert "=good" not in (own_study / "review.csv").read_text(encoding="utf-8").split(",")
    missing = oneshotseg("review", own_study, "--accept", "nobody", check=2)
    assert "nobody" in missing.stderr


def test_cancelling_ends_with_130_and_keeps_what_is_done(tiny: TinyBatch, tmp_path: Path) -> None:
    queries = tmp_path / "queries"
    queries.mkdir()
    for number in range(12):  # so many that there is something left to cancel, however late the signal comes
        shutil.copyfile(tiny.files.queries[0], queries / f"query_{number:02d}.nii.gz")
    program = [tiny_batch.__file__, tiny.weights.parent, 3, "--device", "cpu", "--output", tmp_path / "study"]
    command = [sys.executable, *map(str, program), *map(str, queries.iterdir())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line)["event"] == "case_done":
                break
        os.kill(child.pid, signal.SIGTERM)
        _, message = child.communicate()
    assert child.returncode == 130
    assert "Cancelled" in message
    assert "Traceback" not in message
    masks = list((tmp_path / "study").rglob("pseudo.seg.nrrd"))
    assert 0 < len(masks) < 12
    assert not list((tmp_path / "study").rglob(".*nrrd"))


def other_grid(files: CohortFiles, folder: Path) -> dict[str, object]:
    labels = read_label_map(files.scribbles)
    cut = Volume(
        array=labels.volume.array,
        spacing=labels.volume.spacing * 1.3,
        origin=labels.volume.origin,
        direction=labels.volume.direction,
    )
    return {"scribbles": written(labels.with_volume(cut), folder)}


def no_foreground(files: CohortFiles, folder: Path) -> dict[str, object]:
    labels = read_label_map(files.scribbles)
    array = np.where(labels.volume.array == 8, 8, 0).astype(np.uint8)
    background = tuple(segment for segment in labels.segments if segment.value == 8)
    return {"scribbles": written(LabelMap(labels.volume.with_array(array), background), folder)}


def missing_label(files: CohortFiles, folder: Path) -> dict[str, object]:
    labels = read_label_map(files.scribbles)
    array = np.where(labels.volume.array == 1, 0, labels.volume.array)
    return {"scribbles": written(labels.with_volume(labels.volume.with_array(array)), folder)}


def written(labels: LabelMap, folder: Path) -> Path:
    write_label_map(labels, folder / "changed.seg.nrrd")
    return folder / "changed.seg.nrrd"


def changed_support(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Mistake:
    def make(files: CohortFiles, folder: Path) -> dict[str, object]:
        ct = read_volume(files.support)
        write_volume(ct.with_array(change(ct.array.astype(np.float32))), folder / "changed.nrrd")
        return {"support": folder / "changed.nrrd"}

    return make


def another_study(files: CohortFiles, folder: Path) -> dict[str, object]:
    (folder / "full").mkdir()
    (folder / "full" / "letter.txt").write_text("dear", encoding="utf-8")
    return {"output": folder / "full"}


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda files, folder: {"support": folder / "nowhere.nii.gz"}, "no such file"),
        (lambda files, folder: {"weights": "liver"}, "expected shipped weights"),
        (lambda files, folder: {"device": "cuda:77"}, "GPU"),
        (lambda files, folder: {"device": "toaster"}, "auto, cpu, cuda"),
        (other_grid, "on the support's grid"),
        (no_foreground, "at least one structure"),
        (missing_label, "none for: Brainstem"),
        (changed_support(lambda array: array * 0), "constant value"),
        (changed_support(lambda array: np.where(array > 0, np.nan, array)), "expected voxels that are numbers"),
        (changed_support(lambda array: np.abs(array)), "in HU"),
        (another_study, "empty folder or a study"),
    ],
)
def test_a_mistake_is_one_sentence_status_2_and_nothing_written(
    mistake: Mistake,
    sentence: str,
    phantoms: CohortFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = mistake(phantoms, tmp_path)
    study = options.pop("output", tmp_path / "study")
    assert isinstance(study, Path)
    before = sorted(study.rglob("*")) if study.exists() else None
    words = propagate(phantoms, study, phantoms.queries[0], **options)
    monkeypatch.setattr(sys, "argv", ["oneshotseg", *map(str, words)])
    monkeypatch.setattr(cancelling, "listen", lambda: None)  # this process keeps its own way with signals
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr().err
    assert ended.value.code == 2
    assert sentence in said
    assert len(said.strip().splitlines()) == 1
    assert (sorted(study.rglob("*")) if study.exists() else None) == before


def test_a_mistake_ends_the_process_with_status_2_and_without_a_traceback(
    phantoms: CohortFiles, tmp_path: Path
) -> None:
    done = oneshotseg(*propagate(phantoms, tmp_path / "study", tmp_path / "nowhere.nii.gz"), check=2)
    assert done.stderr.count("\n") == 1
    assert "no such file" in done.stderr
    assert not (tmp_path / "study").exists()
