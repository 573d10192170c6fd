"""Studies of the first format are read, reviewed, evaluated and continued as if they were of today's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from OneShotSegLib.evaluation import evaluate
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.report.html import write_report
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import STUDY_VERSION, StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.results import study_results
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.small_study import CORD, GLAND, small_ct, small_mask
from Testing.helpers.strokes import fewer_strokes
from Testing.helpers.tiny_batch import TinyBatch

# What was renamed after the first format, today's name first.
SETTINGS = {
    "tracking": "following",
    "coarse_passes": "coarse_jumps",
    "fine_passes": "fine_jumps",
    "limit_extent": "reach",
    "extent_across": "reach_across",
    "extent_along": "reach_along",
    "shortest_extent_mm": "shortest_reach_mm",
}
DESCRIPTION = """{
  "format": "OneShotSeg study",
  "version": 1,
  "supports": [{"ct": "/data/support.nii.gz", "scribbles": "scribbles.seg.nrrd", "fingerprint": "42efb604e71921a9"}],
  "labels": [
    {"value": 3, "name": "Cord", "color": [0.9, 0.6, 0.0]},
    {"value": 7, "name": "Drüse links", "color": [0.3, 0.7, 0.9]}
  ],
  "background_label": 9,
  "settings": {
    "name": "default",
    "following": {"enabled": true, "beyond": 0.45},
    "propagation": {"starts": 10, "coarse_jumps": 3, "fine_jumps": 0, "fit": true},
    "expansion": {"reach": true, "reach_across": 1.5, "reach_along": 1.6, "shortest_reach_mm": 10.0},
    "smooth_mm": 2.0,
    "seed": 0
  },
  "weights": {"name": "headneck", "fingerprint": "50db7bafcd31c1c3"},
  "cases": [{"case": "patient", "source": "patient.nii.gz"}],
  "created": "2026-01-02T03:04:05+00:00",
  "versions": {"OneShotSeg": "0.1.0", "Python": "3.11.7"}
}"""
MEASURES = """{"value": %d, "name": "%s", "state": "found", "score": 0.6, "similarity": 0.4, "kept": 1.0,
 "cycle_mm": 6.8, "volume_ml": 6.2, "volume_ratio": 0.96, "in_view": 1.0, "agreement": 0.57, "solidity": 0.83,
 "certainty": 0.49, "consensus": null}"""
QUALITY = """{"case": "patient", "score": 0.6, "structures": [%s, %s], "seconds": {"locate": 1.5}, "warnings": []}"""


@pytest.fixture
def old(tmp_path: Path) -> StudyPaths:
    """A study of one case as OneShotSeg 0.1 wrote it."""
    paths = StudyPaths(tmp_path / "old")
    files, ct = paths.case("patient"), small_ct()
    write_volume(ct, paths.root / "patient.nii.gz")
    write_label_map(small_mask(ct), files.pseudo_mask)
    paths.description.write_text(DESCRIPTION, encoding="utf-8")
    measures = (MEASURES % (CORD, "Cord"), MEASURES % (GLAND, "Drüse links"))
    files.quality.write_text(QUALITY % measures, encoding="utf-8")
    paths.review.write_text("case,state,score,comment,time\npatient,pending,0.6,,\n", encoding="utf-8")
    return paths


def as_in_version_2(paths: StudyPaths) -> None:
    """Write the files of a finished study of one revision as the second format had them."""
    content = json.loads(paths.description.read_text(encoding="utf-8"))
    (revision,) = content.pop("revisions")
    del content["revision"]
    for support in revision["supports"]:
        (paths.root / support["scribbles"]).rename(paths.root / "scribbles.seg.nrrd")
        support["scribbles"] = "scribbles.seg.nrrd"
        del support["kind"]
    own = {name: revision[name] for name in ("supports", "background_label", "settings", "weights")}
    paths.description.write_text(json.dumps({**content, **own, "version": 2}), encoding="utf-8")
    for file in paths.root.glob("cases/*/quality.json"):
        quality = json.loads(file.read_text(encoding="utf-8"))
        del quality["revision"]
        file.write_text(json.dumps(quality), encoding="utf-8")


def test_settings_are_read_under_todays_names_and_the_file_stays_as_it_is(old: StudyPaths) -> None:
    description = StudyDescription.read(old)
    assert description.settings == {
        "name": "default",
        "tracking": {"enabled": True, "beyond": 0.45},
        "propagation": {"starts": 10, "coarse_passes": 3, "fine_passes": 0, "fit": True},
        "expansion": {"limit_extent": True, "extent_across": 1.5, "extent_along": 1.6, "shortest_extent_mm": 10.0},
        "check_region": True,
        "smooth_mm": 2.0,
        "seed": 0,
    }
    assert [segment.name for segment in description.structures] == ["Cord", "Drüse links"]
    assert old.description.read_text(encoding="utf-8") == DESCRIPTION


def test_measures_are_read_under_todays_names(old: StudyPaths) -> None:
    quality = read_quality(old.case("patient").quality)
    assert [structure.core_dice for structure in quality.structures] == [0.83, 0.83]
    assert [structure.agreement for structure in quality.structures] == [0.57, 0.57]


def test_a_decision_on_an_old_case_is_kept_and_counts(old: StudyPaths) -> None:
    ledger = ReviewLedger.load(old.review)
    ledger.decide("patient", "accepted", "good")
    ledger.save()
    (result,) = study_results(old)
    assert (result.case, result.state, result.trusted) == ("patient", "accepted", True)
    assert result.mask == old.case("patient").pseudo_mask


def test_an_old_study_gets_a_report(old: StudyPaths) -> None:
    text = write_report(old.root).read_text(encoding="utf-8")
    assert "patient" in text
    assert "Cord" in text


def test_an_old_study_can_be_evaluated(old: StudyPaths, tmp_path: Path) -> None:
    write_label_map(small_mask(small_ct()), tmp_path / "reference" / "patient.nii.gz")
    figures = evaluate(tmp_path / "reference", old.root).figures
    assert [figure.dice for figure in figures] == [1.0, 1.0]


@pytest.mark.usefixtures("brief_scores")
def test_a_run_continues_an_old_study(tiny: TinyBatch, tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path / "study")
    first, second = tiny.files.queries[:2]
    propagate_batch(tiny.request(paths.root, queries=(first,)))
    as_in_version_1(paths)
    events: list[tuple[str, dict[str, Any]]] = []
    outcome = propagate_batch(
        tiny.request(paths.root, queries=(first, second)), lambda event, **fields: events.append((event, fields))
    )
    assert outcome.done == ("phantom_01", "phantom_02")
    assert [fields["case"] for _, fields in events if fields.get("resumed")] == ["phantom_01"]
    assert json.loads(paths.description.read_text(encoding="utf-8"))["version"] == STUDY_VERSION


def as_in_version_1(paths: StudyPaths) -> None:
    """Write the files of a finished study under the names of the first format."""
    as_in_version_2(paths)
    content = json.loads(paths.description.read_text(encoding="utf-8"))
    content["version"] = 1
    content["settings"] = renamed(content["settings"], SETTINGS)
    paths.description.write_text(json.dumps(content), encoding="utf-8")
    assert '"following"' in paths.description.read_text(encoding="utf-8")
    for file in paths.root.glob("cases/*/quality.json"):
        measures = renamed(json.loads(file.read_text(encoding="utf-8")), {"core_dice": "solidity"})
        file.write_text(json.dumps(measures), encoding="utf-8")
        assert '"solidity"' in file.read_text(encoding="utf-8")


def renamed(content: Any, names: dict[str, str]) -> Any:
    """The same content with other names, at every depth."""
    if isinstance(content, dict):
        return {names.get(name, name): renamed(value, names) for name, value in content.items()}
    return [renamed(value, names) for value in content] if isinstance(content, list) else content


@pytest.mark.usefixtures("brief_scores")
@pytest.mark.parametrize("older", [as_in_version_1, as_in_version_2])
def test_an_old_study_with_new_strokes_becomes_a_new_revision(
    tiny: TinyBatch, tmp_path: Path, older: Callable[[StudyPaths], None]
) -> None:
    paths = StudyPaths(tmp_path / "study")
    queries = tiny.files.queries[:2]
    propagate_batch(tiny.request(paths.root, queries=queries))
    older(paths)
    ledger = ReviewLedger.load(paths.review)
    ledger.decide("phantom_01", "accepted")
    ledger.save()
    changed = fewer_strokes(tiny.files.scribbles, tmp_path / "changed.seg.nrrd")
    outcome = propagate_batch(tiny.request(paths.root, queries=queries, scribbles=[changed], reviewed="none"))
    assert outcome.failed == ()
    revisions = {name: read_quality(paths.case(name).quality).revision for name in ("phantom_01", "phantom_02")}
    assert revisions == {"phantom_01": 1, "phantom_02": 2}
    description = StudyDescription.read(paths)
    assert [one.number for one in description.revisions] == [1, 2]
    assert description.revisions[0].supports[0]["scribbles"] == "scribbles.seg.nrrd"
    assert description.revisions[1].changes_from(description.revisions[0]) == ("other scribbles",)


def test_the_first_revision_of_an_old_study_has_what_the_study_had(old: StudyPaths) -> None:
    description = StudyDescription.read(old)
    (revision,) = description.revisions
    assert (revision.number, revision.before, revision.created) == (1, 0, "2026-01-02T03:04:05+00:00")
    assert revision.supports[0]["kind"] == "scribbles"
    assert revision.weights["name"] == "headneck"
    assert read_quality(old.case("patient").quality).revision == 1
