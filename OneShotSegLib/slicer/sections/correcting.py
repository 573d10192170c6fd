"""Correcting the case that is looked at: with the Segment Editor, by strokes that regrow its mask, and back again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.review_session import ReviewSession
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.brush import brush_for
from OneShotSegLib.slicer.review.case_nodes import CaseNodes
from OneShotSegLib.slicer.review.regrowing import Regrowing
from OneShotSegLib.slicer.sections.context import PanelContext
from OneShotSegLib.study.layout import StudyPaths


class Correcting:
    """The editor's use in the review.

    Args:
        context: The panel's.
        session: What was decided.
        case_nodes: The study's cases in the scene.
        on_regrown: Gets a case and a sentence, when a regrown mask is on disk.
    """

    def __init__(
        self,
        context: PanelContext,
        study: StudyPaths,
        session: ReviewSession,
        case_nodes: CaseNodes,
        on_regrown: Callable[[str, str], None],
    ) -> None:
        self.context, self._session, self._case_nodes = context, session, case_nodes
        self.regrowing = Regrowing(study, case_nodes, context.live, context.background, session)
        self.regrowing.connect(on_regrown, context.messages.error)

    @property
    def is_stroking(self) -> bool:
        """Whether the editor is open for strokes."""
        edited = self.context.editor.segmentation
        return edited is not None and edited is self.regrowing.node

    def is_painting(self, case: str) -> bool:
        """Whether the editor is open on the mask of a case."""
        edited = self.context.editor.segmentation
        return edited is not None and self._case_nodes.corrections.editing == case != "" and not self.is_stroking

    def edit(self, case: str, structure: str) -> None:
        """Open the editor on the mask of a case that is shown, with the structure that is looked at."""
        mask, ct = self._case_nodes.mask_node(case), self._case_nodes.ct_node(case)
        self.stop()
        self._case_nodes.corrections.editing = case
        name = structure or self._session.row(case).worst
        segment_id = mask.GetSegmentation().GetSegmentIdBySegmentName(name)
        self.context.editor.open(mask, ct, self.context.ui.reviewEditorFrame, segment_id, self._brush_of(case))

    def stroke(self, case: str, structure: str) -> None:
        """Open the editor for strokes in a case that is shown.

        Raises:
            InputError: If what is needed is not installed, or the study cannot be read.
        """
        if not self.context.ensure_ready():
            raise InputError(_("The packages that are needed are not installed."))
        self.stop()
        self._case_nodes.corrections.editing = case
        node = self.regrowing.begin(case)
        frame, name = self.context.ui.reviewEditorFrame, structure or self._session.row(case).worst
        segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        ct = self._case_nodes.ct_node(case)
        self.context.editor.open(node, ct, frame, segment_id, self._brush_of(case), strokes_only=True)
        self.context.messages.show(
            _("Paint a stroke of a structure where it is missing, or of Background where it is wrong; then Regrow (R).")
        )

    def _brush_of(self, case: str) -> Callable[[str], float]:
        """A brush that fits a structure of the case, as wide as its mask is now."""

        def brush(segment_id: str) -> float:
            edited: Any = self.context.editor.segmentation
            segment = edited.GetSegmentation().GetSegment(segment_id) if edited is not None else None
            return brush_for(self._case_nodes.mask_node(case), segment.GetName() if segment is not None else "")

        return brush

    def stop(self) -> None:
        """Nothing is corrected any more."""
        if self._case_nodes.corrections.editing:
            self._case_nodes.corrections.editing = ""
            self.context.editor.close()
        self.regrowing.end()

    def can_undo(self, case: str) -> bool:
        """Whether there is a stroke to take back: one that regrew the mask, or one of the open editor."""
        return case != "" and (self.is_painting(case) or self.regrowing.can_undo(case))

    def undo(self, case: str) -> None:
        """Take it back."""
        if self.is_painting(case):
            self.context.editor.undo()
        else:
            self.regrowing.undo(case)

    def discard(self, case: str, done: Callable[[], None]) -> None:
        """Set the correction of a case aside, what was not written of it included; then call ``done``."""
        self.stop()

        def set_aside() -> None:
            if not self._session.study.case(case).edited_mask.is_file():
                done()  # nothing of it was on disk yet
                return
            try:
                kept = self._session.discard(case)
            except InputError as error:
                self.context.messages.error(str(error))
                return
            done()
            text = _("{case}: its correction no longer counts; it is kept as {file}. Undo brings it back.")
            self.context.messages.show(text.format(case=case, file=kept.name))

        self.regrowing.after(lambda: self._case_nodes.corrections.give_up(case, set_aside))
