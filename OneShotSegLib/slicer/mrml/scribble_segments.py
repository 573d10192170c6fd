"""The scribbles of a support: a segmentation with a Background segment and the structures."""

from __future__ import annotations

from typing import Any

import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import BACKGROUND_NAME, BACKGROUND_VALUE, Segment, background_segment
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.segment_tags import VALUE_TAG, write_tags
from OneShotSegLib.slicer.mrml.segmentations import segment_values, segments_of
from OneShotSegLib.slicer.mrml.structures import StructureCatalog


def split_names(text: str) -> list[str]:
    """The names in a text with commas or semicolons between them."""
    return [name.strip() for name in text.replace(";", ",").split(",") if name.strip()]


def new_scribbles(ct: Any, names: list[str], catalog: StructureCatalog, scene: Any = None) -> Any:
    """Add an empty segmentation for the strokes of a support.

    Args:
        ct: The support's volume node; the segmentation gets its geometry.
        names: The structures.
        catalog: Knows colours and terminology.
        scene: Slicer's own if it is None.
    """
    scene = slicer.mrmlScene if scene is None else scene
    name = scene.GenerateUniqueName(_("{name} scribbles").format(name=ct.GetName()))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    _add_segment(node, background_segment())
    for structure in names:
        add_structure(node, structure, catalog)
    return node


def add_structure(node: Any, name: str, catalog: StructureCatalog) -> str:
    """Add an empty segment for a structure; its segment ID.

    Raises:
        InputError: If there is a segment of that name.
    """
    if name.strip().casefold() in {segment.GetName().strip().casefold() for _id, segment in segments_of(node)}:
        raise InputError(_("There is a segment named {name} already.").format(name=name.strip()))
    return _add_segment(node, catalog.describe(name, _next_value(node)))


def _next_value(node: Any) -> int:
    taken = set(segment_values(node).values())
    return next(value for value in range(1, BACKGROUND_VALUE) if value not in taken)


def _add_segment(node: Any, described: Segment) -> str:
    segment = slicer.vtkSegment()
    segment.SetName(described.name)
    segment.SetColor(*described.color)
    segment.SetLabelValue(described.value)
    write_tags(segment, described)
    segment_id = f"Segment_{described.value}"
    node.GetSegmentation().AddSegment(segment, segment_id)
    # Slicer may have given it the value of a shared labelmap; the study's value is in the tag.
    segment.SetTag(VALUE_TAG, str(described.value))
    return segment_id


def first_structure(node: Any) -> str:
    """ID of the first segment that is no background stroke; '' if there is none."""
    background = BACKGROUND_NAME.casefold()
    named = ((segment_id, segment.GetName()) for segment_id, segment in segments_of(node))
    return next((segment_id for segment_id, name in named if name.strip().casefold() != background), "")
