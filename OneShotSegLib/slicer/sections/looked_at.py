"""The case and the structure that are looked at: which, how they are shown, what can be done now."""

from __future__ import annotations

import functools
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.review_session import ReviewRow, ReviewSession
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.display import ALL_VIEWS, is_on_screen
from OneShotSegLib.slicer.review.case_nodes import CaseNodes
from OneShotSegLib.slicer.review.case_view import CaseView, show_strokes
from OneShotSegLib.slicer.review.regrowing import Regrowing
from OneShotSegLib.slicer.review.support_beside import CASE_GROUP, SupportBeside
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.correcting import Correcting
from OneShotSegLib.slicer.sections.review_table import CaseTable, details_of
from OneShotSegLib.slicer.sections.structure_list import StructureList


class LookedAt:
    """The study that is open, and what of it is on the screen; see `ReviewSection`."""

    def __init__(self, context: PanelContext) -> None:
        self.context = context
        self.session: ReviewSession | None = None
        self.case_nodes: CaseNodes | None = None
        self.correcting: Correcting | None = None
        self.beside: SupportBeside | None = None
        self.current = ""
        self._filling = False
        self._unreadable = ""
        self._structure = ""
        self._commented = ""
        self._view = CaseView()
        self._table = CaseTable(context.ui.reviewTable)
        self._structures = StructureList(context.ui, self._on_structure_chosen)

    @property
    def regrowing(self) -> Regrowing | None:
        """What regrows masks around strokes; None without a study."""
        return None if self.correcting is None else self.correcting.regrowing

    def _refresh(self) -> None:
        if self.session is not None:
            try:
                self.session.refresh()
            except InputError as error:
                self.context.messages.error(str(error))
        self.update()

    def update(self) -> None:
        """Show the table and what is selected as they are."""
        self._filling = True
        self._table.fill(
            self.session.rows if self.session else (), self.session.position(self.current) if self.session else -1
        )
        self._filling = False
        self._show_progress()
        self._show_details()

    def _show_progress(self) -> None:
        ui = self.context.ui
        decided, total = self.session.progress if self.session else (0, 0)
        ui.reviewBar.setRange(0, max(total, 1))
        ui.reviewBar.setValue(decided)
        ui.reviewLabel.text = (
            _("{decided} of {total} cases reviewed").format(decided=decided, total=total)
            if total
            else _("No cases yet: propagate, or choose a study folder that has some.")
        )

    def _show_details(self) -> None:
        ui, row = self.context.ui, self._row()
        has_rows = bool(self.session and self.session.rows)
        ui.commentEdit.enabled = row is not None and not row.failed
        self._structures.fill(row, self._structure)
        self._enable_decisions()
        ui.goOnButton.enabled = has_rows and not self.context.controller.busy
        ui.previousButton.enabled = ui.nextButton.enabled = ui.besideButton.enabled = has_rows
        text = details_of(row) if row else ""
        ui.caseLabel.text = text
        ui.caseLabel.setVisible(bool(text))
        shown = row.case if row is not None else ""
        if shown != self._commented or not ui.commentEdit.hasFocus():
            ui.commentEdit.text = row.comment if row else ""
        self._commented = shown

    def _enable_decisions(self) -> None:
        ui = self.context.ui
        shown = self._is_shown()
        self._structures.enable(shown)
        for button, enabled in (
            (ui.acceptButton, shown),
            (ui.editButton, shown),
            (ui.regrowButton, shown or self._is_stroking()),
            (ui.rejectButton, shown or self._unreadable == self.current != ""),
            (ui.discardButton, self._has_correction()),
            (ui.undoButton, self._can_undo_stroke() or (self.session is not None and self.session.can_undo)),
        ):
            if button.enabled != enabled:
                button.enabled = enabled

    def _is_shown(self) -> bool:
        """Whether CT and mask of the case that is selected are on the screen."""
        row = self._row()
        if row is None or row.failed or self.case_nodes is None or self.session is None:
            return False
        if not self.case_nodes.corrections.is_current(row.case, self.session.mask(row.case)):
            return False
        return is_on_screen(self.case_nodes.ct_node(row.case), self.case_nodes.mask_node(row.case))

    def _is_stroking(self) -> bool:
        return self.correcting is not None and self.correcting.is_stroking

    def _has_correction(self) -> bool:
        row = self._row()
        return row is not None and (
            row.has_edit or (self.case_nodes is not None and self.case_nodes.corrections.is_kept(row.case))
        )

    def _row(self) -> ReviewRow | None:
        if self.session is None or self.session.position(self.current) < 0:
            return None
        return self.session.row(self.current)

    def _on_selected(self) -> None:
        if self._filling or self.session is None:
            return
        numbers = {item.row() for item in self.context.ui.reviewTable.selectedItems()}
        if len(numbers) == 1:
            case = self.session.rows[numbers.pop()].case
            if case != self.current:
                self.select(case)

    def _on_clicked(self, number: int, _column: int) -> None:
        """Show a case that is selected already, too: the views may show something else by now."""
        if self.session is not None and 0 <= number < len(self.session.rows):
            case = self.session.rows[number].case
            if case != self.current or not self._is_shown():
                self.select(case)

    def select(self, case: str) -> None:
        """Show a case in the slice views, centred on its worst structure."""
        if not case or self.session is None or self.case_nodes is None:
            return
        if case != self.current:
            self._keep_comment()
            self.stop_editing()
            self._structure = ""
        self.current, self._unreadable = case, ""
        self.update()
        if self.session.row(case).failed:
            return
        self.case_nodes.load(
            case, self.session.mask(case), functools.partial(self._show, case), functools.partial(self._not_shown, case)
        )

    def _not_shown(self, case: str) -> None:
        self._unreadable = case
        self._enable_decisions()

    def _show(self, case: str, ct: Any, mask: Any) -> None:
        if case != self.current or self.session is None or self.case_nodes is None:
            return
        if self._view.show(ct, mask):
            self.case_nodes.corrections.nothing_to_save(case)
        # The support's strokes lie anywhere in another patient.
        show_strokes(self.context.parameters, self.session.row(case).is_support)
        self._look_at(self._structure or self.session.row(case).worst)
        if self.beside is not None:
            self.beside.show(case, self._structure)
        following = self.session.next_open(case)
        if following:
            self.case_nodes.prefetch(following, self.session.mask(following))

    def _on_surface(self, shown: bool) -> None:
        """Show masks in the 3D views too from now on, or no longer."""
        self._view.with_surface = shown
        case_nodes = self.case_nodes
        if case_nodes is None or not self._is_shown():
            return
        if self._view.show_surface(case_nodes.mask_node(self.current)):
            case_nodes.corrections.nothing_to_save(self.current)

    def _on_beside(self, shown: bool) -> None:
        """Show the support beside the case from now on, or no longer."""
        if self.beside is None:
            return
        if not shown:
            self.beside.turn_off()
            return
        try:
            self.beside.turn_on()
        except InputError as error:
            self.context.messages.error(str(error))
            self.context.ui.besideButton.setChecked(False)
            return
        if self._is_shown():
            self.beside.show(self.current, self._structure)
        self.beside.keep_to_case(self.regrowing.node if self.regrowing is not None else None)

    def _look_at(self, structure: str) -> None:
        """Centre a structure of the case that is shown, and show the others faintly."""
        if self.case_nodes is None:
            return
        self._structure = structure
        mask = self.case_nodes.mask_node(self.current)
        beside = self.beside if self.beside is not None and self.beside.is_on else None
        group = ALL_VIEWS if beside is None else CASE_GROUP
        self._view.look_at(mask, structure, self.case_nodes.centre(self.current, structure), group)
        if beside is not None:
            beside.look_at(structure)
        if self.case_nodes.corrections.editing:
            self.context.editor.choose(mask.GetSegmentation().GetSegmentIdBySegmentName(structure))
        self._show_details()

    def _on_structure_chosen(self, structure: str) -> None:
        if self._is_shown():
            self._look_at(structure)

    @guarded
    def on_next_structure(self) -> None:
        """Look at the next structure of the case, the doubtful first."""
        self._step_structure(1)

    @guarded
    def on_previous_structure(self) -> None:
        """Look at the structure before."""
        self._step_structure(-1)

    def _step_structure(self, step: int) -> None:
        row = self._row()
        if row is None or not row.details or not self._is_shown():
            return
        names = [one.name for one in row.details]
        at = names.index(self._structure) + step if self._structure in names else 0
        self._look_at(names[at % len(names)])

    @guarded
    def on_next(self) -> None:
        """Show the next case."""
        self._step(1)

    @guarded
    def on_previous(self) -> None:
        """Show the case before."""
        self._step(-1)

    def _step(self, step: int) -> None:
        if self.session is not None:
            self.select(self.session.neighbour(self.current, step))

    def _require_shown(self, case: str) -> None:
        if not self._is_shown():
            self.select(case)  # a new result may have come since
            raise InputError(
                _("{case}: its CT and mask are not on the screen yet: look before you decide.").format(case=case)
            )

    def _chosen(self) -> tuple[ReviewSession, CaseNodes, Correcting, str]:
        if self.session is None or self.case_nodes is None or self.correcting is None or not self.current:
            raise InputError(_("Select a case in the table first."))
        return self.session, self.case_nodes, self.correcting, self.current

    def _keep_comment(self) -> bool:
        """Keep what is typed for the case that it was typed for; whether it is new.

        A button that is clicked does not take the focus on macOS, and a key never does: nothing else would say that the
        comment is complete.
        """
        session, case = self.session, self._commented
        if session is None or not case or session.position(case) < 0 or session.row(case).failed:
            return False
        text = self.context.ui.commentEdit.text.strip()
        if text == session.row(case).comment:
            return False
        session.comment(case, text)
        return True

    def stop_editing(self) -> None:
        """Nothing is corrected any more."""
        if self.correcting is not None:
            self.correcting.stop()

    def _can_undo_stroke(self) -> bool:
        return self.correcting is not None and self.correcting.can_undo(self.current)
