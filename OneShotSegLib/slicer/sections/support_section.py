"""Support: the CT, its scribbles, and what is missing in them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.scribble_checks import Finding, check_content
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.messages import STYLES
from OneShotSegLib.slicer.mrml.brush import brush_for
from OneShotSegLib.slicer.mrml.display import SHOWN_ATTRIBUTE, show_volume, shown_volume
from OneShotSegLib.slicer.mrml.scribble_segments import (
    add_structure,
    first_structure,
    new_scribbles,
    split_names,
)
from OneShotSegLib.slicer.mrml.support import support_content
from OneShotSegLib.slicer.review.case_view import show_strokes
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.preview import SupportPreview


class SupportSection:
    """The section's buttons."""

    def __init__(self, context: PanelContext) -> None:
        self.context = context
        self._chosen: tuple[Any, Any] = (None, None)
        self._preview: SupportPreview | None = None
        ui = context.ui
        ui.newScribblesButton.connect("clicked(bool)", self.on_new_scribbles)
        ui.addStructureButton.connect("clicked(bool)", self.on_add_structure)
        ui.paintButton.connect("clicked(bool)", self.on_paint)
        ui.checkButton.connect("clicked(bool)", self.on_check)
        ui.structureBox.addItems(list(context.catalog.names))
        ui.structureBox.setCurrentText("")
        ui.structureBox.lineEdit().setPlaceholderText(_("e.g. Brainstem, Mandible"))
        self._show([])

    def connect_preview(self, preview: SupportPreview) -> None:
        """Set what shows the support's own mask."""
        self._preview = preview

    def update(self) -> None:
        """Follow the parameter node."""
        ui, parameters = self.context.ui, self.context.parameters
        ct = parameters.support_volume if parameters else None
        scribbles = parameters.scribbles if parameters else None
        ui.newScribblesButton.enabled = ct is not None
        ui.addStructureButton.enabled = scribbles is not None
        ui.paintButton.enabled = ct is not None and scribbles is not None
        ui.checkButton.enabled = ct is not None and scribbles is not None
        if self._preview is not None:
            self._preview.follow(ct, scribbles)
        if (ct, scribbles) != self._chosen:
            # What is shown is about others.
            self._chosen = ct, scribbles
            self._show([])

    def choose_default(self) -> None:
        """Take the CT that the views show as the support, if none is chosen yet."""
        parameters = self.context.parameters
        if parameters is None or parameters.support_volume is not None:
            return
        ct = shown_volume(slicer.mrmlScene)
        if ct is not None and not ct.GetAttribute(SHOWN_ATTRIBUTE):
            parameters.support_volume = ct

    def lock(self, locked: bool) -> None:
        """Set whether a run uses what is chosen here: then it cannot be changed; strokes can."""
        self.context.ui.supportVolumeSelector.enabled = not locked
        self.context.ui.scribblesSelector.enabled = not locked

    @guarded
    def on_new_scribbles(self) -> None:
        """Make a segmentation with Background and the structures named, and open the editor on it."""
        ct = self._ct()
        names = split_names(self.context.ui.structureBox.currentText)
        node = new_scribbles(ct, names, self.context.catalog)
        self.context.parameters.scribbles = node
        self.context.ui.structureBox.setCurrentText("")
        show_volume(ct)
        if names:
            self._paint(ct, node)
        else:
            self.context.messages.show(_("Name the structures and press Add, then Paint."))

    @guarded
    def on_add_structure(self) -> None:
        """Add the structures named."""
        node = self.context.parameters.scribbles
        names = split_names(self.context.ui.structureBox.currentText)
        if not names:
            raise InputError(_("Choose or type the name of a structure first."))
        for name in names:
            add_structure(node, name, self.context.catalog)
        self.context.ui.structureBox.setCurrentText("")
        self.context.messages.clear()

    @guarded
    def on_paint(self) -> None:
        """Open the editor's paint effect."""
        self._paint(self._ct(), self.context.parameters.scribbles)

    def _paint(self, ct: Any, node: Any) -> None:
        show_volume(ct)
        show_strokes(self.context.parameters, True)
        segment_id = first_structure(node) or node.GetSegmentation().GetNthSegmentID(0)
        frame = self.context.ui.supportEditorFrame
        self.context.editor.open(node, ct, frame, segment_id, functools.partial(self._brush, node), strokes_only=True)
        if self._preview is not None:
            self._preview.follow(ct, node)
            self._preview.prepare()

    def _brush(self, node: Any, segment_id: str) -> float:
        """A brush that fits a structure, as wide as its strokes have grown so far."""
        segment = node.GetSegmentation().GetSegment(segment_id)
        grown = self._preview.node if self._preview is not None else None
        return brush_for(grown, segment.GetName()) if segment is not None else brush_for(None, "")

    @guarded
    def on_check(self) -> None:
        """Show what is missing."""
        self.check()

    def check(self, done: Callable[[bool], None] = lambda ready: None) -> None:
        """Show what is missing, then call ``done`` with whether the scribbles can be propagated.

        A large CT takes a second, in a child process.

        Raises:
            InputError: If the CT or the scribbles are not chosen.
        """
        parameters = self.context.parameters
        snapshot, volume = support_content(parameters.support_volume, parameters.scribbles)
        self.context.background.run(
            functools.partial(check_content, snapshot, volume),
            lambda findings: self._checked(findings, done),
            lambda error: self._not_checked(error, done),
        )

    def _checked(self, findings: Sequence[Finding], done: Callable[[bool], None]) -> None:
        self._show(list(findings) or [Finding("warning", "")])
        done(not any(finding.forbids for finding in findings))

    def _not_checked(self, error: Exception, done: Callable[[bool], None]) -> None:
        self.context.messages.error(str(error))
        done(False)

    def _ct(self) -> Any:
        ct = self.context.parameters.support_volume
        if ct is None:
            raise InputError(_("Choose the CT of the support first."))
        return ct

    def _show(self, findings: list[Finding]) -> None:
        label = self.context.ui.supportStatusLabel
        texts = [finding.text for finding in findings if finding.text]
        label.setVisible(bool(findings))
        ready = _("The scribbles are ready.") if findings else ""
        label.text = "\n".join(f"• {text}" for text in texts) or ready
        bad = any(finding.forbids for finding in findings)
        # Dark text on a light ground, in a dark theme too.
        label.setStyleSheet(STYLES["error" if bad else "warning" if texts else "success"])
