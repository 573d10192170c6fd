"""Nodes <-> volumes and label maps on the real MRML: exact both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume

TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure~"
    "SCT^91609006^Mandible~^^~Anatomic codes - DICOM master list~^^~^^"
)
SEGMENTS = (
    Segment(value=7, name="Unterkiefer, rechts", color=(0.1, 0.2, 0.3), tags=f"TerminologyEntry:{TERMINOLOGY}|"),
    Segment(value=3, name="Myelon", color=(0.9, 0.5, 0.1)),
    Segment(value=200, name="Background", color=(0.5, 0.5, 0.5)),
)


def turned(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


GRIDS = {
    "axis-aligned": (np.eye(3), (3.0, 0.9765625, 0.9765625)),
    "flipped": (np.diag([-1.0, 1.0, -1.0]), (2.5, 1.0, 0.7)),
    "sagittal": (np.eye(3)[[2, 0, 1]], (1.0, 2.0, 3.0)),
    "oblique": (turned(1), (3.0, 1.1, 0.9)),
    "oblique, left-handed": (turned(2) @ np.diag([1.0, 1.0, -1.0]), (1.0, 0.5, 0.25)),
}


@pytest.fixture(params=GRIDS)
def ct(request: pytest.FixtureRequest) -> Volume:
    direction, spacing = GRIDS[request.param]
    values = np.random.default_rng(3).integers(-1024, 3071, (14, 18, 22)).astype(np.int16)
    return Volume.create(values, spacing, (-301.7, 12.25, 40.125), direction)


@pytest.fixture
def labels(ct: Volume) -> LabelMap:
    array = np.zeros(ct.shape, dtype=np.uint8)
    array[2:5, 3:9, 4:10] = 7
    array[7:12, 6:12, 8:16] = 3
    array[0, 0, :] = 200
    return LabelMap(ct.with_array(array), SEGMENTS)


def test_a_volume_comes_back_bit_for_bit(scene: Any, ct: Volume) -> None:
    from OneShotSegLib.slicer.mrml.volumes import add_volume_node, volume_from_node

    back = volume_from_node(add_volume_node(ct, "ct"))
    assert back.array.dtype == ct.array.dtype
    np.testing.assert_array_equal(back.array, ct.array)
    for name in ("spacing", "origin", "direction"):
        np.testing.assert_array_equal(getattr(back, name), getattr(ct, name))


def test_a_node_lies_where_slicers_own_reader_puts_the_file(scene: Any, ct: Volume, tmp_path: Path) -> None:
    import slicer

    from OneShotSegLib.imaging.files import write_volume
    from OneShotSegLib.slicer.mrml.volumes import volume_from_node

    write_volume(ct, tmp_path / "ct.nrrd")
    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(tmp_path / "ct.nrrd"), "ct", 0)
    back = volume_from_node(node)
    # Slicer turns left-handed axes round on reading, so voxels are compared by their positions.
    index = np.argwhere(ct.array < 4000)
    at = np.rint(back.to_index(ct.to_world(index))).astype(int)
    np.testing.assert_array_equal(back.array[tuple(at.T)], ct.array[tuple(index.T)])
    np.testing.assert_allclose(back.to_world(at), ct.to_world(index), atol=1e-3)


def test_a_linear_transform_is_part_of_the_grid(scene: Any) -> None:
    import vtk

    from OneShotSegLib.slicer.mrml.volumes import add_volume_node, volume_from_node

    ct = Volume.create(np.zeros((4, 5, 6), dtype=np.int16))
    node = add_volume_node(ct, "ct")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 10.0)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    np.testing.assert_allclose(volume_from_node(node).origin, [0, 0, -10])


@pytest.mark.parametrize("shear", [True, False])
def test_a_grid_that_is_none_any_more_is_refused(scene: Any, shear: bool) -> None:
    import vtk

    from OneShotSegLib.slicer.mrml.volumes import add_volume_node, volume_from_node

    node = add_volume_node(Volume.create(np.zeros((4, 5, 6), dtype=np.int16)), "bent")
    kind = "vtkMRMLLinearTransformNode" if shear else "vtkMRMLGridTransformNode"
    transform = scene.AddNewNodeByClass(kind)
    if shear:
        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 1, 0.5)
        transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match=r"bent: .*harden"):
        volume_from_node(node)


def test_an_empty_volume_node_is_refused_by_name(scene: Any) -> None:
    from OneShotSegLib.slicer.mrml.volumes import volume_from_node

    with pytest.raises(InputError, match="nothing"):
        volume_from_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing"))


def test_labels_come_back_with_values_names_colors_and_terminology(scene: Any, labels: LabelMap) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, label_map_from_node

    back = label_map_from_node(add_segmentation_node(labels, "labels"), labels.volume)
    np.testing.assert_array_equal(back.volume.array, labels.volume.array)
    assert [(s.value, s.name, s.color) for s in back.segments] == [(s.value, s.name, s.color) for s in SEGMENTS]
    assert back.segments[0].tags == SEGMENTS[0].tags


def test_a_file_goes_through_slicers_own_reader_and_writer(scene: Any, labels: LabelMap, tmp_path: Path) -> None:
    import slicer

    from OneShotSegLib.slicer.mrml.segmentations import label_map_from_node

    write_label_map(labels, tmp_path / "ours.seg.nrrd")
    node = slicer.util.loadSegmentation(str(tmp_path / "ours.seg.nrrd"))
    there = label_map_from_node(node, labels.volume)
    np.testing.assert_array_equal(there.volume.array, labels.volume.array)
    node.GetStorageNode().SetFileName(str(tmp_path / "theirs.seg.nrrd"))
    assert node.GetStorageNode().WriteData(node)
    back = read_label_map(tmp_path / "theirs.seg.nrrd")
    assert [(s.value, s.name) for s in back.segments] == [(s.value, s.name) for s in SEGMENTS]
    np.testing.assert_allclose([s.color for s in back.segments], [s.color for s in SEGMENTS], atol=1e-5)
    assert TERMINOLOGY in back.segments[0].tags


def test_the_geometry_of_the_ct_is_known_without_the_ct(scene: Any, labels: LabelMap) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, reference_grid

    grid = reference_grid(add_segmentation_node(labels, "labels"))
    assert grid is not None
    assert grid.same_grid(labels.volume)


def test_a_segment_added_later_gets_a_value_that_is_free_and_stays(scene: Any, labels: LabelMap) -> None:
    import slicer

    from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, segment_values

    node = add_segmentation_node(labels, "labels")
    added = slicer.vtkSegment()
    added.SetName("new")
    added.SetLabelValue(7)
    node.GetSegmentation().AddSegment(added, "new")
    values = segment_values(node)
    assert values["new"] == 1
    node.GetSegmentation().RemoveSegment("Segment_7")
    assert segment_values(node)["new"] == 1
    assert segment_values(node)["Segment_3"] == 3


def test_segments_that_overlap_are_told_apart(scene: Any, labels: LabelMap) -> None:
    import slicer

    from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, oriented_image, take_snapshot

    node = add_segmentation_node(labels, "labels")
    added = slicer.vtkSegment()
    added.SetName("over")
    added.SetLabelValue(1)
    patch = np.ones((2, 2, 2), dtype=np.uint8)
    added.AddRepresentation("Binary labelmap", oriented_image(labels.volume, patch, (3, 4, 5)))
    node.GetSegmentation().AddSegment(added, "over")
    _merged, (overlap,) = take_snapshot(node).merged_with_overlaps(labels.volume)
    assert (overlap.first, overlap.second, overlap.voxels) == ("Unterkiefer, rechts", "over", 8)


def test_strokes_outside_the_ct_are_cut_off(scene: Any, labels: LabelMap) -> None:
    import slicer

    from OneShotSegLib.slicer.mrml.segmentations import label_map_from_node, oriented_image

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segment = slicer.vtkSegment()
    segment.SetLabelValue(1)
    patch = np.ones((4, 4, 4), dtype=np.uint8)
    segment.AddRepresentation("Binary labelmap", oriented_image(labels.volume, patch, (-2, -2, -2)))
    node.GetSegmentation().AddSegment(segment, "edge")
    assert label_map_from_node(node, labels.volume).volume.array.sum() == 8


def test_a_segmentation_on_another_lattice_is_read_by_position(scene: Any) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, label_map_from_node

    fine = np.zeros((20, 20, 20), dtype=np.uint8)
    fine[4:12, 4:12, 4:12] = 5
    node = add_segmentation_node(LabelMap(Volume.create(fine), (Segment.numbered(5),)), "fine")
    coarse = Volume.create(np.zeros((10, 10, 10), dtype=np.int16), (2, 2, 2), (0.5, 0.5, 0.5))
    back = label_map_from_node(node, coarse).volume.array
    assert set(np.unique(back)) == {0, 5}
    assert (back[2:6, 2:6, 2:6] == 5).all()
    assert (back == 5).sum() == 64


def test_a_segmentation_under_a_transform_is_refused(scene: Any, labels: LabelMap) -> None:
    from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, take_snapshot

    node = add_segmentation_node(labels, "moved")
    node.SetAndObserveTransformNodeID(scene.AddNewNodeByClass("vtkMRMLLinearTransformNode").GetID())
    with pytest.raises(InputError, match=r"moved: .*harden"):
        take_snapshot(node)
