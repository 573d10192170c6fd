"""Review: the cases of the study that is open, the doubtful first."""

from __future__ import annotations

from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.case_files import read_case_volumes
from OneShotSegLib.interface.review_session import ReviewSession
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.review.case_nodes import CaseNodes
from OneShotSegLib.slicer.review.support_beside import SupportBeside
from OneShotSegLib.slicer.sections.context import PanelContext
from OneShotSegLib.slicer.sections.correcting import Correcting
from OneShotSegLib.slicer.sections.review_corrections import ReviewCorrections
from OneShotSegLib.slicer.sections.review_decisions import ReviewDecisions
from OneShotSegLib.slicer.sections.review_keys import KEYS, TAB_KEYS, ReviewKeys
from OneShotSegLib.study.layout import StudyPaths


class ReviewSection(ReviewDecisions, ReviewCorrections):
    """The section's widgets and keys; what they do lies in the classes that it is made of."""

    def __init__(self, context: PanelContext, window: Any = None) -> None:
        super().__init__(context)
        ui = context.ui
        actions = {name: getattr(self, name) for name in {*KEYS.values(), *TAB_KEYS.values()}}
        rows = (ui.reviewRow, ui.stepButtons, ui.structureButtons, ui.decisionButtons, ui.goOnButton)
        places = (ui.reviewTable, ui.structureTable, *rows)
        self._keys = ReviewKeys(window, places, actions, context.messages.warning)
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
        ui.surfaceButton.connect("toggled(bool)", self._on_surface)
        ui.besideButton.connect("toggled(bool)", self._on_beside)
        ui.commentEdit.connect("editingFinished()", self.on_comment)

    def enter(self) -> None:
        """The panel is shown: its keys work, and the support is beside the case again."""
        self._keys.enable(True)
        if self.context.ui.besideButton.checked:
            self._on_beside(True)

    def leave(self) -> None:
        """Another module is shown: keys and views are its own affair."""
        self._keys.enable(False)
        if self.beside is not None:
            self.beside.turn_off()

    def _on_beside(self, shown: bool) -> None:
        super()._on_beside(shown)
        self._keys.follow_views()

    def remove_keys(self) -> None:
        """Remove the keys, for a panel that is closed or reloaded."""
        self._keys.remove()

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
            self.beside = SupportBeside(session, case_nodes, self.context.background, self.context.messages.warning)
            self.session, self.case_nodes = session, case_nodes
        self.update()

    def close(self) -> None:
        """Save what is not saved and close the study."""
        try:
            self._keep_comment()
        except InputError as error:
            self.context.messages.error(str(error))
        if self.beside is not None:
            self.beside.turn_off()
            self.context.ui.besideButton.setChecked(False)
        if self.case_nodes is not None:
            self.case_nodes.corrections.save_all()
            self.case_nodes.close()
        if self.correcting is not None:
            self.correcting.regrowing.end()
        self.session = self.case_nodes = self.correcting = self.beside = None
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
        if self.case_nodes.corrections.is_kept(case):
            text = _("{case}: a new result is there. Your correction stays; it is what you see.")
            self.context.messages.warning(text.format(case=case))
        else:
            self.select(case)

    def show_state(self, busy: bool) -> None:
        """A run begins or ended: what is being corrected is saved before it begins."""
        if busy and self.case_nodes is not None:
            self.case_nodes.corrections.save_changed()
        self._show_details()

    def poll(self) -> None:
        """Save corrections that have not changed for a moment; let only what is on the screen be decided."""
        if self.case_nodes is not None:
            self.case_nodes.corrections.poll()
            self._enable_decisions()
