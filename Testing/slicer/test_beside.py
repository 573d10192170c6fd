"""The support beside the case that is looked at: its own row of views, linked, and nothing of it left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Session
from made_study import make_study, name_support
from test_session import look_at

from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.support_link import SupportLink, read_support
from OneShotSegLib.study.layout import StudyPaths

SHIFT = (2, 3, -4)
"""By which the support's mask lies elsewhere, voxels [z, y, x] of 3 x 1 x 1 mm."""
SHIFT_RAS = (4.0, -3.0, 6.0)
"""The same in mm of RAS: x, y, z."""


@pytest.fixture
def opened(session: Session, tmp_path: Path) -> StudyPaths:
    """A study of three cases, open in the panel; the third is the support, whose structures lie elsewhere."""
    study = make_study(tmp_path / "study", 3)
    path = study.case("case_02").pseudo_mask
    mask = read_label_map(path)
    shifted = np.roll(mask.volume.array, SHIFT, axis=(0, 1, 2))
    write_label_map(mask.with_volume(mask.volume.with_array(shifted)), path)
    name_support(study, 2)
    session.parameters.study_folder = str(study.root)
    session.settle()
    return study


def nodes(application: Any) -> list[str]:
    """The names of the segmentations and CTs in the scene."""
    scene = application.scene
    kinds = ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode")
    return [scene.GetNthNodeByClass(n, k).GetName() for k in kinds for n in range(scene.GetNumberOfNodesByClass(k))]


def view(application: Any, name: str) -> Any:
    return application.scene.GetSingletonNode(name, "vtkMRMLSliceNode")


def background_of(application: Any, name: str) -> str:
    from OneShotSegLib.slicer.mrml.linked_slices import composite_node

    shown = composite_node(application.scene, name).GetBackgroundVolumeID()
    return application.scene.GetNodeByID(shown).GetName() if shown else ""


def between(application: Any, first: str, second: str) -> tuple[float, ...]:
    """Where the middle of the second view lies, seen from that of the first, mm of RAS."""
    from OneShotSegLib.slicer.mrml.linked_slices import view_centre

    pairs = zip(view_centre(view(application, first)), view_centre(view(application, second)), strict=True)
    return tuple(other - own for own, other in pairs)


def turn_on(session: Session) -> None:
    session.ui.besideButton.setChecked(True)
    session.settle()


def layout(application: Any) -> int:
    return int(application.scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement())


def test_it_is_off_until_it_is_wanted_and_the_views_are_then_as_they_were(
    session: Session, application: Any, opened: StudyPaths
) -> None:
    look_at(session, "case_00")
    before, views = nodes(application), layout(application)
    assert not session.ui.besideButton.checked
    turn_on(session)
    assert set(nodes(application)) - set(before) == {"case_02 (support)", "case_02 CT (support)"}
    assert [background_of(application, name) for name in ("Red", "Red+")] == ["case_00 CT", "case_02 CT (support)"]
    assert layout(application) != views
    assert application.unsaved() == []
    session.ui.besideButton.setChecked(False)
    assert nodes(application) == before
    assert layout(application) == views
    assert session.panel.review.case_nodes.mask_node("case_00").GetDisplayNode().GetNumberOfViewNodeIDs() == 0


def test_a_layout_of_two_rows_that_the_user_chose_is_left_alone(
    session: Session, application: Any, opened: StudyPaths
) -> None:
    node = application.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    views = layout(application)
    node.SetViewArrangement(node.SlicerLayoutThreeOverThreeView)
    look_at(session, "case_00")
    assert background_of(application, "Red+") == "case_00 CT"
    view(application, "Red").SetSliceOffset(5.0)
    view(application, "Red+").SetSliceOffset(9.0)
    assert view(application, "Red").GetSliceOffset() == pytest.approx(5.0)
    turn_on(session)
    session.ui.besideButton.setChecked(False)
    assert layout(application) == node.SlicerLayoutThreeOverThreeView
    node.SetViewArrangement(views)


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_moving_in_one_row_moves_the_other_to_the_corresponding_place(
    session: Session, application: Any, opened: StudyPaths, name: str
) -> None:
    look_at(session, "case_00")
    turn_on(session)
    assert between(application, name, f"{name}+") == pytest.approx(SHIFT_RAS, abs=1e-3)
    view(application, name).SetSliceOffset(12.5)
    assert between(application, name, f"{name}+") == pytest.approx(SHIFT_RAS, abs=1e-3)
    view(application, f"{name}+").SetSliceOffset(-7.0)
    assert view(application, f"{name}+").GetSliceOffset() == pytest.approx(-7.0, abs=1e-6)
    assert between(application, name, f"{name}+") == pytest.approx(SHIFT_RAS, abs=1e-3)
    view(application, name).SetFieldOfView(40, 40, 1)
    assert view(application, f"{name}+").GetFieldOfView()[:2] == (40, 40)


def test_the_support_stays_from_case_to_case_and_only_one_of_these_is_in_the_scene(
    session: Session, application: Any, opened: StudyPaths
) -> None:
    look_at(session, "case_00")
    turn_on(session)
    support = application.scene.GetFirstNodeByName("case_02 (support)")
    look_at(session, "case_01")
    session.settle()
    assert support.GetScene() is application.scene
    assert sorted(nodes(application)) == ["case_01", "case_01 CT", "case_02 (support)", "case_02 CT (support)"]
    assert background_of(application, "Red+") == "case_02 CT (support)"
    assert between(application, "Red", "Red+") == pytest.approx(SHIFT_RAS, abs=1e-3)


def test_beside_the_support_itself_there_is_nothing(session: Session, application: Any, opened: StudyPaths) -> None:
    look_at(session, "case_00")
    turn_on(session)
    look_at(session, "case_02")
    session.settle()
    assert sorted(nodes(application)) == ["case_02", "case_02 CT"]
    assert background_of(application, "Red+") == ""
    look_at(session, "case_00")
    session.settle()
    assert background_of(application, "Red+").startswith("case_02 CT (support)")


def test_masks_and_strokes_of_the_case_are_neither_shown_nor_painted_in_the_supports_views(
    session: Session, application: Any, opened: StudyPaths
) -> None:
    look_at(session, "case_00")
    turn_on(session)
    review = session.panel.review
    review.on_regrow()
    both = review.case_nodes.mask_node("case_00"), review.regrowing.node
    for display in (node.GetDisplayNode() for node in both):
        shown = [name for name in ("Red", "Green+", "Red+") if display.IsDisplayableInView(f"vtkMRMLSliceNode{name}")]
        assert shown == ["Red"]
        assert display.IsDisplayableInView("vtkMRMLViewNode1")
    support = application.scene.GetFirstNodeByName("case_02 (support)").GetDisplayNode()
    assert support.IsDisplayableInView("vtkMRMLSliceNodeRed+")
    assert not support.IsDisplayableInView("vtkMRMLSliceNodeRed")


def test_a_structure_that_is_looked_at_is_shown_in_both(session: Session, application: Any, opened: StudyPaths) -> None:
    look_at(session, "case_00")
    turn_on(session)
    review = session.panel.review
    mask = application.scene.GetFirstNodeByName("case_02 (support)")
    review.on_next_structure()
    name = review._structure
    segmentation, display = mask.GetSegmentation(), mask.GetDisplayNode()
    ids = [segmentation.GetNthSegmentID(number) for number in range(2)]
    full = [segmentation.GetSegment(one).GetName() for one in ids if display.GetSegmentOpacity2DOutline(one) == 1]
    assert full == [name]
    assert between(application, "Red", "Red+") == pytest.approx(SHIFT_RAS, abs=1e-3)


def test_while_another_module_is_shown_the_views_are_its_own(
    session: Session, application: Any, opened: StudyPaths
) -> None:
    look_at(session, "case_00")
    views = layout(application)
    turn_on(session)
    session.widget.exit()
    assert layout(application) == views
    assert not [name for name in nodes(application) if "(support)" in name]
    session.enter()
    session.settle()
    assert session.ui.besideButton.checked
    assert background_of(application, "Red+").startswith("case_02 CT (support)")
    assert between(application, "Red", "Red+") == pytest.approx(SHIFT_RAS, abs=1e-3)


@pytest.mark.parametrize("what", ["scene", "study", "panel"])
def test_nothing_of_it_is_left_behind(session: Session, application: Any, opened: StudyPaths, what: str) -> None:
    views = layout(application)
    look_at(session, "case_00")
    turn_on(session)
    red = view(application, "Red")
    observed = [(node, tag) for node, tag in session.panel.review.beside._slices._observed]
    assert len(observed) == 6
    if what == "scene":
        application.scene.Clear(0)
    elif what == "study":
        session.parameters.study_folder = ""
    else:
        session.panel.close()
    session.settle()
    assert not any(node.HasObserver("ModifiedEvent") and node.GetCommand(tag) for node, tag in observed)
    assert not [name for name in nodes(application) if "(support)" in name]
    assert layout(application) == views
    assert not session.ui.besideButton.checked
    red.SetSliceOffset(3.0)  # and moves nothing


def test_a_ct_of_the_users_is_taken_as_it_is_and_stays(session: Session, application: Any, opened: StudyPaths) -> None:
    from OneShotSegLib.imaging.files import read_volume
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node
    from OneShotSegLib.slicer.review.case_marks import mark

    ct = add_volume_node(read_volume(opened.root.parent / "cts" / "case_02.nii.gz"), "mine")
    mark(ct, opened, "case_02")
    look_at(session, "case_00")
    turn_on(session)
    assert background_of(application, "Red+") == "mine"
    assert not application.scene.GetFirstNodeByName("case_02 CT (support)")
    session.ui.besideButton.setChecked(False)
    assert ct.GetScene() is application.scene


def test_a_study_without_a_support_says_so(session: Session, tmp_path: Path) -> None:
    session.parameters.study_folder = str(make_study(tmp_path / "study", 2).root)
    session.settle()
    session.ui.besideButton.setChecked(True)
    assert "names no support" in session.message
    assert not session.ui.besideButton.checked


def test_a_support_that_cannot_be_read_is_one_sentence(session: Session, opened: StudyPaths) -> None:
    (opened.root.parent / "cts" / "case_02.nii.gz").unlink()
    look_at(session, "case_00")
    turn_on(session)
    assert session.message.startswith("The support cannot be shown: ")
    assert "case_02.nii.gz" in session.message


# The map between the two


def bodies(matrix: Any, **places: tuple[int, int, int]) -> tuple[LabelMap, LabelMap]:
    """Blocks in a query of 2 x 1 x 1 mm, and the same in a support under an affine map of mm."""
    query = Volume.create(np.zeros((60, 90, 90), np.uint8), (2, 1, 1))
    support = Volume.create(np.zeros((80, 120, 120), np.uint8), (2, 1, 1))
    own, other = query.array.copy(), support.array.copy()
    at = support.to_world(np.stack(np.meshgrid(*map(np.arange, support.shape), indexing="ij"), axis=-1))
    back = query.to_index((at - 5) @ np.linalg.inv(matrix))
    for value, (z, y, x) in enumerate(places.values(), start=1):
        own[z : z + 12, y : y + 10, x : x + 10] = value
        low = np.array((z, y, x)) - 0.5
        other[((back >= low) & (back < low + np.array((12, 10, 10)))).all(axis=-1)] = value
    segments = tuple(Segment(value=n, name=name, color=(1, 0, 0)) for n, name in enumerate(places, start=1))
    return LabelMap(query.with_array(own), segments), LabelMap(support.with_array(other), segments)


def linked(folder: Path, query: LabelMap, support: LabelMap) -> SupportLink | None:
    found = []
    for name, label_map in (("query", query), ("support", support)):
        write_label_map(label_map, folder / f"{name}.seg.nrrd")
        found.append(read_support(None, folder / f"{name}.seg.nrrd").landmarks)
    return SupportLink.between(*found)


PLACES: dict[str, Any] = {"A": (10, 10, 20), "B": (35, 20, 60), "C": (20, 60, 30), "D": (40, 70, 70), "E": (5, 70, 60)}


def test_a_larger_and_shifted_body_is_followed_and_the_way_back_is_the_same(tmp_path: Path) -> None:
    matrix = np.diag([1.1, 1.2, 0.9])
    link = linked(tmp_path, *bodies(matrix, **PLACES))
    assert link is not None
    point = np.array([60.0, 45.0, 45.0])
    np.testing.assert_allclose(link.to_support(point), point @ matrix + 5, atol=1.5)
    np.testing.assert_allclose(link.to_query(link.to_support(point)), point, atol=1e-9)


def test_a_structure_that_was_found_in_the_wrong_place_does_not_bend_the_map(tmp_path: Path) -> None:
    query, support = bodies(np.eye(3), **PLACES)
    array = query.volume.array.copy()
    array[array == 5] = 0
    array[5:17, 10:20, 75:85] = 5
    link = linked(tmp_path, query.with_volume(query.volume.with_array(array)), support)
    assert link is not None
    point = np.array([60.0, 45.0, 45.0])
    np.testing.assert_allclose(link.to_support(point), point + 5, atol=3)
    middle = np.array([21.0, 14.5, 79.5])
    moved = link.through("e")
    np.testing.assert_allclose(moved.to_support(moved.query_centre), moved.support_centre)
    assert np.linalg.norm(moved.query_centre - middle) < 2


def test_one_structure_is_followed_by_a_shift(tmp_path: Path) -> None:
    link = linked(tmp_path, *bodies(np.eye(3), A=(20, 30, 30)))
    assert link is not None
    np.testing.assert_allclose(link.to_support(np.array([0.0, 0.0, 0.0])), [5, 5, 5], atol=2)


def test_masks_without_a_common_structure_are_not_linked(tmp_path: Path) -> None:
    query, support = bodies(np.eye(3), A=(20, 30, 30))
    other = LabelMap(support.volume, (Segment(value=1, name="B", color=(1, 0, 0)),))
    assert linked(tmp_path, query, other) is None
