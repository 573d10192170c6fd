"""How a case is shown in the slice views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import slicer

OUTLINE_PIXELS = 2
FAINT = 0.35
SHOWN_ATTRIBUTE = "OneShotSeg.Case"
ALL_VIEWS = -1


def show_volume(node: Any, fit: bool = True) -> None:
    """Put a CT into the background of all slice views; what else they show stays.

    Args:
        node: The CT.
        fit: Whether the views are zoomed to the CT; else they keep the zoom that the user chose.
    """
    slicer.util.setSliceViewerLayers(background=node, fit=fit)


def _composites(scene: Any) -> Iterator[Any]:
    name = "vtkMRMLSliceCompositeNode"
    return (scene.GetNthNodeByClass(number, name) for number in range(scene.GetNumberOfNodesByClass(name)))


def shown_volume(scene: Any) -> Any:
    """The volume in the background of a slice view; None if there is none."""
    nodes = (scene.GetNodeByID(c.GetBackgroundVolumeID()) for c in _composites(scene) if c.GetBackgroundVolumeID())
    return next((node for node in nodes if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode"), None)


def is_on_screen(ct: Any, mask: Any) -> bool:
    """Whether a slice view shows a CT, and the mask is visible."""
    if ct is None or mask is None or mask.GetDisplayNode() is None:
        return False
    in_view = any(
        ct.GetID() in (c.GetBackgroundVolumeID(), c.GetForegroundVolumeID()) for c in _composites(ct.GetScene())
    )
    return in_view and bool(mask.GetDisplayNode().GetVisibility())


def take_window(node: Any, other: Any) -> None:
    """Give a CT the window, level and interpolation of another one, which the user may have chosen."""
    own, given = node.GetDisplayNode(), other.GetDisplayNode()
    if given is not None:
        own.SetAutoWindowLevel(False)
        own.SetWindowLevel(given.GetWindow(), given.GetLevel())
        own.SetInterpolate(given.GetInterpolate())


def contours_only(node: Any) -> None:
    """Show a segmentation as contours, so that the CT under it stays visible."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)


def emphasise(node: Any, name: str) -> None:
    """Show one structure of a segmentation clearly and the others faintly; all alike if it has none of that name."""
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    chosen = segmentation.GetSegmentIdBySegmentName(name)
    for number in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(number)
        display.SetSegmentOpacity2DOutline(segment_id, 1.0 if chosen in ("", segment_id) else FAINT)


def show_only(node: Any) -> None:
    """Show this case's segmentation and hide those of the other cases; what is not ours stays as it is."""
    scene = node.GetScene()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        other = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode")
        if other.GetAttribute(SHOWN_ATTRIBUTE) and other.GetDisplayNode() is not None:
            other.GetDisplayNode().SetVisibility(other.GetID() == node.GetID())


def centre_on(scene: Any, point: tuple[float, float, float], view_group: int = ALL_VIEWS) -> None:
    """Move slice views to a RAS position and centre it.

    Args:
        scene: The scene.
        point: The position, mm.
        view_group: The views that are moved; all if it is left out.
    """
    slice_node = slicer.vtkMRMLSliceNode
    slice_node.JumpAllSlices(scene, *point, slice_node.CenteredJumpSlice, view_group)


def view_nodes(scene: Any) -> list[Any]:
    """The nodes of all slice and 3D views."""
    kinds = ("vtkMRMLSliceNode", "vtkMRMLViewNode")
    return [scene.GetNthNodeByClass(n, kind) for kind in kinds for n in range(scene.GetNumberOfNodesByClass(kind))]


def show_in(display: Any, views: Iterable[Any]) -> None:
    """Have something shown in these views alone; in all if there are none."""
    display.RemoveAllViewNodeIDs()
    for view in views:
        display.AddViewNodeID(view.GetID())
