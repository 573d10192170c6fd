"""What a run takes of its queries: studies and supports never, everything else is a case or named."""

from __future__ import annotations

import json
import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from OneShotSegLib.cli.batch_progress import BatchProgress
from OneShotSegLib.cli.plan import print_plan
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.inputs import Kind, LeftOut
from OneShotSegLib.runner.inputs import find_inputs
from OneShotSegLib.runner.planning import plan_batch
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.study.inputs import read_left_out, write_inputs
from OneShotSegLib.study.layout import StudyPaths
from Testing.helpers.dicom_series import write_series
from Testing.helpers.small_study import small_ct, write_cts, write_small_study
from Testing.helpers.tiny_batch import TinyBatch


def found_in(root: Path, study: StudyPaths, **options: object) -> tuple[list[str], dict[str, Kind]]:
    found = find_inputs(study, [root], **options)  # type: ignore[arg-type]
    names = [one.path.relative_to(root).as_posix() for one in found.cts]
    return names, {one.path.relative_to(root).as_posix(): one.kind for one in found.left_out}


def test_studies_that_lie_among_the_cts_are_not_searched(tmp_path: Path) -> None:
    root = tmp_path / "cts"
    sources = write_cts(root, ["a", "b"])
    write_small_study(root / "older study", sources, ["accepted", "pending"])
    own = write_small_study(root / "deep" / "own", sources, ["pending", "pending"])
    write_cts(root / "deep" / "own-inputs", ["written by the panel"])
    write_cts(root / "other-inputs", ["c"])
    names, left_out = found_in(root, own)
    assert names == ["a.nii.gz", "b.nii.gz", "other-inputs/c.nii.gz"]
    assert left_out == {"older study": Kind.STUDY, "deep/own": Kind.STUDY, "deep/own-inputs": Kind.STUDY}


def test_the_support_is_no_query_under_any_name(tmp_path: Path) -> None:
    root = tmp_path / "cts"
    support = write_cts(root, ["p1", "p2"])["p1"]
    shutil.copy(support, root / "copy.nii.gz")
    if os.name != "nt":
        (root / "link.nii.gz").symlink_to(support)
    names, left_out = found_in(root, StudyPaths(tmp_path / "study"), supports=[support])
    assert names == ["p2.nii.gz"]
    assert left_out["p1.nii.gz"] is left_out["copy.nii.gz"] is Kind.SUPPORT
    with pytest.raises(InputError, match="expected a CT, found the support"):
        find_inputs(StudyPaths(tmp_path / "study"), [support], supports=[support])


def test_a_copy_of_a_dicom_support_is_no_query(tmp_path: Path) -> None:
    root = tmp_path / "cts"
    support = write_series(tmp_path / "P1", small_ct(), "P1")
    shutil.copytree(support, root / "copy")
    write_series(root / "P2", small_ct(1), "P2")
    names, left_out = found_in(root, StudyPaths(tmp_path / "study"), supports=[support])
    assert names == ["P2"]
    assert left_out == {"copy": Kind.SUPPORT}


def test_what_is_not_used_comes_back_from_the_study(tmp_path: Path) -> None:
    study = StudyPaths(tmp_path)
    assert read_left_out(study) == ()
    entries = [LeftOut(path=tmp_path / "x", kind=Kind.OTHER_FILE, reason="2 files", count=2)]
    write_inputs(study, [tmp_path], entries)
    assert read_left_out(study) == tuple(entries)
    study.inputs.write_text(
        '{"left_out": [3, {"path": 1}, {"path": "a", "kind": "?", "reason": "b"}]}', encoding="utf-8"
    )
    assert [str(one) for one in read_left_out(study)] == ["a: b"]


def test_a_dry_run_says_what_a_run_would_do_and_writes_nothing(
    tiny: TinyBatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "cts"
    root.mkdir()
    for query in tiny.files.queries[:2]:
        shutil.copy(query, root)
    shutil.copy(tiny.files.support, root / "again.nii.gz")
    write_series(root / "DICOM" / "P3" / "series 1", small_ct(), "P3")
    (root / "notes.txt").write_text("notes", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    events: list[tuple[str, dict[str, object]]] = []
    request = tiny.request(tmp_path / "study", queries=[root])
    plan = plan_batch(request, lambda event, **fields: events.append((event, fields)))
    assert sorted(tmp_path.rglob("*")) == before
    assert [case.case for case in plan.cases] == ["phantom_01", "phantom_02", "P3"]
    assert plan.cases[2].size == (6, 9, 8)
    assert plan.cases[2].spacing == pytest.approx((3.0, 1.5, 1.25))
    assert plan.cases[0].size == read_volume(tiny.files.queries[0]).shape
    assert [event for event, _ in events] == ["case_found"] * 3 + ["left_out"] * 2 + ["planned"]
    assert json.dumps(events)
    print_plan(plan)
    out = capsys.readouterr().out
    assert "8 x 9 x 6" in out
    assert "a copy of the support" in out
    assert "Not used: 1 support, 1 file of another kind." in out
    assert "3 cases, 3 to do" in out


def test_a_dry_run_says_what_headers_say(tiny: TinyBatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "cts"

    def body_part(data: Dataset, _plane: int) -> None:
        data.BodyPartExamined = "HEADNECK"

    write_series(root / "P1", small_ct(), "P1", edit=body_part)
    write_series(root / "P2", small_ct(1), "P2")
    (root / "P2" / "002.dcm").unlink()
    write_series(root / "P3", small_ct(2), "P3")
    (root / "P3" / "005.dcm").write_bytes(b"")
    write_volume(small_ct(3), root / "zero.nii")
    content = bytearray((root / "zero.nii").read_bytes())
    struct.pack_into("<f", content, 88, 0.0)
    (root / "zero.nii").write_bytes(content)
    odd = root / os.fsdecode(b"M\xfcller.nii.gz")
    if os.name != "nt":
        write_volume(small_ct(4), odd)
    plan = plan_batch(tiny.request(tmp_path / "study", queries=[root]))
    cases = {case.source.name: case for case in plan.cases}
    assert (cases["P1"].region, cases["P2"].region, cases["zero.nii"].region) == ("HEADNECK", "", "")
    assert "1 slice is missing" in cases["P2"].notes[0]
    assert "damaged ones (005.dcm)" in cases["P3"].problem
    assert "steps over 0 from voxel to voxel (pixdim)" in cases["zero.nii"].problem
    assert cases["zero.nii"].size == ()
    if os.name != "nt":
        assert cases[odd.name].size == (6, 9, 8)
    print_plan(replace(plan, cases=tuple(case for case in plan.cases if case.source != odd)))
    out = capsys.readouterr().out
    assert "HEADNECK" in out
    assert "P2: 1 slice is missing" in out


def test_a_run_names_what_it_does_not_use_in_events_log_and_study(
    tiny: TinyBatch, tmp_path: Path, brief_scores: None, capsys: pytest.CaptureFixture[str]
) -> None:
    root, study = tmp_path / "cts", tmp_path / "cts" / "study"
    root.mkdir()
    shutil.copy(tiny.files.queries[0], root / "P1.nii.gz")
    (root / "notes.txt").write_text("notes", encoding="utf-8")
    events: list[tuple[str, dict[str, object]]] = []
    request = tiny.request(study, queries=[root])
    propagate_batch(request, lambda event, **fields: events.append((event, fields)))
    assert [event for event, _ in events[:2]] == ["started", "left_out"]
    assert {one.kind for one in read_left_out(StudyPaths(study))} == {Kind.OTHER_FILE, Kind.STUDY}
    log = "".join(path.read_text(encoding="utf-8") for path in (study / "logs").iterdir())
    assert 'left_out path="' in log
    # The study lies among the CTs: a second run finds the same case, and no other.
    again = propagate_batch(request, BatchProgress())
    assert again.done == ("P1",)
    assert again.failed == ()
    assert {one.kind for one in read_left_out(StudyPaths(study))} == {Kind.OTHER_FILE, Kind.STUDY}
    assert "a study, not searched" in capsys.readouterr().err
    assert "P1 to do" not in plan_batch(request).text
    assert plan_batch(request).text == "1 case, none to do."


def test_the_names_of_cases_stay_when_others_of_the_same_name_come(tiny: TinyBatch, tmp_path: Path) -> None:
    for patient in ("A", "B"):
        write_volume(small_ct(), tmp_path / patient / "scan1.nii.gz")
    one = plan_batch(tiny.request(tmp_path / "study", queries=[tmp_path / "A"]))
    assert [case.case for case in one.cases] == ["scan1"]
    both = plan_batch(tiny.request(tmp_path / "study", queries=[tmp_path]))
    assert [case.case for case in both.cases] == ["A_scan1", "B_scan1"]
