"""Opens Slicer's Segment Editor on a segmentation, through the node that its module follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

EDITOR_TAG = "SegmentEditor"
EDITOR_MODULE = "SegmentEditor"
PAINT = "Paint"


def editor_node(scene: Any) -> Any:
    """The Segment Editor module's own parameter node, made if it is not there yet."""
    node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(EDITOR_TAG)
        node = scene.AddNode(node)
    return node


class SegmentEditor:
    """Slicer's Segment Editor.

    Args:
        select_module: Shows a module.
    """

    def __init__(self, select_module: Callable[[str], Any] | None = None) -> None:
        self._select_module = select_module

    def open(self, segmentation: Any, volume: Any, segment_id: str = "", brush_mm: float = 0.0) -> None:
        """Open it with the paint effect.

        Args:
            segmentation: What to edit.
            volume: The CT under it.
            segment_id: The segment to paint into; the current one if it is ''.
            brush_mm: Diameter of the brush; the last one used if it is 0.
        """
        node = editor_node(segmentation.GetScene())
        node.SetAndObserveSegmentationNode(segmentation)
        node.SetAndObserveSourceVolumeNode(volume)
        if segment_id:
            node.SetSelectedSegmentID(segment_id)
        if brush_mm > 0:
            node.SetAttribute("BrushDiameterIsRelative", "0")
            node.SetAttribute("BrushAbsoluteDiameter", f"{brush_mm:g}")
        node.SetOverwriteMode(node.OverwriteAllSegments)
        (self._select_module or show_module)(EDITOR_MODULE)
        # The module drops its effect when it is left, so this comes after entering it.
        node.SetActiveEffectName(PAINT)

    def close(self, scene: Any) -> None:
        """Deactivate its effect, so that nothing is painted by accident."""
        node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is not None:
            node.SetActiveEffectName("")


def show_module(name: str) -> None:
    """Show a module, if there is a main window to show it in."""
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule(name)
