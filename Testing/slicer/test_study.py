"""The review of a study folder, its cases in the scene, and what the panel writes for a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.report.content import read_content
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths, write_json
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality
from OneShotSegLib.study.results import study_results

SEGMENTS = (
    Segment(value=2, name="Mandible", color=(0.9, 0.8, 0.6)),
    Segment(value=5, name="Cord", color=(0.2, 0.8, 0.6)),
)


def make_case(study: StudyPaths, name: str, score: float, with_files: bool = False) -> None:
    structures = (
        StructureQuality(value=2, name="Mandible", state="found", score=score),
        StructureQuality(value=5, name="Cord", state="found", score=max(score - 0.1, 0)),
    )
    if with_files:
        ct = Volume.create(np.full((8, 9, 10), 40, dtype=np.int16), (3, 1, 1), (score * 100, 0, 0))
        labels = np.zeros(ct.shape, dtype=np.uint8)
        labels[2:4, 2:4, 2:4], labels[5:7, 5:7, 5:7] = 2, 5
        write_volume(ct, study.root.parent / f"{name}.nrrd")
        write_label_map(LabelMap(ct.with_array(labels), SEGMENTS), study.case(name).pseudo_mask)
    write_quality(
        CaseQuality(case=name, score=score, structures=structures, warnings=("a warning",)), study.case(name).quality
    )


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    paths = StudyPaths(tmp_path / "study")
    scores = {"good": 0.9, "doubtful": 0.2, "fair": 0.6}
    for name, score in scores.items():
        make_case(paths, name, score, with_files=True)
    write_json(paths.case("broken").failure, {"error": "broken.nii: expected a CT, found noise."})
    cases = tuple(StudyCase(name, str(tmp_path / f"{name}.nrrd")) for name in scores)
    StudyDescription(
        supports=(), labels=label_table(SEGMENTS), background_label=255, settings={}, weights={}, cases=cases
    ).write(paths)
    return paths


@pytest.fixture
def session(application: Any, study: StudyPaths) -> Any:
    from OneShotSegLib.interface.review_session import ReviewSession

    return ReviewSession(study)


def test_failed_cases_come_first_then_the_doubtful(session: Any) -> None:
    assert [row.case for row in session.rows] == ["broken", "doubtful", "fair", "good"]
    assert session.rows[0].notes == ("broken.nii: expected a CT, found noise.",)
    assert session.row("doubtful").worst == "Cord"
    assert session.progress == (0, 3)


def test_a_decision_is_on_disk_at_once_and_a_later_session_sees_it(session: Any, study: StudyPaths) -> None:
    from OneShotSegLib.interface.review_session import ReviewSession

    session.accept("doubtful")
    session.comment("fair", "check the chin")
    later = ReviewSession(study)
    assert later.row("doubtful").state == "accepted"
    assert (later.row("fair").state, later.row("fair").comment) == ("pending", "check the chin")
    assert later.progress == (1, 3)


def test_undo_takes_back_one_decision_after_the_other(session: Any) -> None:
    session.accept("doubtful")
    session.reject("fair")
    assert session.undo() == "fair"
    assert session.undo() == "doubtful"
    assert session.undo() == ""
    assert session.progress == (0, 3)


def test_the_next_open_case_skips_what_is_decided_and_begins_again(session: Any) -> None:
    session.accept("fair")
    assert session.next_open("doubtful") == "good"
    assert session.next_open("good") == "doubtful"
    session.accept("doubtful")
    session.accept("good")
    assert session.next_open("good") == ""


def test_of_more_cases_than_are_suggested_the_doubtful_and_different_are_marked(
    session: Any, study: StudyPaths
) -> None:
    assert not any(row.suggested for row in session.rows)
    for name, score in (("poor", 0.3), ("best", 0.95)):
        make_case(study, name, score)
    session.refresh()
    suggested = {row.case for row in session.rows if row.suggested}
    assert len(suggested) == 3
    assert "doubtful" in suggested
    session.accept("doubtful")
    assert not session.row("doubtful").suggested


def test_stepping_stops_at_the_ends(session: Any) -> None:
    assert session.neighbour("", 1) == "broken"
    assert session.neighbour("broken", -1) == "broken"
    assert session.neighbour("fair", 1) == "good"
    assert session.neighbour("good", 1) == "good"


def test_a_case_that_failed_cannot_be_accepted(session: Any) -> None:
    with pytest.raises(InputError, match="there is no result"):
        session.accept("broken")


def test_a_vanished_study_folder_is_one_sentence(session: Any, study: StudyPaths) -> None:
    study.root.rename(study.root.with_name("moved"))
    with pytest.raises(InputError, match="no longer there"):
        session.accept("good")


def test_a_ledger_that_cannot_be_written_keeps_the_case_open(
    session: Any, study: StudyPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    from OneShotSegLib.study.review import ReviewLedger

    def full(self: ReviewLedger) -> tuple[str, ...]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ReviewLedger, "save", full)
    with pytest.raises(InputError, match="No space left"):
        session.accept("good")
    session.refresh()
    assert session.row("good").state == "pending"


@pytest.fixture
def background(application: Any) -> Any:
    from OneShotSegLib.slicer.jobs.background import Background

    opened = Background()
    yield opened
    opened.close()


@pytest.fixture
def case_nodes(background: Any, study: StudyPaths, scene: Any) -> Any:
    from OneShotSegLib.interface.case_files import read_case_volumes
    from OneShotSegLib.slicer.review.case_nodes import CaseNodes

    return CaseNodes(study, background, read_case_volumes(study))


def test_a_mask_is_loaded_with_names_values_and_its_own_geometry(
    case_nodes: Any, background: Any, study: StudyPaths, tmp_path: Path
) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import describe_segments, reference_grid

    load(case_nodes, background, "good")
    node = case_nodes.mask_node("good")
    assert [(s.value, s.name) for s in describe_segments(node)] == [(2, "Mandible"), (5, "Cord")]
    grid = reference_grid(node)
    assert grid is not None
    assert grid.same_grid(read_volume(tmp_path / "good.nrrd"))
    x, y, z = case_nodes.centre("good", "Cord")
    assert (x, y, z) == pytest.approx((-5.0, -5.0, 90 + 15), abs=3.1)


def test_only_the_case_that_is_looked_at_is_in_the_scene(case_nodes: Any, background: Any) -> None:
    for name in ("good", "doubtful", "fair"):
        load(case_nodes, background, name)
        there = [n for n in ("good", "doubtful", "fair") if case_nodes.ct_node(n) or case_nodes.mask_node(n)]
        assert there == [name]


def test_the_next_case_is_read_ahead_and_shown_without_waiting(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    case_nodes.prefetch("fair", study.case("fair").pseudo_mask)
    assert case_nodes.mask_node("fair") is None
    background.finish()
    shown: list[Any] = []
    case_nodes.load("fair", study.case("fair").pseudo_mask, lambda ct, mask: shown.append((ct, mask)))
    assert shown == [(case_nodes.ct_node("fair"), case_nodes.mask_node("fair"))]
    assert not background.busy


def test_a_case_that_is_just_being_read_ahead_is_not_read_twice(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    case_nodes.prefetch("fair", study.case("fair").pseudo_mask)
    shown: list[Any] = []
    case_nodes.load("fair", study.case("fair").pseudo_mask, lambda ct, mask: shown.append(ct))
    assert len(background._tasks) == 1
    background.finish()
    assert shown == [case_nodes.ct_node("fair")]


def test_a_case_that_is_read_ahead_while_it_is_still_in_the_scene_is_there_later(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    load(case_nodes, background, "good")
    # The views are told before the other case's nodes leave the scene, and what comes next is read ahead then.
    ahead = lambda ct, mask: case_nodes.prefetch("good", study.case("good").pseudo_mask)  # noqa: E731
    case_nodes.load("fair", study.case("fair").pseudo_mask, ahead)
    background.finish()
    assert case_nodes.mask_node("good") is None
    assert load(case_nodes, background, "good") == [(case_nodes.ct_node("good"), case_nodes.mask_node("good"))]
    assert case_nodes.ct_node("good") is not None


def test_a_case_that_cannot_be_read_ahead_is_named_when_it_is_looked_at(
    case_nodes: Any, background: Any, study: StudyPaths, tmp_path: Path
) -> None:
    errors: list[str] = []
    failed: list[str] = []
    case_nodes.connect(lambda case: None, errors.append)
    (tmp_path / "fair.nrrd").unlink()
    case_nodes.prefetch("fair", study.case("fair").pseudo_mask)
    case_nodes.load("fair", study.case("fair").pseudo_mask, _never, lambda: failed.append("fair"))
    background.finish()
    assert failed == ["fair"]
    assert "no such file" in errors[0]


def test_a_mask_that_changed_after_it_was_read_ahead_is_read_again(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    case_nodes.prefetch("fair", study.case("fair").pseudo_mask)
    background.finish()
    mask = read_label_map(study.case("fair").pseudo_mask)
    empty = mask.with_volume(mask.volume.with_array(np.zeros_like(mask.volume.array)))
    write_label_map(empty, study.case("fair").pseudo_mask)
    load(case_nodes, background, "fair")
    assert case_nodes.centre("fair", "Cord") is None


def test_a_case_whose_ct_is_in_the_scene_is_shown_as_soon_as_its_mask_is_read(
    case_nodes: Any, background: Any, study: StudyPaths, tmp_path: Path
) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node
    from OneShotSegLib.slicer.review.case_marks import mark

    ct = add_volume_node(read_volume(tmp_path / "good.nrrd"), "mine")
    mark(ct, study, "good")
    assert load(case_nodes, background, "good") == [(ct, case_nodes.mask_node("good"))]
    load(case_nodes, background, "fair")
    assert ct.GetScene() is not None


def test_a_ct_that_is_gone_is_one_sentence(case_nodes: Any, background: Any, study: StudyPaths, tmp_path: Path) -> None:
    errors: list[str] = []
    failed: list[str] = []
    case_nodes.connect(lambda case: None, errors.append)
    (tmp_path / "good.nrrd").unlink()
    for name in ("good", "unknown"):
        case_nodes.load(name, study.case("good").pseudo_mask, _never, lambda name=name: failed.append(name))
        background.finish()
    assert "no such file" in errors[0]
    assert errors[1] == "unknown: the study does not name its CT."
    assert failed == ["good", "unknown"]


def _never(_ct: Any, _mask: Any) -> None:
    raise AssertionError("nothing is there to be shown")


def test_slicer_has_nothing_to_save_of_a_case_that_is_only_looked_at(
    case_nodes: Any, background: Any, application: Any, study: StudyPaths, tmp_path: Path
) -> None:
    load(case_nodes, background, "good")
    assert application.unsaved() == []
    ct, mask = case_nodes.ct_node("good"), case_nodes.mask_node("good")
    assert ct.GetStorageNode().GetFileName() == str(tmp_path / "good.nrrd")
    assert mask.GetStorageNode().GetFileName() == str(study.case("good").pseudo_mask)
    paint(mask)
    assert application.unsaved() == ["good"]
    assert mask.GetStorageNode().GetFileName() == str(study.case("good").edited_mask)
    case_nodes.corrections.save("good")
    background.finish()
    assert application.unsaved() == []


def test_a_result_that_comes_while_strokes_are_painted_does_not_replace_them(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    load(case_nodes, background, "good")
    files = study.case("good")
    new = read_label_map(files.pseudo_mask)
    write_label_map(
        LabelMap(new.volume.with_array(np.roll(new.volume.array, 1, axis=2)), new.segments), files.pseudo_mask
    )
    shown: list[Any] = []
    case_nodes.load("good", files.pseudo_mask, lambda ct, mask: shown.append(mask))
    paint(case_nodes.mask_node("good"))
    background.finish()
    case_nodes.corrections.save_all()
    corrected = read_label_map(files.edited_mask).volume.array
    expected = new.volume.array.copy()
    expected[1, 1, 1] = 5
    np.testing.assert_array_equal(corrected, expected)


def test_a_result_does_not_replace_a_mask_that_is_being_corrected(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    load(case_nodes, background, "good")
    case_nodes.corrections.editing = "good"
    files = study.case("good")
    new = read_label_map(files.pseudo_mask)
    write_label_map(LabelMap(new.volume.with_array(np.zeros_like(new.volume.array)), new.segments), files.pseudo_mask)
    load(case_nodes, background, "good")
    assert case_nodes.mask_node("good").GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    case_nodes.corrections.editing = ""
    load(case_nodes, background, "good")
    assert case_nodes.centre("good", "Cord") is None


def paint(mask: Any) -> None:
    """Paint voxel 1, 1, 1 with the value 5, as the editor does it: other voxels, and its events."""
    import slicer

    from OneShotSegLib.slicer.mrml.geometry import image_array

    segmentation = mask.GetSegmentation()
    image = segmentation.GetNthSegment(0).GetRepresentation("Binary labelmap")
    x, _x, y, _y, z, _z = image.GetExtent()
    image_array(image)[1 - z, 1 - y, 1 - x] = 5
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)
    segmentation.InvokeEvent(slicer.vtkSegmentation.RepresentationModified)


def load(case_nodes: Any, background: Any, case: str, mask: Path | None = None) -> list[Any]:
    """Load a case and wait for it; the nodes that were shown."""
    shown: list[Any] = []
    case_nodes.load(
        case, mask or case_nodes.study.case(case).pseudo_mask, lambda ct, labels: shown.append((ct, labels))
    )
    background.finish()
    return shown


def test_a_correction_saves_itself_whole_on_the_cts_grid(case_nodes: Any, background: Any, study: StudyPaths) -> None:
    import slicer

    from OneShotSegLib.slicer.mrml.geometry import image_array

    load(case_nodes, background, "good")
    segmentation = case_nodes.mask_node("good").GetSegmentation()
    image = segmentation.GetNthSegment(0).GetRepresentation("Binary labelmap")
    image_array(image)[0, 0, 0] = 5
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)
    assert case_nodes.corrections.is_unsaved("good")
    case_nodes.corrections.poll()
    assert not study.case("good").edited_mask.exists()
    case_nodes.corrections.save_all()
    before, after = read_label_map(study.case("good").pseudo_mask), read_label_map(study.case("good").edited_mask)
    assert after.volume.same_grid(before.volume)
    assert (before.volume.array != after.volume.array).sum() == 1
    assert [s.name for s in after.segments] == ["Mandible", "Cord"]
    assert not case_nodes.corrections.has_unsaved


def paint_anew(case_nodes: Any, background: Any, study: StudyPaths, name: str) -> Any:
    """Remove the segment "Cord" of a case and add one of another name, as the Segment Editor does it."""
    import slicer

    from OneShotSegLib.slicer.mrml.segmentations import oriented_image, reference_grid

    load(case_nodes, background, "good")
    node = case_nodes.mask_node("good")
    segmentation = node.GetSegmentation()
    segmentation.RemoveSegment("Segment_5")
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetLabelValue(3)
    segment.AddRepresentation(
        "Binary labelmap", oriented_image(reference_grid(node), np.full((2, 2, 2), 3, np.uint8), (4, 5, 5))
    )
    segmentation.AddSegment(segment)
    case_nodes.corrections.save_all()
    return read_label_map(study.case("good").edited_mask)


def test_a_segment_removed_and_painted_anew_has_the_study_s_value(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    errors: list[str] = []
    case_nodes.connect(lambda case: None, errors.append)
    saved = paint_anew(case_nodes, background, study, "cord ")
    assert {s.name.strip(): s.value for s in saved.segments} == {"Mandible": 2, "cord": 5}
    before = read_label_map(study.case("good").pseudo_mask).volume.array
    expected = np.where(before == 5, 0, before)
    expected[4:6, 5:7, 5:7] = 5
    np.testing.assert_array_equal(saved.volume.array, expected)
    assert errors == []


def test_a_renamed_segment_is_kept_and_said_once(case_nodes: Any, background: Any, study: StudyPaths) -> None:
    errors: list[str] = []
    case_nodes.connect(lambda case: None, errors.append)
    saved = paint_anew(case_nodes, background, study, "Spinal cord")
    assert {s.name: s.value for s in saved.segments} == {"Mandible": 2, "Spinal cord": 3}
    assert (saved.volume.array == 3).sum() == 8
    sentences = [
        "good: edited.seg.nrrd: it has no structure of these names: 'Cord'.",
        "good: edited.seg.nrrd: structures that were not asked for, not used: 'Spinal cord'.",
    ]
    assert errors == sentences
    load(case_nodes, background, "good", study.case("good").edited_mask)
    assert errors == sentences


def test_a_correction_with_other_values_is_shown_by_its_names(
    case_nodes: Any, background: Any, study: StudyPaths
) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import describe_segments

    mask = read_label_map(study.case("good").pseudo_mask)
    swapped = tuple(replace(s, value=7 - s.value) for s in SEGMENTS)
    array = np.where(mask.volume.array > 0, 7 - mask.volume.array, 0).astype(np.uint8)
    write_label_map(LabelMap(mask.volume.with_array(array), swapped), study.case("good").edited_mask)
    load(case_nodes, background, "good", study.case("good").edited_mask)
    assert [(s.value, s.name) for s in describe_segments(case_nodes.mask_node("good"))] == [
        (2, "Mandible"),
        (5, "Cord"),
    ]


def test_an_accepted_correction_counts_as_edited(session: Any, study: StudyPaths) -> None:
    study.case("good").edited_mask.write_bytes(study.case("good").pseudo_mask.read_bytes())
    session.refresh()
    session.accept("good")
    assert session.row("good").state == "edited"


def test_an_accepted_pseudo_mask_counts_before_a_correction_and_is_what_is_loaded(
    session: Any, study: StudyPaths
) -> None:
    files = study.case("good")
    assert session.mask("good") == files.pseudo_mask
    session.accept("good")
    files.edited_mask.write_bytes(files.pseudo_mask.read_bytes())
    session.refresh()
    assert session.mask("good") == files.pseudo_mask
    assert [result.mask for result in study_results(study) if result.case == "good"] == [files.pseudo_mask]
    session.accept("good")
    assert session.mask("good") == files.edited_mask


def test_cases_are_trusted_once_a_reviewer_accepted_or_corrected_them(session: Any, study: StudyPaths) -> None:
    study.case("fair").edited_mask.write_bytes(study.case("fair").pseudo_mask.read_bytes())
    session.refresh()
    session.accept("fair")
    session.accept("good")
    session.reject("doubtful")
    assert [row.case for row in session.rows if row.is_trusted] == ["fair", "good"]


def test_the_panel_and_the_report_look_at_the_same_structure_first(application: Any, study: StudyPaths) -> None:
    from OneShotSegLib.interface.review_session import ReviewSession

    absent = StructureQuality(value=2, name="Mandible", state="absent", score=0.0)
    found = StructureQuality(value=5, name="Cord", state="found", score=0.7)
    for case, structures in {"good": (absent, found), "fair": (absent,)}.items():
        write_quality(CaseQuality(case=case, score=0.7, structures=structures), study.case(case).quality)
    labels = label_table(SEGMENTS)
    description = StudyDescription.read(study)
    replace(description, labels=labels).write(study)
    session, content = ReviewSession(study), read_content(study.root)
    in_panel = {row.case: row.worst for row in session.rows}
    in_report = {case.name: case.worst.name if case.worst else "" for case in content.cases}
    assert in_panel["good"] == in_report["good"] == "Cord"
    assert in_panel["fair"] == in_report["fair"] == ""
    assert in_panel["doubtful"] == in_report["doubtful"] == "Cord"


def test_a_volume_node_becomes_a_file_that_reads_back(scene: Any, tmp_path: Path) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node
    from OneShotSegLib.slicer.sections.scene_inputs import export_volumes

    ct = Volume.create(np.arange(24, dtype=np.int16).reshape(2, 3, 4), (3, 1, 2), (5, 6, 7))
    nodes = [add_volume_node(ct, name) for name in ("a/b", "A_b")]
    exports = export_volumes(nodes, tmp_path)
    assert [export.path.name for export in exports] == ["a_b.nrrd", "A_b-2.nrrd"]
    exports[1].prepare()()
    back = read_volume(exports[1].path)
    assert back.same_grid(ct)
    np.testing.assert_array_equal(back.array, ct.array)


def test_a_volume_that_is_unchanged_since_it_was_read_is_linked_not_written(scene: Any, tmp_path: Path) -> None:
    import slicer

    from OneShotSegLib.slicer.sections.scene_inputs import export_volume

    write_volume(Volume.create(np.zeros((3, 4, 5), dtype=np.int16)), tmp_path / "ct.nii.gz")
    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(tmp_path / "ct.nii.gz"), "Patient 1", 0)
    export = export_volume(node, tmp_path / "inputs" / "Patient 1")
    export.prepare()()
    assert export.path.name == "Patient 1.nii.gz"
    assert export.path.samefile(tmp_path / "ct.nii.gz")
    node.GetImageData().Modified()
    node.Modified()
    assert export_volume(node, tmp_path / "again").path.suffix == ".nrrd"


def test_a_dicom_series_becomes_a_folder_of_its_own(application: Any, tmp_path: Path) -> None:
    from OneShotSegLib.interface.jobs.inputs import export_series

    files = [tmp_path / f"IM{number}" for number in range(3)]
    for file in files:
        file.write_bytes(b"slice")
    export = export_series("Doe: CT head", [str(file) for file in files], tmp_path / "inputs")
    export.prepare()()
    export.prepare()()
    assert sorted(path.name for path in export.path.glob("*.dcm")) == ["00000.dcm", "00001.dcm", "00002.dcm"]


def test_weights_that_were_added_are_remembered_and_those_of_the_study_offered(
    application: Any, study: StudyPaths, tmp_path: Path
) -> None:
    from OneShotSegLib.slicer.sections.weights import WeightsChoice, trained_weights

    class Settings(dict):
        def value(self, key: str, default: Any = None) -> Any:
            return self.get(key, default)

        setValue = dict.__setitem__  # noqa: N815

    choice = WeightsChoice(Settings())
    assert [value for _label, value in choice.entries(study)] == [""]
    mine = tmp_path / "mine"
    for folder in (mine, trained_weights(study)):
        folder.mkdir(parents=True)
    choice.remember(mine)
    choice.remember(tmp_path / "gone")
    assert [value for _label, value in choice.entries(study)] == ["", str(trained_weights(study)), str(mine)]
