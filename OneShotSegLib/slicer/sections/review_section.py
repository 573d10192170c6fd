"""Review: the cases, the doubtful first, and what is decided on them and on their structures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.display import emphasise, is_on_screen
from OneShotSegLib.slicer.review.case_files import read_case_volumes
from OneShotSegLib.slicer.review.case_nodes import CaseNodes
from OneShotSegLib.slicer.review.case_view import CaseView, show_strokes
from OneShotSegLib.slicer.review.regrowing import Regrowing
from OneShotSegLib.slicer.review.session import ReviewRow, ReviewSession
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.correcting import Correcting
from OneShotSegLib.slicer.sections.review_keys import KEYS, TABLE_KEYS, ReviewKeys
from OneShotSegLib.slicer.sections.review_table import CaseTable, details_of
from OneShotSegLib.slicer.sections.structure_list import StructureList
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import StructureDecision


class ReviewSection:
    """What is looked at, and what is decided on it."""

    def __init__(self, context: PanelContext, window: Any = None) -> None:
        self.context = context
        self.session: ReviewSession | None = None
        self.case_nodes: CaseNodes | None = None
        self.correcting: Correcting | None = None
        self.current = ""
        self._filling = False
        self._unreadable = ""
        self._structure = ""
        self._commented = ""
        self._view = CaseView()
        ui = context.ui
        self._table = CaseTable(ui.reviewTable)
        self._structures = StructureList(ui, self._on_structure_chosen)
        actions = {name: getattr(self, name) for name in {*KEYS.values(), *TABLE_KEYS.values()}}
        self._keys = ReviewKeys(window, (ui.reviewTable, ui.structureTable), actions, context.messages.warning)
        self._connect()
        self.update()

    def _connect(self) -> None:
        ui = self.context.ui
        ui.reviewTable.connect("itemSelectionChanged()", self._on_selected)
        ui.reviewTable.connect("cellClicked(int,int)", self._on_clicked)
        for button, action in (
            (ui.previousButton, self.on_previous),
            (ui.nextButton, self.on_next),
            (ui.undoButton, self.on_undo),
            (ui.discardButton, self.on_discard),
            (ui.acceptStructureButton, self.on_accept_structure),
            (ui.doubtStructureButton, self.on_doubt_structure),
            (ui.rejectStructureButton, self.on_reject_structure),
            (ui.acceptButton, self.on_accept),
            (ui.rejectButton, self.on_reject),
            (ui.editButton, self.on_edit),
            (ui.regrowButton, self.on_regrow),
        ):
            button.connect("clicked(bool)", action)
        ui.commentEdit.connect("editingFinished()", self.on_comment)

    @property
    def regrowing(self) -> Regrowing | None:
        """What regrows masks around strokes; None without a study."""
        return None if self.correcting is None else self.correcting.regrowing

    def enable_keys(self, enabled: bool) -> None:
        """Set whether the keys work: only while the panel is shown."""
        self._keys.enable(enabled)

    def remove_keys(self) -> None:
        """Remove the keys, for a panel that is closed or reloaded."""
        self._keys.remove()

    # A study, a run

    def open(self, study: StudyPaths | None) -> None:
        """Open or continue the review of a study folder; None closes it.

        Raises:
            InputError: If its ledger is broken.
        """
        self.close()
        if study is not None and study.root.is_dir():
            session = ReviewSession(study)
            case_nodes = CaseNodes(study, self.context.background, read_case_volumes(study))
            case_nodes.connect(self._on_saved, self.context.messages.error)
            self.correcting = Correcting(self.context, study, session, case_nodes, self._on_regrown)
            self.session, self.case_nodes = session, case_nodes
        self.update()

    def close(self) -> None:
        """Save what is not saved and close the study."""
        try:
            self._keep_comment()
        except InputError as error:
            self.context.messages.error(str(error))
        if self.case_nodes is not None:
            self.case_nodes.save_all()
            self.case_nodes.close()
        if self.correcting is not None:
            self.correcting.regrowing.end()
        self.session = self.case_nodes = self.correcting = None
        self.current = self._unreadable = self._structure = self._commented = ""

    def case_done(self, case: str) -> None:
        """A case has results: show it in the table, and anew if it is looked at and nobody is correcting it.

        Raises:
            InputError: If the study folder vanished.
        """
        if self.session is None or self.case_nodes is None:
            return
        self.case_nodes.volumes.update(read_case_volumes(self.session.study))
        self.session.refresh()
        self.update()
        if case != self.current:
            return
        if self.case_nodes.is_kept(case):
            text = _("{case}: a new result is there. Your correction stays; it is what you see.")
            self.context.messages.warning(text.format(case=case))
        else:
            self.select(case)

    def show_state(self, busy: bool) -> None:
        """A run begins or ended: what is being corrected is saved before it begins."""
        if busy and self.case_nodes is not None:
            self.case_nodes.save_changed()
        self._show_details()

    def _on_saved(self, case: str) -> None:
        self._refresh()
        if self.session is not None and self.session.study.case(case).edited_mask.is_file():
            text = _("{case}: the correction is saved.")
        else:
            text = _("{case}: the mask is as it was found; there is no correction any more.")
        self.context.messages.show(text.format(case=case))

    def _on_regrown(self, case: str, text: str) -> None:
        self._refresh()
        if case == self.current and self.case_nodes is not None and self.case_nodes.mask_node(case) is not None:
            emphasise(self.case_nodes.mask_node(case), self._structure)
        self.context.messages.show(text)

    def _refresh(self) -> None:
        if self.session is not None:
            try:
                self.session.refresh()
            except InputError as error:
                self.context.messages.error(str(error))
        self.update()

    def poll(self) -> None:
        """Save corrections that have not changed for a moment; let only what is on the screen be decided."""
        if self.case_nodes is not None:
            self.case_nodes.poll()
            self._enable_decisions()

    # What is shown

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
        ui.previousButton.enabled = ui.nextButton.enabled = has_rows
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
        if not self.case_nodes.is_current(row.case, self.session.mask(row.case)):
            return False
        return is_on_screen(self.case_nodes.ct_node(row.case), self.case_nodes.mask_node(row.case))

    def _is_stroking(self) -> bool:
        return self.correcting is not None and self.correcting.is_stroking

    def _has_correction(self) -> bool:
        row = self._row()
        return row is not None and (row.has_edit or (self.case_nodes is not None and self.case_nodes.is_kept(row.case)))

    def _row(self) -> ReviewRow | None:
        if self.session is None or self.session.position(self.current) < 0:
            return None
        return self.session.row(self.current)

    # Which case, which structure

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
        self._view.show(ct, mask)
        # The support's strokes lie anywhere in another patient.
        show_strokes(self.context.parameters, self.session.row(case).is_support)
        self._look_at(self._structure or self.session.row(case).worst)
        following = self.session.next_open(case)
        if following:
            self.case_nodes.prefetch(following, self.session.mask(following))

    def _look_at(self, structure: str) -> None:
        """Centre a structure of the case that is shown, and show the others faintly."""
        if self.case_nodes is None:
            return
        self._structure = structure
        mask = self.case_nodes.mask_node(self.current)
        self._view.look_at(mask, structure, self.case_nodes.centre(self.current, structure))
        if self.case_nodes.editing:
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

    # Decisions

    @guarded
    def on_accept(self) -> None:
        """Accept the case, its correction if there is one, and go to the next open one."""
        self._keep_comment()
        session, case_nodes, correcting, case = self._chosen()
        self._require_shown(case)
        # The correction is on disk before the decision that it counts.
        correcting.regrowing.after(lambda: case_nodes.save(case, lambda: self._decide(session.accept, case)))

    @guarded
    def on_reject(self) -> None:
        """Reject the case and go to the next open one."""
        self._keep_comment()
        session, _case_nodes, _correcting, case = self._chosen()
        if self._unreadable != case:
            self._require_shown(case)
        self._decide(session.reject, case)

    def _require_shown(self, case: str) -> None:
        if not self._is_shown():
            self.select(case)  # a new result may have come since
            raise InputError(
                _("{case}: its CT and mask are not on the screen yet: look before you decide.").format(case=case)
            )

    def _decide(self, decide: Callable[[str], tuple[str, ...]], case: str) -> None:
        try:
            if self.session is not None:
                self.session.refresh()
            sentences = decide(case)
        except InputError as error:
            self.context.messages.error(str(error))
            return
        if self.session is None:
            return
        following = self.session.next_open(case)
        if following:
            self.select(following)
        else:
            self.stop_editing()
            self.update()
            self.context.messages.success(_("All cases are reviewed."))
        for sentence in sentences:
            self.context.messages.warning(sentence)

    @guarded
    def on_accept_structure(self) -> None:
        """Accept the structure that is looked at, and go to the next one of which nothing was decided."""
        self._decide_structure("accepted")

    @guarded
    def on_doubt_structure(self) -> None:
        """Be in doubt of it: the case is no support for it."""
        self._decide_structure("doubtful")

    @guarded
    def on_reject_structure(self) -> None:
        """Reject it: it is used nowhere, whatever is decided of the case."""
        self._decide_structure("rejected")

    def _decide_structure(self, decision: StructureDecision) -> None:
        session, _case_nodes, _correcting, case = self._chosen()
        self._require_shown(case)
        name = self._structure
        decided = {one.name: one.decision for one in session.row(case).details}
        if name not in decided:
            raise InputError(_("Choose a structure in the list first."))
        # The same once more takes it back.
        notes = session.decide_structure(case, name, None if decided[name] == decision else decision)
        self.update()
        following = session.row(case).undecided
        if following and decided[name] != decision:
            self._look_at(following[0])
        elif not following:
            self.context.messages.show(
                _("{case}: all structures are decided; Accept (A) takes those that are not rejected.").format(case=case)
            )
        for note in notes:
            self.context.messages.warning(note)

    def _chosen(self) -> tuple[ReviewSession, CaseNodes, Correcting, str]:
        if self.session is None or self.case_nodes is None or self.correcting is None or not self.current:
            raise InputError(_("Select a case in the table first."))
        return self.session, self.case_nodes, self.correcting, self.current

    @guarded
    def on_comment(self) -> None:
        """Keep the reviewer's comment."""
        if self._keep_comment():
            self.update()

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

    # Corrections

    def stop_editing(self) -> None:
        """Nothing is corrected any more."""
        if self.correcting is not None:
            self.correcting.stop()

    @guarded
    def on_edit(self) -> None:
        """Open the editor on the case."""
        _session, _case_nodes, correcting, case = self._chosen()
        self._require_shown(case)
        correcting.edit(case)

    @guarded
    def on_regrow(self) -> None:
        """Open the editor for strokes; once there are some, let the mask regrow around them."""
        _session, _case_nodes, correcting, case = self._chosen()
        if correcting.is_stroking:
            correcting.regrowing.regrow(case)
            return
        self._require_shown(case)
        correcting.stroke(case, self._structure)

    @guarded
    def on_discard(self) -> None:
        """Set the correction of the case aside: the pseudo mask counts again."""
        _session, _case_nodes, correcting, case = self._chosen()
        correcting.discard(case, functools.partial(self._discarded, case))

    def _discarded(self, case: str) -> None:
        self._refresh()
        if case == self.current:
            self.select(case)

    def _can_undo_stroke(self) -> bool:
        return self.correcting is not None and self.correcting.can_undo(self.current)

    @guarded
    def on_undo(self) -> None:
        """Take back the latest stroke of this case; if there is none, the last decision, and show its case."""
        if self.regrowing is not None and self.regrowing.busy:
            return
        if self.correcting is not None and self._can_undo_stroke():
            self.correcting.undo(self.current)
        elif self.session is not None:
            self.select(self.session.undo() or self.current)
