"""Slicer's Segment Editor within the panel: its widget, with an editor node of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

EDITOR_TAG = "OneShotSegEditor"
PAINT = "Paint"
STROKES = ("Paint", "Draw", "Erase", "Level tracing")
"""The effects with which scribbles are made."""
UNDO_STATES = 10


def editor_node(scene: Any) -> Any:
    """The panel's own editor node, made if it is not there yet; the Segment Editor module has another one."""
    node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(EDITOR_TAG)
        node = scene.AddNode(node)
    return node


class SegmentEditor:
    """One editor for scribbling and for correcting; it is shown in the section that opened it.

    Args:
        window: On which the editor's keys work; the main window if it is None.
    """

    def __init__(self, window: Any = None) -> None:
        self._window = window
        self._widget: Any = None
        self._brush: Callable[[str], float] | None = None
        self._sized: set[tuple[str, str]] = set()
        self._observed: tuple[Any, int] | None = None

    @property
    def segmentation(self) -> Any:
        """What is being edited; None if nothing is."""
        node = None if self._widget is None else self._widget.mrmlSegmentEditorNode()
        return None if node is None or self._widget.isHidden() else node.GetSegmentationNode()

    @property
    def widget(self) -> Any:
        """The widget, made at the first use."""
        if self._widget is None:
            widget = slicer.qMRMLSegmentEditorWidget()
            widget.setMaximumNumberOfUndoStates(UNDO_STATES)
            # The node first, so that what the widget selects when it gets the scene is kept in this node.
            widget.setMRMLSegmentEditorNode(editor_node(slicer.mrmlScene))
            widget.setMRMLScene(slicer.mrmlScene)
            widget.setSegmentationNodeSelectorVisible(False)
            widget.setSourceVolumeNodeSelectorVisible(False)
            widget.setSwitchToSegmentationsButtonVisible(False)
            widget.setAutoShowSourceVolumeNode(False)
            self._widget = widget
        return self._widget

    def open(
        self,
        segmentation: Any,
        volume: Any,
        frame: Any,
        segment_id: str = "",
        brush: Callable[[str], float] | None = None,
        strokes_only: bool = False,
    ) -> None:
        """Open it with the paint effect.

        Args:
            segmentation: What to edit.
            volume: The CT under it.
            frame: The widget in whose layout the editor is shown.
            segment_id: The segment to paint into; the first one if it is ''.
            brush: Segment ID to the diameter in mm of a brush that fits, set when a segment is first painted; the last
                one used if it is left out.
            strokes_only: Whether only effects are offered with which strokes are made.
        """
        widget = self.widget
        self._brush = None
        node = editor_node(segmentation.GetScene())
        if widget.mrmlSegmentEditorNode() is not node:
            widget.setMRMLSegmentEditorNode(node)
        frame.layout().addWidget(widget)
        widget.show()
        widget.setEffectNameOrder(list(STROKES))
        widget.setUnorderedEffectsVisible(not strokes_only)
        widget.setMaskingSectionVisible(not strokes_only)
        # In this order: the editor selects the first segment of a segmentation that is new to it.
        widget.setSegmentationNode(segmentation)
        widget.setSourceVolumeNode(volume)
        if segment_id:
            widget.setCurrentSegmentID(segment_id)
        _edit_everywhere(node)
        self._brush = brush
        widget.setActiveEffectByName(PAINT)
        self._follow(node)
        widget.installKeyboardShortcuts(self._window)

    def _follow(self, node: Any) -> None:
        """Give each segment its brush when it is chosen for the first time; later the user's own choice stays."""
        if self._observed is None or self._observed[0] is not node:
            self._unfollow()
            self._observed = node, node.AddObserver("ModifiedEvent", lambda caller, event: self._fit_brush(node))
        self._fit_brush(node)

    def _unfollow(self) -> None:
        if self._observed is not None:
            node, tag = self._observed
            node.RemoveObserver(tag)
            self._observed = None

    def _fit_brush(self, node: Any) -> None:
        segmentation, segment_id = node.GetSegmentationNode(), node.GetSelectedSegmentID() or ""
        if self._brush is None or segmentation is None or node.GetActiveEffectName() != PAINT or not segment_id:
            return
        key = (segmentation.GetID(), segment_id)
        if key not in self._sized:
            self._sized.add(key)
            node.SetAttribute("BrushDiameterIsRelative", "0")
            node.SetAttribute("BrushAbsoluteDiameter", f"{self._brush(segment_id):g}")

    def choose(self, segment_id: str) -> None:
        """Paint into another segment."""
        if self.segmentation is not None and segment_id:
            self._widget.setCurrentSegmentID(segment_id)

    def undo(self) -> None:
        """Take the latest stroke back; nothing happens without one."""
        if self.segmentation is not None:
            self._widget.undo()

    def close(self) -> None:
        """Deactivate the effect and hide the editor, so that nothing is painted by accident."""
        if self._widget is not None:
            self.pause()
            self._widget.hide()

    def pause(self) -> None:
        """Another module is shown: the effect and the keys are its own affair now."""
        if self._widget is not None:
            self._brush = None
            self._widget.setActiveEffectByName("")
            self._widget.uninstallKeyboardShortcuts()
            self._widget.removeViewObservations()

    def leave_scene(self) -> None:
        """The scene is closed, and the editor's node with it."""
        self._unfollow()
        self._sized.clear()
        if self._widget is not None:
            self.close()
            self._widget.setSegmentationNode(None)

    def remove(self) -> None:
        """The panel is closed or reloaded."""
        if self._widget is not None:
            self.leave_scene()
            self._widget.setMRMLSegmentEditorNode(None)
            self._widget.setMRMLScene(None)
            self._widget.setParent(None)
            self._widget.deleteLater()
            self._widget = None


def _edit_everywhere(node: Any) -> None:
    """Set what an earlier use of the editor may have left: masks and what is overwritten."""
    everywhere = slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere
    node.SetMaskMode(everywhere)
    node.SetMaskSegmentID("")
    node.SetSourceVolumeIntensityMask(False)
    node.SetOverwriteMode(node.OverwriteAllSegments)


def show_module(name: str) -> None:
    """Show a module, if there is a main window to show it in."""
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule(name)
