"""A run that goes on: CTs that moved are found again, and cases whose CT is another one are not taken for done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from OneShotSegLib.export.nifti import export_nifti
from OneShotSegLib.export.nnunet import export_nnunet
from OneShotSegLib.export.request import NNUNetRequest
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.report.html import write_report
from OneShotSegLib.runner.known_cases import KnownCases, known_cases
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.study.case_ct import check_ct, read_case_ct
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.review import ReviewLedger, ReviewState
from OneShotSegLib.training.segmentation.cases import study_sources
from Testing.helpers.small_study import small_ct, write_cts, write_small_study
from Testing.helpers.tiny_batch import TinyBatch


def made(root: Path, *states: ReviewState) -> tuple[StudyPaths, dict[str, Path]]:
    """A study with a case for each state, each with a record of its CT."""
    sources = write_cts(root / "cts", [f"p{n}" for n in range(len(states))])
    study = write_small_study(root / "study", sources, states)
    for name, source in sources.items():
        check_ct(study.case(name), read_case_ct(source), source)
    return study, sources


def compared(study: StudyPaths, *paths: Path) -> KnownCases:
    return known_cases(study, [FoundCT(path=path) for path in paths])


def source_of(found: KnownCases, name: str) -> Path:
    return next(Path(case.source) for case in found.cases if case.case == name)


def replace_ct(source: Path) -> None:
    write_volume(small_ct(77), source)


def test_an_unchanged_study_is_read_at_a_glance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, sources = made(tmp_path, "pending", "accepted")

    def read(*_: object) -> None:
        raise AssertionError("a CT was read")

    monkeypatch.setattr("OneShotSegLib.study.case_ct.read_volume", read)
    found = compared(study, *sources.values())
    assert (found.redo, found.failed, found.notes) == ([], {}, [])
    assert compared(StudyPaths(tmp_path / "none")).cases == []


def test_a_replaced_ct_is_done_anew_unless_the_case_was_decided(tmp_path: Path) -> None:
    study, sources = made(tmp_path, "pending", "accepted", "edited", "rejected", "pending", "pending")
    shutil.copyfile(study.case("p4").pseudo_mask, study.case("p4").strokes)
    for source in list(sources.values())[:5]:
        replace_ct(source)
    found = compared(study, *sources.values())
    assert found.redo == ["p0"]
    assert set(found.failed) == {"p1", "p2", "p3", "p4"}
    assert "found another one" in found.failed["p1"]


def test_a_ct_that_moved_is_found_again_by_its_content(tmp_path: Path) -> None:
    study, sources = made(tmp_path, "pending", "accepted", "pending")
    moved = tmp_path / "elsewhere" / "p0.nii.gz"
    moved.parent.mkdir()
    sources["p0"].rename(moved)
    write_volume(read_volume(sources["p1"]), tmp_path / "elsewhere" / "renamed.nrrd")
    sources["p1"].unlink()
    write_volume(small_ct(99), tmp_path / "elsewhere" / "p1.nii.gz")
    found = compared(study, sources["p2"], *sorted((tmp_path / "elsewhere").iterdir()))
    assert source_of(found, "p0") == moved
    assert source_of(found, "p1") == tmp_path / "elsewhere" / "renamed.nrrd"
    assert source_of(found, "p2") == sources["p2"]
    assert len(found.notes) == 2
    assert (found.redo, found.failed) == ([], {})


def test_cts_that_changed_places_keep_their_cases(tmp_path: Path) -> None:
    study, sources = made(tmp_path, "pending", "edited")
    other = shutil.copy(sources["p0"], tmp_path / "x.nii.gz")
    shutil.copy(sources["p1"], sources["p0"])
    shutil.copy(other, sources["p1"])
    found = compared(study, *sources.values())
    assert (source_of(found, "p0"), source_of(found, "p1")) == (sources["p1"], sources["p0"])
    assert (found.redo, found.failed) == ([], {})


def test_exports_training_and_supports_pass_over_a_case_of_another_ct(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study, sources = made(tmp_path, "accepted", "accepted", "pending")
    replace_ct(sources["p0"])
    request = NNUNetRequest(study=study.root, raw=tmp_path / "raw", dataset_id=7)
    dataset = export_nnunet(request)
    assert [path.name for path in (dataset / "labelsTr").iterdir()] == ["p1.nii.gz"]
    assert json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 1
    assert "p0: the CT is another one than the case was made of, passed over." in caplog.text
    assert not (export_nifti(study.root, tmp_path / "nifti") / "p0.nii.gz").exists()
    assert [source.name for source in study_sources(study.root)[0]] == ["p1", "p2"]
    replace_ct(sources["p2"])
    page = write_report(study.root).read_text(encoding="utf-8")
    assert page.count("expected the CT that the case was made of, found another one") == 2


def test_a_study_without_records_is_read_and_gets_them(tmp_path: Path) -> None:
    sources = write_cts(tmp_path / "cts", ["a", "b"])
    study = write_small_study(tmp_path / "study", sources, ["accepted", "pending"])
    assert compared(study, *sources.values()).failed == {}
    export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", dataset_id=7))
    assert read_quality(study.case("a").quality).ct is not None
    assert read_quality(study.case("b").quality).ct is None
    replace_ct(sources["a"])
    assert set(compared(study, *sources.values()).failed) == {"a"}


def test_a_run_does_a_replaced_ct_anew_and_leaves_a_decided_one(
    tiny: TinyBatch, tmp_path: Path, brief_scores: None
) -> None:
    root, study = tmp_path / "cts", StudyPaths(tmp_path / "study")
    root.mkdir()
    one, two, three = tiny.files.queries[:3]
    for name, query in {"a": one, "b": two}.items():
        shutil.copy(query, root / f"{name}.nii.gz")
    propagate_batch(tiny.request(study.root, queries=[root]))
    ledger = ReviewLedger.load(study.review)
    ledger.decide("b", "accepted")
    ledger.save()
    decided = study.case("b").pseudo_mask.read_bytes()
    for name in ("a", "b"):
        shutil.copy(three, root / f"{name}.nii.gz")
    shutil.copy(one, root / "c.nii.gz")  # where the CT of a is now
    events: list[tuple[str, dict[str, object]]] = []
    result = propagate_batch(
        tiny.request(study.root, queries=[root]), lambda event, **fields: events.append((event, fields))
    )
    assert result.failed == ("b",)
    assert study.case("b").pseudo_mask.read_bytes() == decided
    sources = {case.case: Path(case.source).name for case in StudyDescription.read(study).cases}
    assert sources["a"] == "c.nii.gz"
    assert len(sources) == 3  # the CT that lies in the place of a now is a case of its own
    assert any("moved" in str(fields.get("text")) for event, fields in events if event == "warning")
    for case in StudyDescription.read(study).cases:
        if case.case != "b":
            assert read_label_map(study.case(case.case).pseudo_mask).volume.same_grid(read_volume(case.source))


def test_the_support_in_another_format_fails_instead_of_being_segmented(
    tiny: TinyBatch, tmp_path: Path, brief_scores: None
) -> None:
    write_volume(read_volume(tiny.files.support), tmp_path / "again.nrrd")
    result = propagate_batch(tiny.request(tmp_path / "study", queries=[tmp_path / "again.nrrd"]))
    assert result.failed == ("again",)
    failure = StudyPaths(tmp_path / "study").case("again").failure
    assert "the support under another name" in failure.read_text(encoding="utf-8")
