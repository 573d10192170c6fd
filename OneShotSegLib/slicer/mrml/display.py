"""How a case is shown in the slice views."""

from __future__ import annotations

from typing import Any

import slicer

OUTLINE_PIXELS = 2
SHOWN_ATTRIBUTE = "OneShotSeg.Case"


def show_volume(node: Any) -> None:
    """Put a CT into all slice views."""
    slicer.util.setSliceViewerLayers(background=node, fit=True)


def contours_only(node: Any) -> None:
    """Show a segmentation as contours, so that the CT under it stays visible."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)


def show_only(node: Any) -> None:
    """Show this case's segmentation and hide those of the other cases; what is not ours stays as it is."""
    scene = node.GetScene()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        other = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode")
        if other.GetAttribute(SHOWN_ATTRIBUTE) and other.GetDisplayNode() is not None:
            other.GetDisplayNode().SetVisibility(other.GetID() == node.GetID())


def centre_on(scene: Any, point: tuple[float, float, float]) -> None:
    """Move all slice views to a RAS position and centre it."""
    slice_node = slicer.vtkMRMLSliceNode
    slice_node.JumpAllSlices(scene, *point, slice_node.CenteredJumpSlice)
