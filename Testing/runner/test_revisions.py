"""A living study: what a run with other strokes, supports, settings or reviewed cases recomputes, and what stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import cropped
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method.support import MaskedCT
from OneShotSegLib.networks.segmentation_checkpoint import MODEL_FILE, SegmentationInfo, save_segmentation
from OneShotSegLib.report.content import read_content
from OneShotSegLib.runner import case as case_module
from OneShotSegLib.runner.known_cases import known_cases
from OneShotSegLib.runner.planning import plan_batch
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.runner.reviewed import choose_reviewed, reviewed_masks
from OneShotSegLib.runner.taking_back import take_back
from OneShotSegLib.study import replacement
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.replacement import place_result
from OneShotSegLib.study.review import ReviewLedger, ReviewState, StructureDecision
from Testing.helpers.strokes import fewer_strokes, renamed, with_other_values, without
from Testing.helpers.tiny_batch import QUICK, TinyBatch

pytestmark = pytest.mark.usefixtures("brief_scores")

FIRST, SECOND, THIRD = "phantom_01", "phantom_02", "phantom_03"
CASES = (FIRST, SECOND, THIRD)
STRUCTURE, OTHER = "Mandible", "SpinalCord"


class Events(list[tuple[str, dict[str, Any]]]):
    """Keeps the events that it is given."""

    def __call__(self, event: str, **fields: object) -> None:
        self.append((event, fields))

    def only(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self if name == event]

    @property
    def computed(self) -> set[str]:
        """The cases that were computed."""
        return {fields["case"] for fields in self.only("case_done") if "resumed" not in fields}


@pytest.fixture(scope="module")
def whole(tiny: TinyBatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of a finished run."""
    study = tmp_path_factory.mktemp("living") / "study"
    assert len(propagate_batch(tiny.request(study)).done) == 3
    return study


@pytest.fixture
def paths(whole: Path, tmp_path: Path) -> StudyPaths:
    """A copy of it, to be changed."""
    return StudyPaths(shutil.copytree(whole, tmp_path / "study", symlinks=True))


@pytest.fixture
def changed(tiny: TinyBatch, paths: StudyPaths, tmp_path: Path) -> PropagationRequest:
    """A run on it with other strokes, and no masks as supports."""
    strokes = fewer_strokes(tiny.files.scribbles, tmp_path / "changed.seg.nrrd")
    return tiny.request(paths.root, scribbles=[strokes], reviewed="none")


def decide(paths: StudyPaths, **states: ReviewState) -> None:
    ledger = ReviewLedger.load(paths.review)
    for case, state in states.items():
        ledger.decide(case, state)
    ledger.save()


def contents(files: CasePaths) -> dict[str, bytes]:
    """A case's result."""
    return {file.name: file.read_bytes() for file in files.results if file.is_file()}


def all_contents(paths: StudyPaths) -> dict[str, dict[str, bytes]]:
    return {case: contents(paths.case(case)) for case in CASES}


def revisions(paths: StudyPaths) -> dict[str, int]:
    return {case: read_quality(paths.case(case).quality).revision for case in CASES}


def names(segments: Any) -> dict[str, int]:
    return {segment.name: segment.value for segment in segments}


# What a run recomputes


def test_the_same_command_again_computes_nothing_and_begins_no_revision(tiny: TinyBatch, paths: StudyPaths) -> None:
    before = all_contents(paths)
    events = Events()
    propagate_batch(tiny.request(paths.root), events)
    assert events.computed == set()
    assert events.only("revision") == []
    assert all_contents(paths) == before
    assert [one.number for one in StudyDescription.read(paths).revisions] == [1]


def test_other_strokes_recompute_what_nobody_decided_and_nothing_else(
    paths: StudyPaths, changed: PropagationRequest
) -> None:
    before = all_contents(paths)
    decide(paths, phantom_01="accepted")
    events = Events()
    outcome = propagate_batch(changed, events)
    after = all_contents(paths)
    assert outcome.done == CASES
    assert events.computed == {SECOND, THIRD}
    assert revisions(paths) == {FIRST: 1, SECOND: 2, THIRD: 2}
    assert after[FIRST] == before[FIRST]
    assert after[SECOND] != before[SECOND]
    (revision,) = events.only("revision")
    assert revision["text"] == "Revision 2: other scribbles: 2 cases are recomputed, 1 decided one stays."
    assert (revision["number"], revision["recomputed"], revision["decided"]) == (2, [SECOND, THIRD], 1)
    scores = {case: read_quality(paths.replaced(case).quality).score for case in (SECOND, THIRD)}
    done = {fields["case"]: fields.get("score_before") for fields in events.only("case_done")}
    assert done == {FIRST: None, **scores}
    notes = {case.name: case.notes for case in read_content(paths.root).cases}
    assert notes[FIRST][-1] == "This result is of revision 1; the study is of revision 2 by now."
    assert notes[FIRST][-1] in paths.report.read_text(encoding="utf-8")
    assert not [note for case in (SECOND, THIRD) for note in notes[case] if "revision" in note]


@pytest.mark.parametrize("work", ["edited.seg.nrrd", "strokes.seg.nrrd"])
def test_a_reviewers_work_on_a_pending_case_stays(paths: StudyPaths, changed: PropagationRequest, work: str) -> None:
    files = paths.case(SECOND)
    shutil.copyfile(files.pseudo_mask, files.folder / work)
    before = contents(files)
    events = Events()
    propagate_batch(changed, events)
    assert events.computed == {FIRST, THIRD}
    assert contents(files) == before
    assert (files.folder / work).is_file()


@pytest.mark.parametrize("state", ["accepted", "rejected", "edited"])
def test_every_decision_keeps_the_result(paths: StudyPaths, changed: PropagationRequest, state: ReviewState) -> None:
    before = contents(paths.case(SECOND))
    decide(paths, phantom_02=state)
    propagate_batch(changed)
    assert contents(paths.case(SECOND)) == before


def test_a_decision_during_the_run_keeps_the_result(paths: StudyPaths, changed: PropagationRequest) -> None:
    before = contents(paths.case(SECOND))
    events = Events()

    def decide_late(event: str, **fields: Any) -> None:
        events(event, **fields)
        if event == "step" and fields["case"] == SECOND and fields["step"] == "expand":
            decide(paths, phantom_02="accepted")

    propagate_batch(changed, decide_late)
    assert contents(paths.case(SECOND)) == before
    (warning,) = [fields["text"] for fields in events.only("warning") if fields.get("case") == SECOND]
    assert warning == "It was decided during the run: its result stays as it is."


def test_the_doubtful_are_recomputed_first(paths: StudyPaths, changed: PropagationRequest) -> None:
    for case, score in ((FIRST, 0.5), (SECOND, 0.7), (THIRD, 0.1)):
        file = paths.case(case).quality
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "score": score}), encoding="utf-8")
    events = Events()
    propagate_batch(changed, events)
    assert [fields["case"] for fields in events.only("case_started")] == [THIRD, FIRST, SECOND]


def test_the_strokes_of_before_need_no_computation_where_their_results_still_are(
    tiny: TinyBatch, paths: StudyPaths, changed: PropagationRequest
) -> None:
    before = all_contents(paths)
    decide(paths, phantom_01="accepted")
    propagate_batch(changed)
    decide(paths, phantom_01="pending")
    events = Events()
    propagate_batch(tiny.request(paths.root, reviewed="none"), events)
    assert events.computed == {SECOND, THIRD}
    assert StudyDescription.read(paths).revision == 3
    assert {case: {**files, "quality.json": b""} for case, files in all_contents(paths).items()} == {
        case: {**files, "quality.json": b""} for case, files in before.items()
    }


def test_other_settings_make_a_new_revision_and_are_named(tiny: TinyBatch, paths: StudyPaths) -> None:
    method = replace(QUICK, smooth_mm=QUICK.smooth_mm + 1, denoising=replace(QUICK.denoising, threshold=0.2))
    events = Events()
    propagate_batch(tiny.request(paths.root, method=method), events)
    assert events.computed == set(CASES)
    (revision,) = events.only("revision")
    assert "other settings (denoising.threshold, smooth_mm)" in revision["text"]


def test_a_trained_network_makes_a_new_revision_and_its_masks_count(
    tiny: TinyBatch, paths: StudyPaths, tmp_path: Path
) -> None:
    structure = Segment(value=1, name=STRUCTURE, color=(1, 0, 0))
    model = tmp_path / "model"
    model.mkdir()
    info = SegmentationInfo(
        network="unet", base_channels=2, patch_size=(16, 16, 16), spacing=(8.0, 8.0, 8.0), structures=(structure,)
    )
    save_segmentation(model / MODEL_FILE, info.build(), info)
    before, events = all_contents(paths), Events()
    request = tiny.request(paths.root, network=model)
    propagate_batch(request, events)
    assert events.computed == set(CASES)
    (revision,) = events.only("revision")
    assert "a trained network (model)" in revision["text"]
    assert all_contents(paths) != before
    assert "predict" in read_quality(paths.case(FIRST).quality).seconds
    again = Events()
    propagate_batch(request, again)
    assert not again.computed
    without_it = Events()
    propagate_batch(tiny.request(paths.root), without_it)
    assert "without the trained network" in without_it.only("revision")[0]["text"]


def test_a_network_that_is_not_there_ends_the_run_before_anything_is_written(
    tiny: TinyBatch, paths: StudyPaths, tmp_path: Path
) -> None:
    before = paths.description.read_bytes()
    for run in (propagate_batch, plan_batch):
        with pytest.raises(InputError, match="nowhere"):
            run(tiny.request(paths.root, network=tmp_path / "nowhere"))
    assert paths.description.read_bytes() == before


def test_a_recomputation_that_fails_keeps_the_result_and_says_so(
    paths: StudyPaths, changed: PropagationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_contents(paths)

    def fail(self: Engine, case: str, *arguments: Any) -> Any:
        raise MemoryError("gigabytes")

    monkeypatch.setattr(Engine, "segment", fail)
    events = Events()
    outcome = propagate_batch(changed, events)
    assert outcome.failed == CASES
    assert all_contents(paths) == before
    assert all("Its result of revision 1 stays." in fields["error"] for fields in events.only("case_failed"))
    monkeypatch.undo()
    events = Events()
    propagate_batch(changed, events)
    assert events.computed == set(CASES)


def test_a_full_disk_keeps_the_result(
    paths: StudyPaths, changed: PropagationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_contents(paths)
    monkeypatch.setattr(replacement, "copy_result", lambda *files: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert propagate_batch(changed).failed == CASES
    assert all_contents(paths) == before


# Structures


def test_a_new_structure_gets_a_free_value_and_a_removed_one_keeps_its_own(
    tiny: TinyBatch, paths: StudyPaths, tmp_path: Path
) -> None:
    old = names(StudyDescription.read(paths).structures)
    decide(paths, phantom_01="accepted")
    strokes = renamed(tiny.files.scribbles, tmp_path / "renamed.seg.nrrd", {STRUCTURE: "Jaw"})
    events = Events()
    propagate_batch(tiny.request(paths.root, scribbles=[strokes], reviewed="none"), events)
    assert f"other scribbles (Jaw added, {STRUCTURE} removed)" in events.only("revision")[0]["text"]
    description = StudyDescription.read(paths)
    new = names(description.structures)
    assert {name: new[name] for name in old} == old
    assert new["Jaw"] not in {*old.values(), description.background_label}
    assert names(read_label_map(paths.case(FIRST).pseudo_mask).segments) == old
    there = names(read_label_map(paths.case(SECOND).pseudo_mask).segments)
    assert there == {name: value for name, value in new.items() if name != STRUCTURE}
    quality = read_quality(paths.case(SECOND).quality)
    assert {one.name: one.value for one in quality.structures} == there
    assert [entry["name"] for entry in description.present.labels] == list(there)

    propagate_batch(tiny.request(paths.root, reviewed="none"))
    assert names(StudyDescription.read(paths).structures) == new
    assert names(read_label_map(paths.case(SECOND).pseudo_mask).segments) == old


def test_the_same_strokes_with_other_values_are_the_same_strokes(
    tiny: TinyBatch, paths: StudyPaths, tmp_path: Path
) -> None:
    strokes = with_other_values(tiny.files.scribbles, tmp_path / "values.seg.nrrd")
    assert names(read_label_map(strokes).segments) != names(read_label_map(tiny.files.scribbles).segments)
    events = Events()
    propagate_batch(tiny.request(paths.root, scribbles=[strokes]), events)
    assert events.computed == set()
    assert StudyDescription.read(paths).revision == 1


def test_a_further_structure_with_values_of_its_own_file_fits_the_masks_that_are_there(
    tiny: TinyBatch, tmp_path: Path
) -> None:
    paths = StudyPaths(tmp_path / "study")
    fewer = without(tiny.files.scribbles, tmp_path / "fewer.seg.nrrd", OTHER)
    propagate_batch(tiny.request(paths.root, scribbles=[fewer]))
    old = names(StudyDescription.read(paths).structures)
    more = with_other_values(tiny.files.scribbles, tmp_path / "more.seg.nrrd")
    events = Events()
    propagate_batch(tiny.request(paths.root, scribbles=[more]), events)
    assert f"({OTHER} added)" in events.only("revision")[0]["text"]
    new = names(StudyDescription.read(paths).structures)
    assert set(new) == {*old, OTHER}
    assert {name: new[name] for name in old} == old
    assert names(read_label_map(paths.case(FIRST).pseudo_mask).segments) == new


# Killed


KILLED = """
import os, sys
from pathlib import Path
from OneShotSegLib.runner import case
from OneShotSegLib.runner.propagation import propagate_batch
from OneShotSegLib.study import replacement, segmentation
from Testing.helpers import tiny_batch
point, folder, study, strokes = sys.argv[1:]
def kill(*arguments, **options):
    os._exit(9)
def killed_at(number, function):
    calls = []
    def call(*arguments):
        calls.append(arguments)
        return kill() if len(calls) == number else function(*arguments)
    return call
if point == "before the quality":
    segmentation.write_quality = kill
elif point == "before the old one is kept":
    replacement.copy_result = kill
elif point == "while the old one is kept":
    replacement.link_or_copy = killed_at(2, replacement.link_or_copy)
else:
    replacement.move_file = killed_at(int(point), replacement.move_file)
tiny_batch.score_briefly()
batch = tiny_batch.make(Path(folder), 3)
propagate_batch(batch.request(Path(study), scribbles=[Path(strokes)], reviewed="none"))
"""
BEFORE_THE_NEW_ONE = ("before the quality",)


@pytest.fixture(scope="module")
def undisturbed(whole: Path, tiny: TinyBatch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What the study has after a run with changed strokes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    study = StudyPaths(shutil.copytree(whole, folder / "study", symlinks=True))
    strokes = fewer_strokes(tiny.files.scribbles, folder / "changed.seg.nrrd")
    propagate_batch(tiny.request(study.root, scribbles=[strokes], reviewed="none"))
    return all_contents(study)


@pytest.mark.skipif(os.name == "nt", reason="ends a process as only POSIX does")
@pytest.mark.parametrize(
    "point", ["before the quality", "before the old one is kept", "while the old one is kept", "1", "2", "3"]
)
def test_a_run_killed_at_any_moment_of_a_replacement_leaves_whole_cases_and_goes_on(
    tiny: TinyBatch, paths: StudyPaths, changed: PropagationRequest, undisturbed: dict[str, Any], point: str
) -> None:
    old = all_contents(paths)
    arguments = [point, tiny.weights.parent, paths.root, changed.scribbles[0]]
    child = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], capture_output=True, check=False)
    assert child.returncode == 9, child.stderr
    killed = next(case for case in CASES if paths.unfinished(case).folder.is_dir())
    assert {case: all_contents(paths)[case] for case in CASES if case != killed} == {
        case: old[case] for case in CASES if case != killed
    }
    if not point.isdigit() or point == "1":
        assert contents(paths.case(killed)) == old[killed]
    events = Events()
    assert propagate_batch(changed, events).failed == ()
    finished = set(CASES) if point in BEFORE_THE_NEW_ONE else set(CASES) - {killed}
    assert events.computed == finished
    assert masks_of(all_contents(paths)) == masks_of(undisturbed)
    assert revisions(paths) == dict.fromkeys(CASES, 2)
    assert not paths.unfinished_folder.exists()
    take_back(paths)
    assert all_contents(paths) == old


def masks_of(found: dict[str, dict[str, bytes]]) -> dict[str, dict[str, bytes]]:
    """Without the measures, which have times in them."""
    return {
        case: {name: text for name, text in files.items() if name != "quality.json"} for case, files in found.items()
    }


@pytest.mark.parametrize("moved", [0, 1])
def test_a_case_decided_after_the_kill_keeps_the_mask_that_was_decided_on(
    paths: StudyPaths, changed: PropagationRequest, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    old, calls = all_contents(paths), []

    def killed(paths: StudyPaths, case: str) -> None:
        calls.append(case)
        if moved:
            paths.unfinished(case).pseudo_mask.replace(paths.case(case).pseudo_mask)
        raise KeyboardInterrupt

    monkeypatch.setattr(case_module, "place_result", killed)
    with pytest.raises(KeyboardInterrupt):
        propagate_batch(changed)
    monkeypatch.undo()
    (case,) = calls
    seen = paths.case(case).pseudo_mask.read_bytes()
    assert (seen == old[case]["pseudo.seg.nrrd"]) == (not moved)
    states: dict[str, ReviewState] = {case: "accepted"}
    decide(paths, **states)
    propagate_batch(changed)
    assert paths.case(case).pseudo_mask.read_bytes() == seen
    assert read_quality(paths.case(case).quality).revision == 1 + moved


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("folder", ["unfinished", "replaced", "supports/masks", "cache"])
def test_nothing_is_written_or_removed_through_a_link(
    paths: StudyPaths, changed: PropagationRequest, tmp_path: Path, folder: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.txt").write_text("precious", encoding="utf-8")
    (paths.root / folder).symlink_to(elsewhere)
    before, description = all_contents(paths), paths.description.read_bytes()
    with pytest.raises(InputError, match="found a link to elsewhere"):
        propagate_batch(changed)
    assert [file.name for file in elsewhere.iterdir()] == ["precious.txt"]
    assert all_contents(paths) == before
    assert paths.description.read_bytes() == description


# Taken back


def test_a_run_can_be_taken_back_and_decisions_stay(
    tiny: TinyBatch, paths: StudyPaths, changed: PropagationRequest
) -> None:
    old = all_contents(paths)
    propagate_batch(changed)
    new = all_contents(paths)
    decide(paths, phantom_03="accepted")
    done = take_back(paths)
    assert (done.revision, done.restored, done.decided, done.recomputed) == (1, (FIRST, SECOND), (THIRD,), ())
    assert "of revision 1 again: 2 cases got the result of before; 1 case stay" in done.text
    assert all_contents(paths) == {**old, THIRD: new[THIRD]}
    assert not paths.replaced_folder.exists()
    assert ReviewLedger.load(paths.review)[FIRST].score == round(read_quality(paths.case(FIRST).quality).score, 4)
    events = Events()
    propagate_batch(tiny.request(paths.root, reviewed="none"), events)
    assert events.computed == set()
    propagate_batch(changed, events)
    assert events.computed == {FIRST, SECOND}
    description = StudyDescription.read(paths)
    assert [(one.number, one.before) for one in description.revisions] == [(1, 0), (2, 1), (3, 1)]
    assert read_label_map(paths.support_scribbles(description.revisions[0].supports[0])).volume.array.any()


def test_the_first_revision_cannot_be_taken_back(paths: StudyPaths) -> None:
    with pytest.raises(InputError, match="found a study of its first one"):
        take_back(paths)


def test_a_folder_without_a_study_is_not_made_by_taking_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a study"):
        take_back(StudyPaths(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_taking_back_goes_on_where_it_was_interrupted(
    paths: StudyPaths, changed: PropagationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from OneShotSegLib.runner import taking_back

    old, calls = all_contents(paths), []
    propagate_batch(changed)

    def interrupted(paths: StudyPaths, case: str) -> None:
        calls.append(case)
        if len(calls) == 2:
            raise KeyboardInterrupt
        place_result(paths, case)

    monkeypatch.setattr(taking_back, "place_result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take_back(paths)
    monkeypatch.undo()
    assert StudyDescription.read(paths).revision == 2
    take_back(paths)
    assert all_contents(paths) == old
    assert StudyDescription.read(paths).revision == 1


def test_one_generation_of_results_is_kept(tiny: TinyBatch, paths: StudyPaths, changed: PropagationRequest) -> None:
    propagate_batch(changed)
    second = all_contents(paths)
    propagate_batch(replace(changed, method=replace(QUICK, smooth_mm=3.0)))
    assert {case: contents(paths.replaced(case)) for case in CASES} == second
    take_back(paths)
    assert all_contents(paths) == second
    done = take_back(paths)
    assert (done.restored, done.recomputed) == ((), CASES)
    assert "are computed anew by the next run" in done.text


# Reviewed cases as supports


def masks_given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The masks that engines are given from now on."""
    given: list[Any] = []
    made = Engine.__init__

    def note(self: Engine, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        given.append(self.masks)

    monkeypatch.setattr(Engine, "__init__", note)
    return given


def test_reviewed_cases_are_supports_with_their_masks(
    tiny: TinyBatch, paths: StudyPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected = read_label_map(paths.case(SECOND).pseudo_mask)
    array = corrected.volume.array.copy()
    array[:2] = 0
    gone = corrected.segments[-1]
    rest = replace(corrected.with_volume(corrected.volume.with_array(array)), segments=corrected.segments[:-1])
    write_label_map(rest, paths.case(SECOND).edited_mask)
    decide(paths, phantom_01="accepted", phantom_02="edited")
    given, events = masks_given(monkeypatch), Events()
    propagate_batch(tiny.request(paths.root), events)
    assert events.computed == {THIRD}
    text = "phantom_01, phantom_02 as supports with their masks: 1 case is recomputed, 2 decided ones stay."
    assert events.only("revision")[0]["text"] == f"Revision 2: {text}"
    (masks,) = given
    assert [source.name for source in masks] == [FIRST, SECOND]
    first, second = (source.read() for source in masks)
    assert isinstance(first, MaskedCT)
    assert first.mask.volume.same_grid(first.ct)
    assert np.array_equal(first.mask.volume.array, read_label_map(paths.case(FIRST).pseudo_mask).volume.array)
    assert names(first.mask.segments) == names(corrected.segments)
    assert gone.name not in names(second.mask.segments)
    assert not second.mask.volume.array[:2].any()
    supports = StudyDescription.read(paths).present.masks
    assert [(one["kind"], one["case"]) for one in supports] == [("mask", FIRST), ("mask", SECOND)]
    assert all((paths.root / one["mask"]).is_file() for one in supports)
    events = Events()
    propagate_batch(tiny.request(paths.root), events)
    assert events.computed == set()


def test_masks_are_read_only_when_they_are_needed(
    tiny: TinyBatch, paths: StudyPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    from OneShotSegLib.runner import reviewed

    decide(paths, phantom_01="accepted")
    propagate_batch(tiny.request(paths.root))
    monkeypatch.setattr(reviewed, "read_case_ct", lambda *arguments: pytest.fail("a CT was read"))
    propagate_batch(tiny.request(paths.root))


def test_a_mask_that_was_corrected_again_makes_a_new_revision_and_the_old_mask_is_removed(
    tiny: TinyBatch, paths: StudyPaths
) -> None:
    files = paths.case(FIRST)
    labels = read_label_map(files.pseudo_mask)
    write_label_map(labels, files.edited_mask)
    decide(paths, phantom_01="edited")
    propagate_batch(tiny.request(paths.root))
    (kept,) = paths.mask_supports.iterdir()
    content, smaller = kept.read_bytes(), labels.volume.array.copy()
    smaller[smaller == smaller.max()] = 0
    write_label_map(labels.with_volume(labels.volume.with_array(smaller)), files.edited_mask)
    assert kept.read_bytes() == content
    events = Events()
    propagate_batch(tiny.request(paths.root), events)
    assert "phantom_01 with another mask as support" in events.only("revision")[0]["text"]
    assert [file.read_bytes() for file in paths.mask_supports.iterdir()] == [files.edited_mask.read_bytes()]


def test_which_reviewed_cases_are_supports_can_be_chosen(tiny: TinyBatch, paths: StudyPaths) -> None:
    decide(paths, phantom_01="accepted", phantom_02="accepted")
    propagate_batch(tiny.request(paths.root, reviewed="none"))
    assert StudyDescription.read(paths).revision == 1
    propagate_batch(tiny.request(paths.root, reviewed=f"{SECOND},"))
    assert [one["case"] for one in StudyDescription.read(paths).present.masks] == [SECOND]
    for name in (THIRD, "nobody"):
        with pytest.raises(InputError, match=f"{name}: expected an accepted or corrected case"):
            propagate_batch(tiny.request(paths.root, reviewed=name))


def test_a_mask_that_cannot_be_used_is_left_out_and_said(tiny: TinyBatch, paths: StudyPaths) -> None:
    paths.case(FIRST).edited_mask.write_bytes(b"no mask")
    decide(paths, phantom_01="edited", phantom_02="accepted")
    events = Events()
    propagate_batch(tiny.request(paths.root), events)
    assert [one["case"] for one in StudyDescription.read(paths).present.masks] == [SECOND]
    assert any(text["text"].startswith("phantom_01: not used as a support") for text in events.only("warning"))


def test_an_empty_correction_is_no_support_and_begins_no_revision(tiny: TinyBatch, paths: StudyPaths) -> None:
    labels = read_label_map(paths.case(FIRST).pseudo_mask)
    write_label_map(
        labels.with_volume(labels.volume.with_array(labels.volume.array * 0)), paths.case(FIRST).edited_mask
    )
    decide(paths, phantom_01="edited")
    events = Events()
    propagate_batch(tiny.request(paths.root), events)
    assert StudyDescription.read(paths).revision == 1
    assert any("found an empty one" in text["text"] for text in events.only("warning"))


def test_a_kept_mask_does_not_change_with_the_reviewers_file(tiny: TinyBatch, paths: StudyPaths) -> None:
    edited = paths.case(FIRST).edited_mask
    write_label_map(read_label_map(paths.case(FIRST).pseudo_mask), edited)
    decide(paths, phantom_01="edited")
    propagate_batch(tiny.request(paths.root))
    (kept,) = paths.mask_supports.iterdir()
    content = kept.read_bytes()
    with edited.open("r+b") as file:  # as a program does that does not replace what it saves
        file.write(b"x" * 100)
    assert kept.read_bytes() == content


# Decisions whose files are lost


@pytest.mark.parametrize("damage", ["gone", "broken"])
def test_a_mask_that_was_decided_on_stays_without_its_measures(
    tiny: TinyBatch, paths: StudyPaths, changed: PropagationRequest, damage: str
) -> None:
    decide(paths, phantom_01="accepted")
    files = paths.case(FIRST)
    mask = files.pseudo_mask.read_bytes()
    if damage == "gone":
        files.quality.unlink()
    else:
        files.quality.write_text("{}", encoding="utf-8")
    events = Events()
    result = propagate_batch(changed, events)
    assert result.failed == (FIRST,)
    assert events.computed == {SECOND, THIRD}
    assert "its mask stays as it is" in events.only("case_failed")[0]["error"]
    assert files.pseudo_mask.read_bytes() == mask
    assert ReviewLedger.load(paths.review).state_of(FIRST) == "accepted"
    shutil.rmtree(files.folder)
    assert FIRST in propagate_batch(changed).done


@pytest.mark.parametrize("state", ["accepted", "edited"])
def test_what_takes_the_place_of_a_lost_mask_waits_for_a_decision(
    paths: StudyPaths, changed: PropagationRequest, state: ReviewState
) -> None:
    decide(paths, phantom_01=state)
    paths.case(FIRST).pseudo_mask.unlink()
    events = Events()
    propagate_batch(changed, events)
    assert FIRST in events.computed
    assert any(one.get("case") == FIRST and "is gone" in one["text"] for one in events.only("warning"))
    assert ReviewLedger.load(paths.review).state_of(FIRST) == "pending"


def test_a_pseudo_mask_does_not_count_as_the_correction_that_is_gone(
    tiny: TinyBatch, paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    decide(paths, phantom_01="edited")
    assert choose_reviewed(paths, "reviewed", StudyDescription.read(paths).structures, known_cases(paths, ())) == ()
    assert "its correction (edited.seg.nrrd) is gone" in caplog.text
    events = Events()
    propagate_batch(tiny.request(paths.root), events)
    assert events.computed == set()


def test_a_correction_counts_by_names_and_on_the_grid_of_its_ct(tiny: TinyBatch, paths: StudyPaths) -> None:
    files = paths.case(FIRST)
    labels = read_label_map(files.pseudo_mask)
    write_label_map(labels, files.edited_mask)
    with_other_values(files.edited_mask, files.edited_mask)
    moved = read_label_map(files.edited_mask)
    first, second = moved.segments[:2]
    odd = (replace(first, name="Tumour"), *moved.segments[1:])
    z, y, x = moved.volume.shape
    part = cropped(moved.volume, (slice(2, z), slice(1, y), slice(0, x)))
    write_label_map(LabelMap(part, odd), files.edited_mask)
    decide(paths, phantom_01="edited")
    structures = StudyDescription.read(paths).structures
    supports = choose_reviewed(paths, "reviewed", structures, known_cases(paths, ()))
    (source,) = reviewed_masks(paths, supports, structures)
    mask = source.read()
    values = names(structures)
    assert names(mask.mask.segments) == {name: values[name] for name in values if name != first.name}
    expected = np.where(labels.volume.array == values[first.name], 0, labels.volume.array)
    expected[:2], expected[:, :1] = 0, 0
    assert np.array_equal(mask.mask.volume.array, expected)
    assert mask.mask.volume.same_grid(mask.ct)
    write_label_map(LabelMap(Volume.create(part.array, (1, 1, 1), (9000, 0, 0)), odd), files.edited_mask)
    assert choose_reviewed(paths, "reviewed", structures, known_cases(paths, ())) == ()
    twice = (replace(second, name=moved.segments[2].name), *moved.segments[2:])
    write_label_map(LabelMap(moved.volume, twice), files.edited_mask)
    assert choose_reviewed(paths, "reviewed", structures, known_cases(paths, ())) == ()


# Planned


def test_a_dry_run_says_what_would_be_recomputed_and_what_stays(
    tiny: TinyBatch, paths: StudyPaths, changed: PropagationRequest, tmp_path: Path
) -> None:
    decide(paths, phantom_01="rejected")
    further = tmp_path / "further.nii.gz"
    shutil.copyfile(tiny.files.queries[0], further)
    before = {file: file.stat().st_mtime_ns for file in paths.root.rglob("*")}
    events = Events()
    plan = plan_batch(replace(changed, queries=[*changed.queries, further]), events)
    states = {case.case: str(case.state) for case in plan.cases}
    assert states == {FIRST: "decided", SECOND: "recomputed", THIRD: "recomputed", "further": "new"}
    assert plan.revision == "Revision 2: other scribbles: 2 cases are recomputed, 1 decided one stays."
    assert plan.text.startswith("4 cases, 3 to do")
    assert [fields["text"] for fields in events.only("revision")] == [plan.revision]
    assert {file: file.stat().st_mtime_ns for file in paths.root.rglob("*")} == before
    same = plan_batch(tiny.request(paths.root, reviewed="none"))
    assert {str(case.state) for case in same.cases} == {"decided", "done before"}
    assert same.revision == ""


def test_a_case_whose_ct_is_a_support_now_keeps_its_result(tiny: TinyBatch, paths: StudyPaths, tmp_path: Path) -> None:
    shutil.copyfile(paths.case(FIRST).scribbles, tmp_path / "second.seg.nrrd")
    before = contents(paths.case(FIRST))
    request = tiny.request(
        paths.root,
        supports=[tiny.files.support, tiny.files.queries[0]],
        scribbles=[tiny.files.scribbles, tmp_path / "second.seg.nrrd"],
        queries=tiny.files.queries[1:],
    )
    events = Events()
    outcome = propagate_batch(request, events)
    assert outcome.failed == ()
    assert "1 scribbled support more" in events.only("revision")[0]["text"]
    assert contents(paths.case(FIRST)) == before
    assert {"case": FIRST, "text": "Its CT is a support now: its result stays as it is."} in events.only("warning")


def test_a_study_of_a_network_is_not_continued_by_a_propagation(tiny: TinyBatch, paths: StudyPaths) -> None:
    description = StudyDescription.read(paths)
    replace(description, settings={"name": "network"}).write(paths)
    with pytest.raises(InputError, match="expected a study of a propagation"):
        propagate_batch(tiny.request(paths.root))


@pytest.mark.parametrize("decision", ["rejected", "doubtful"])
def test_a_structure_that_was_not_accepted_is_no_support(
    tiny: TinyBatch, paths: StudyPaths, decision: StructureDecision
) -> None:
    decide(paths, phantom_01="accepted")
    structures = StudyDescription.read(paths).structures
    known = known_cases(paths, ())
    before = choose_reviewed(paths, "reviewed", structures, known)[0]
    ledger = ReviewLedger.load(paths.review)
    ledger.decide_structure(FIRST, STRUCTURE, decision)
    ledger.save()
    (support,) = choose_reviewed(paths, "reviewed", structures, known)
    assert before.structures - support.structures == {STRUCTURE.casefold()}
    assert support.fingerprint != before.fingerprint
    (source,) = reviewed_masks(paths, [support], structures)
    assert STRUCTURE not in names(source.read().mask.segments)


def test_a_case_of_which_a_structure_was_decided_is_not_recomputed(
    paths: StudyPaths, changed: PropagationRequest
) -> None:
    ledger = ReviewLedger.load(paths.review)
    ledger.decide_structure(SECOND, STRUCTURE, "accepted")
    ledger.save()
    events = Events()
    propagate_batch(changed, events)
    assert events.computed == {FIRST, THIRD}
