"""The tags of a vtkSegment."""

from __future__ import annotations

from typing import Any

import vtk

from OneShotSegLib.imaging.labelmaps import Segment
from OneShotSegLib.imaging.segment_tags import TERMINOLOGY_TAG, split_tags

VALUE_TAG = "OneShotSeg.LabelValue"
# VTK's Python does not list a segment's tags; these are the ones that Slicer itself writes.
KNOWN_TAGS = (
    TERMINOLOGY_TAG,
    "Segmentation.Status",
    "DICOM.SegmentAlgorithmType",
    "DICOM.SegmentAlgorithmName",
    "TerminologyName",
)


def segment_tag(segment: Any, name: str) -> str:
    """The value of a segment's tag, '' if it has none of this name."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def read_tags(segment: Any) -> str:
    """The tags of a vtkSegment as text, but for our own."""
    found = {name: segment_tag(segment, name) for name in KNOWN_TAGS}
    return "".join(f"{name}:{value}|" for name, value in found.items() if value)


def write_tags(segment: Any, described: Segment) -> None:
    """Give a vtkSegment the tags of a described one, and note its label value."""
    for name, value in split_tags(described.tags).items():
        segment.SetTag(name, value)
    segment.SetTag(VALUE_TAG, str(described.value))
