"""Segmentation nodes <-> LabelMaps: values, names, colours and terminology are kept both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import MAX_LABEL, LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.snapshots import CroppedLabels, Layer, Snapshot
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.geometry import (
    fill_image,
    from_ras,
    ijk_to_ras,
    image_array,
    numpy_matrix,
    split_matrix,
    vtk_matrix,
)
from OneShotSegLib.slicer.mrml.segment_tags import VALUE_TAG, read_tags, segment_tag, write_tags

BINARY_LABELMAP = "Binary labelmap"


def segments_of(node: Any) -> Iterator[tuple[str, Any]]:
    """ID and vtkSegment of each segment, in the node's order."""
    segmentation = node.GetSegmentation()
    for number in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(number)
        yield segment_id, segmentation.GetSegment(segment_id)


def segment_values(node: Any) -> dict[str, int]:
    """The label value of each segment ID, and the same at every later call: it is noted in the segment's tags.

    A segment keeps the value it had in the study; a new one keeps its own label value if no other has it, else it gets
    the next free one.
    """
    values: dict[str, int] = {}
    for segment_id, segment in segments_of(node):
        noted = segment_tag(segment, VALUE_TAG)
        if noted.isdigit() and int(noted) not in values.values():
            values[segment_id] = int(noted)
    for segment_id, segment in segments_of(node):
        if segment_id not in values:
            values[segment_id] = _free_value(segment.GetLabelValue(), set(values.values()))
            segment.SetTag(VALUE_TAG, str(values[segment_id]))
    return {segment_id: values[segment_id] for segment_id, _segment in segments_of(node)}


def _free_value(wanted: int, taken: set[int]) -> int:
    if 1 <= wanted <= MAX_LABEL and wanted not in taken:
        return wanted
    free = next((value for value in range(1, MAX_LABEL + 1) if value not in taken), None)
    if free is None:
        raise InputError(_("Expected at most {count} segments, found more.").format(count=MAX_LABEL))
    return free


def describe_segments(node: Any) -> tuple[Segment, ...]:
    """Value, name, colour, tags of each segment."""
    values = segment_values(node)
    return tuple(
        Segment(
            value=values[segment_id], name=segment.GetName(), color=tuple(segment.GetColor()), tags=read_tags(segment)
        )
        for segment_id, segment in segments_of(node)
    )


def take_snapshot(node: Any) -> Snapshot:
    """Copy what a segmentation node holds.

    Raises:
        InputError: If the segmentation is under a transform or has no label map.
    """
    if node.GetParentTransformNode() is not None:
        raise InputError(
            _("{name}: expected a segmentation in place, found one under a transform; harden it first.").format(
                name=node.GetName()
            )
        )
    return Snapshot(tuple(_layers(node, segment_values(node))), describe_segments(node))


def label_map_from_node(node: Any, grid: Volume) -> LabelMap:
    """The segments of a node as one label map on a grid (usually the CT's)."""
    return take_snapshot(node).merged(grid)


def _layers(node: Any, values: dict[str, int]) -> Iterator[Layer]:
    """The labelmaps of a node; several segments may share one."""
    segmentation = node.GetSegmentation()
    # Segments that are label maps already need no conversion; it fails if one of them is empty.
    is_there = segmentation.GetSourceRepresentationName() == BINARY_LABELMAP
    if segmentation.GetNumberOfSegments() and not is_there and not segmentation.CreateRepresentation(BINARY_LABELMAP):
        raise InputError(_("{name}: expected segments that can be made a label map.").format(name=node.GetName()))
    shared: dict[str, dict[int, int]] = {}
    images: dict[str, Any] = {}
    for segment_id, segment in segments_of(node):
        image = segment.GetRepresentation(BINARY_LABELMAP)
        if image is not None and image.GetPointData().GetScalars() is not None and 0 not in image.GetDimensions():
            key = image.GetAddressAsString("")
            images[key] = image
            shared.setdefault(key, {})[segment.GetLabelValue()] = values[segment_id]
    for key, image in images.items():
        yield Layer(_image_volume(image), shared[key])


def _image_volume(image: Any) -> Volume:
    """The voxels of an oriented image, copied, on its own grid."""
    spacing, origin, directions = _parts(image)
    first = origin + directions * spacing @ np.array(image.GetExtent()[::2], dtype=np.float64)
    return from_ras(image_array(image).copy(), spacing, first, directions)


def _parts(image: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    parts = split_matrix(numpy_matrix(matrix))
    if parts is None:
        raise InputError(_("Expected segments on a regular grid, found a sheared one."))
    return parts


def oriented_image(grid: Volume, array: NDArray[Any], start: Sequence[int] = (0, 0, 0)) -> Any:
    """A vtkOrientedImageData with an array whose first voxel is voxel ``start`` [z, y, x] of the grid."""
    image = fill_image(slicer.vtkOrientedImageData(), array)
    image.SetImageToWorldMatrix(vtk_matrix(ijk_to_ras(grid)))
    z, y, x = (int(value) for value in start)
    depth, height, width = array.shape
    image.SetExtent(x, x + width - 1, y, y + height - 1, z, z + depth - 1)
    return image


def add_segmentation_node(labels: LabelMap | CroppedLabels, name: str, scene: Any = None) -> Any:
    """Add a segmentation to the scene: one shared labelmap with the values as they are, on the map's own geometry.

    Args:
        labels: Label map; cropping it beforehand makes this instant.
        name: The node's name, made unique.
        scene: Slicer's own if it is None.
    """
    scene = slicer.mrmlScene if scene is None else scene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    fill_segmentation(node, labels)
    node.CreateDefaultDisplayNodes()
    return node


def fill_segmentation(node: Any, labels: LabelMap | CroppedLabels) -> None:
    """Replace all segments of a node by those of a label map."""
    cropped = labels if isinstance(labels, CroppedLabels) else CroppedLabels.of(labels)
    grid = cropped.label_map.volume
    segmentation = node.GetSegmentation()
    segmentation.RemoveAllSegments()
    segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    set_reference_geometry(node, grid)
    image = oriented_image(grid, cropped.array, cropped.start)
    for described in cropped.label_map.segments:
        segment = slicer.vtkSegment()
        segment.SetName(described.name)
        segment.SetColor(*described.color)
        segment.SetLabelValue(described.value)
        write_tags(segment, described)
        segment.AddRepresentation(BINARY_LABELMAP, image)
        segmentation.AddSegment(segment, f"Segment_{described.value}")
        # Plain grey means "no colour yet" to Slicer, which then chooses one.
        segment.SetColor(*described.color)


def set_reference_geometry(node: Any, grid: Volume) -> None:
    """Set the grid that a segmentation belongs to, where the CT itself is not in the scene."""
    geometry = oriented_image(grid, np.zeros((1, 1, 1), dtype=np.uint8))
    geometry.SetExtent(0, grid.shape[2] - 1, 0, grid.shape[1] - 1, 0, grid.shape[0] - 1)
    converter = slicer.vtkSegmentationConverter
    text = converter.SerializeImageGeometry(geometry)
    node.GetSegmentation().SetConversionParameter(converter.GetReferenceImageGeometryParameterName(), text)


def reference_grid(node: Any) -> Volume | None:
    """The grid that a segmentation belongs to, without voxels in memory; None if it has none."""
    converter = slicer.vtkSegmentationConverter
    text = node.GetSegmentation().GetConversionParameter(converter.GetReferenceImageGeometryParameterName())
    image = slicer.vtkOrientedImageData()
    if not text or not converter.DeserializeImageGeometry(text, image, False):
        return None
    spacing, origin, directions = _parts(image)
    extent = image.GetExtent()
    origin = origin + directions * spacing @ np.array(extent[::2], dtype=np.float64)
    shape = tuple(extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0))
    return from_ras(np.broadcast_to(np.uint8(0), shape), spacing, origin, directions)
