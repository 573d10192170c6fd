"""The advice on supports for files: each is read once, what cannot be read is named, and a run warns of an outlier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from OneShotSegLib import suggest_support
from OneShotSegLib.cli.app import app
from OneShotSegLib.cli.plan import print_plan
from OneShotSegLib.errors import InputError
from OneShotSegLib.events import parse_event
from OneShotSegLib.imaging.files import ImageHeader, check_image, read_volume, write_volume
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.runner import prefetch, propagation, support_advice
from OneShotSegLib.runner.planning import plan_batch
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.support_advice import MOST_HEADERS, height_of, heights_from_headers
from OneShotSegLib.study.case_ct import read_case_ct
from Testing.helpers.synthetic_bodies import batch, body
from Testing.helpers.tiny_batch import TinyBatch

Event = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six ordinary CTs, a tall one, one of which the end is missing, a label map and a note."""
    root = tmp_path_factory.mktemp("cts")
    for number, ct in enumerate(batch(6)):
        write_volume(ct, root / f"p{number}" / "ct.nii.gz")
    write_volume(body(low=-420, high=420), root / "tall.nii.gz")
    write_volume(body(), root / "broken.nii.gz")
    whole = (root / "broken.nii.gz").read_bytes()
    (root / "broken.nii.gz").write_bytes(whole[: len(whole) // 2])
    labels = batch(6)[0]
    write_volume(labels.with_array((labels.array > 0).astype("uint8")), root / "p0" / "seg.nii.gz")
    (root / "notes.txt").write_text("notes", encoding="utf-8")
    return root


def test_cts_are_ranked_outliers_come_after_them_and_broken_files_last(folder: Path) -> None:
    events: list[Event] = []
    found = suggest_support(folder, on_event=lambda event, **fields: events.append((event, fields)))
    assert [one.rank for one in found] == [1, 2, 3, 4, 5, 6, 7, 0]
    assert {one.case for one in found[:6]} == {f"p{number}" for number in range(6)}
    assert found[0].case not in ("p0", "p5")  # the smallest and the largest
    assert found[6].case == "tall"
    assert "840 mm high" in found[6].outlier
    assert (found[7].case, found[7].ct.name) == ("broken", "broken.nii.gz")
    assert "broken.nii.gz" in found[7].error
    assert json.dumps(events)
    names = [event for event, _ in events]
    assert names[:3] == ["started", "left_out", "left_out"]
    assert names[-8:] == ["support_suggested"] * 7 + ["finished"]
    assert [fields["rank"] for event, fields in events if event == "support_suggested"] == list(range(1, 8))
    assert [fields["case"] for event, fields in events if event == "case_failed"] == ["broken"]
    assert events[-1][1] == {"done": 7, "failed": 1}


def test_each_ct_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []

    def counted(source: str, series: str = "") -> Volume:
        paths.append(source)
        return read_case_ct(source, series)

    monkeypatch.setattr(prefetch, "read_case_ct", counted)
    found = suggest_support(sorted(folder.glob("p*")))
    assert sorted(paths) == sorted(str(one.ct) for one in found)
    assert len(paths) == 6


def test_an_unexpected_error_stops_one_ct_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = support_advice._profile

    def failing(case: Any, ct: Any) -> Any:
        if case.case == "p3":
            raise ZeroDivisionError("of some kind")
        return profile(case, ct)

    monkeypatch.setattr(support_advice, "_profile", failing)
    found = suggest_support(sorted(folder.glob("p*")))
    assert len(found) == 6
    assert (found[-1].case, found[-1].rank) == ("p3", 0)
    assert "ZeroDivisionError" in found[-1].error


def test_the_command_prints_a_table_and_exits_with_the_status_of_a_batch(folder: Path) -> None:
    some_failed = CliRunner().invoke(app, ["suggest-support", str(folder), "--count", "3"])
    assert some_failed.exit_code == 1
    lines = some_failed.stdout.splitlines()
    assert lines[0].split() == ["Rank", "Case", "Why", "CT"]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert "... and 4 more (--count)." in lines
    assert any(line.startswith("tall: an outlier: its field of view is 840 mm high") for line in lines)
    assert "broken: failed:" in some_failed.stderr
    assert "7 CTs compared, 1 failed." in some_failed.stderr
    few = CliRunner().invoke(app, ["suggest-support", *(str(folder / name) for name in ("p0", "p1"))])
    assert few.exit_code == 0
    assert "Of fewer than 5 CTs it cannot be said" in few.stdout
    assert isinstance(CliRunner().invoke(app, ["suggest-support", str(folder / "no")]).exception, InputError)


def test_the_command_prints_events(folder: Path) -> None:
    done = CliRunner().invoke(app, ["suggest-support", str(folder / "p1"), str(folder / "p2"), "--events", "json"])
    events = [parse_event(line) for line in done.stdout.splitlines()]
    assert None not in events
    assert [event.kind for event in events if event is not None] == [
        "started",
        "case_started",
        "case_started",
        "support_suggested",
        "support_suggested",
        "finished",
    ]


def test_a_dry_run_warns_of_a_tall_support(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def plan(support: Path) -> list[str]:
        request = PropagationRequest(
            supports=[support],
            scribbles=[folder / "p0" / "seg.nii.gz"],
            queries=sorted(folder.glob("p*")),
            output=tmp_path / "study",
        )
        events: list[Event] = []
        planned = plan_batch(request, lambda event, **fields: events.append((event, fields)))
        print_plan(planned)
        assert [fields["text"] for event, fields in events if event == "warning"] == list(planned.warnings)
        return list(planned.warnings)

    (warning,) = plan(folder / "tall.nii.gz")
    assert warning.startswith("tall.nii.gz may not be a good support for this batch: its field of view is 840 mm high")
    assert warning in capsys.readouterr().out
    assert plan(folder / "p0" / "ct.nii.gz") == []


@pytest.mark.usefixtures("brief_scores")
def test_a_run_warns_of_a_support_of_another_height(
    tiny: TinyBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_heights = [height_of(read_volume(tiny.files.support)) / 2] * 5
    monkeypatch.setattr(propagation, "heights_from_headers", lambda _cts: batch_heights)
    events: list[Event] = []
    request = tiny.request(tmp_path / "study", queries=tiny.files.queries[:1])
    propagate_batch(request, lambda event, **fields: events.append((event, fields)))
    warnings = [fields["text"] for event, fields in events if event == "warning"]
    assert any("may not be a good support for this batch" in text for text in warnings)


def test_the_height_is_along_the_patient_however_the_file_is_stored(tmp_path: Path) -> None:
    ct = body(low=-100, high=120)
    order = [2, 0, 1]
    turned = Volume.create(ct.array.transpose(order), ct.spacing[order], ct.origin, ct.direction[:, order])
    for number, one in enumerate((ct, turned)):
        write_volume(one, tmp_path / f"{number}.nrrd")
        assert height_of(one) == pytest.approx(220)
        assert check_image(tmp_path / f"{number}.nrrd").height_mm == pytest.approx(220)


def test_a_run_reads_few_headers_of_a_large_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def counted(path: Path) -> ImageHeader:
        calls.append(path)
        return check_image(path)

    monkeypatch.setattr(support_advice, "check_image", counted)
    write_volume(body(), tmp_path / "ct.nii.gz")
    cts = [FoundCT(path=tmp_path / "ct.nii.gz")] * (5 * MOST_HEADERS + 7)
    folders, gone = [FoundCT(path=tmp_path)] * 3, [FoundCT(path=tmp_path / "gone.nii")]
    heights = heights_from_headers([*folders, *gone, *cts])
    assert MOST_HEADERS / 2 < len(calls) <= MOST_HEADERS
    assert heights == pytest.approx([400.0] * (len(calls) - 1))
