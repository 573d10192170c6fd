"""Review: the table of the cases, the doubtful first, and what is decided on them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import qt

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.case_files import read_case_volumes
from OneShotSegLib.interface.review_keys import REVIEW_KEYS
from OneShotSegLib.interface.review_session import ReviewRow, ReviewSession
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.brush import brush_for
from OneShotSegLib.slicer.mrml.display import centre_on, emphasise, is_on_screen, show_only, show_volume
from OneShotSegLib.slicer.review.case_nodes import CaseNodes
from OneShotSegLib.slicer.review.regrowing import Regrowing
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.study.layout import StudyPaths

KEYS = {key: f"on_{action}" for key, action in REVIEW_KEYS.items()}
COLUMNS = 4
SCORE_COLORS = {"bad": "#f8d0cf", "fair": "#fdebc3", "good": "#d3efd9"}


class ReviewSection:
    """The section's table, buttons and keys."""

    def __init__(self, context: PanelContext, window: Any = None) -> None:
        self.context = context
        self.session: ReviewSession | None = None
        self.case_nodes: CaseNodes | None = None
        self.regrowing: Regrowing | None = None
        self.current = ""
        self._filling = False
        self._unreadable = ""
        self._structure = ""
        self._views_fitted = False
        self._shortcuts: list[Any] = []
        self._connect()
        self._prepare_table()
        self._add_keys(window)
        self.update()

    def _connect(self) -> None:
        ui = self.context.ui
        ui.reviewTable.connect("itemSelectionChanged()", self._on_selected)
        ui.reviewTable.connect("cellClicked(int,int)", self._on_clicked)
        ui.previousButton.connect("clicked(bool)", self.on_previous)
        ui.nextButton.connect("clicked(bool)", self.on_next)
        ui.acceptButton.connect("clicked(bool)", self.on_accept)
        ui.rejectButton.connect("clicked(bool)", self.on_reject)
        ui.editButton.connect("clicked(bool)", self.on_edit)
        ui.regrowButton.connect("clicked(bool)", self.on_regrow)
        ui.undoButton.connect("clicked(bool)", self.on_undo)
        ui.commentEdit.connect("editingFinished()", self.on_comment)

    def _prepare_table(self) -> None:
        table = self.context.ui.reviewTable
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels([_("Case"), _("Score"), _("Look at"), _("State")])
        table.verticalHeader().setVisible(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in range(1, COLUMNS):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)

    def _add_keys(self, window: Any) -> None:
        for key, method in KEYS.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), window or self.context.ui.reviewTable)
            # A key that is held down would decide a row of cases that nobody has seen.
            shortcut.autoRepeat = False
            shortcut.connect("activated()", getattr(self, method))
            shortcut.connect("activatedAmbiguously()", functools.partial(self._on_ambiguous, key))
            shortcut.enabled = False
            self._shortcuts.append(shortcut)

    def _on_ambiguous(self, key: str) -> None:
        others = [other for other, method in KEYS.items() if method == KEYS[key] and other != key]
        sentence = (
            _("Another extension uses the key {key} too: press {other}, or the button.")
            if others
            else _("Another extension uses the key {key} too: press the button.")
        )
        self.context.messages.warning(sentence.format(key=key, other="".join(others)))

    def enable_keys(self, enabled: bool) -> None:
        """Set whether the keys work: only while the panel is shown."""
        for shortcut in self._shortcuts:
            shortcut.enabled = enabled

    def remove_keys(self) -> None:
        """Remove the keys, for a panel that is closed or reloaded."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()

    def open(self, study: StudyPaths | None) -> None:
        """Open or continue the review of a study folder; None closes it.

        Raises:
            InputError: If its ledger is broken.
        """
        self.close()
        if study is not None and study.root.is_dir():
            self.session = ReviewSession(study)
            self.case_nodes = CaseNodes(study, self.context.background, read_case_volumes(study))
            self.case_nodes.connect(self._on_saved, self.context.messages.error)
            self.regrowing = Regrowing(study, self.case_nodes, self.context.live, self.context.background, self.session)
            self.regrowing.connect(self._on_regrown, self.context.messages.error)
        self.update()

    def close(self) -> None:
        """Save what is not saved and close the study."""
        if self.case_nodes is not None:
            self.case_nodes.save_all()
            self.case_nodes.close()
        if self.regrowing is not None:
            self.regrowing.end()
        self.session = self.case_nodes = self.regrowing = None
        self.current = self._unreadable = ""

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
        self.context.messages.show(_("{case}: the correction is saved.").format(case=case))

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

    def update(self) -> None:
        """Show the table and what is selected as they are."""
        rows = self.session.rows if self.session else ()
        self._fill_table(rows)
        self._show_progress()
        self._show_details()

    def _fill_table(self, rows: Sequence[ReviewRow]) -> None:
        table = self.context.ui.reviewTable
        self._filling = True
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(self._cells(row)):
                item = table.item(number, column)
                if item is None:
                    item = qt.QTableWidgetItem()
                    table.setItem(number, column, item)
                item.setText(text)
                item.setToolTip(_tooltip(row))
                if column == 1:
                    item.setBackground(qt.QBrush(qt.QColor(SCORE_COLORS[row.level])))
                    item.setForeground(qt.QBrush(qt.QColor("#202020")))
        selected = self.session.position(self.current) if self.session else -1
        if selected >= 0:
            table.selectRow(selected)
        else:
            table.clearSelection()
        self._filling = False

    @staticmethod
    def _cells(row: ReviewRow) -> tuple[str, ...]:
        if row.failed:
            return row.case, "–", "", _("failed")
        states = {
            "pending": _("pending"),
            "accepted": _("accepted"),
            "rejected": _("rejected"),
            "edited": _("corrected"),
        }
        state = _("correct first") if row.suggested else states[row.state]
        return row.case, f"{row.score:.2f}", row.worst, state

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
        ui = self.context.ui
        row = self._row()
        ui.commentEdit.enabled = row is not None and not row.failed
        self._enable_decisions()
        ui.goOnButton.enabled = bool(self.session and self.session.rows) and not self.context.controller.busy
        ui.undoButton.enabled = self._can_undo_stroke() or (self.session is not None and self.session.can_undo)
        ui.previousButton.enabled = ui.nextButton.enabled = bool(self.session and self.session.rows)
        ui.caseLabel.text = row.details if row else ""
        ui.caseLabel.setVisible(row is not None)
        if row is None or not ui.commentEdit.hasFocus():
            ui.commentEdit.text = row.comment if row else ""

    def _enable_decisions(self) -> None:
        ui = self.context.ui
        shown = self._is_shown()
        for button, enabled in (
            (ui.acceptButton, shown),
            (ui.editButton, shown),
            (ui.regrowButton, shown or self._is_stroking()),
            (ui.rejectButton, shown or self._unreadable == self.current != ""),
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
            self.stop_editing()
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
        show_volume(ct, fit=not self._views_fitted)
        self._views_fitted = True
        show_only(mask)
        self._look_at(self.session.row(case).worst)
        self._enable_decisions()
        following = self.session.next_open(case)
        if following:
            self.case_nodes.prefetch(following, self.session.mask(following))

    def _look_at(self, structure: str) -> None:
        """Centre a structure of the case that is shown, and show the others faintly."""
        if self.case_nodes is None:
            return
        self._structure = structure
        mask, centre = self.case_nodes.mask_node(self.current), self.case_nodes.centre(self.current, structure)
        emphasise(mask, structure)
        if centre is not None:
            centre_on(mask.GetScene(), centre)
        if self.case_nodes.editing:
            self.context.editor.choose(mask.GetSegmentation().GetSegmentIdBySegmentName(structure))

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
        if row is None or not row.structures or not self._is_shown():
            return
        names = row.doubtful_first
        at = names.index(self._structure) + step if self._structure in names else 0
        self._look_at(names[at % len(names)])

    def stop_editing(self) -> None:
        """Nothing is corrected any more."""
        if self.case_nodes is not None and self.case_nodes.editing:
            self.case_nodes.editing = ""
            self.context.editor.close()
        if self.regrowing is not None:
            self.regrowing.end()

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

    @guarded
    def on_accept(self) -> None:
        """Accept the case, its correction if there is one, and go to the next open one."""
        session, case_nodes, case = self._chosen()
        self._require_shown(case)
        # The correction is on disk before the decision that it counts.
        self._after_regrowing(lambda: case_nodes.save(case, lambda: self._decide(session.accept, case)))

    def _after_regrowing(self, action: Callable[[], None]) -> None:
        if self.regrowing is not None:
            self.regrowing.after(action)

    @guarded
    def on_reject(self) -> None:
        """Reject the case and go to the next open one."""
        session, _case_nodes, case = self._chosen()
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

    def _chosen(self) -> tuple[ReviewSession, CaseNodes, str]:
        if self.session is None or self.case_nodes is None or not self.current:
            raise InputError(_("Select a case in the table first."))
        return self.session, self.case_nodes, self.current

    @guarded
    def on_edit(self) -> None:
        """Open the editor on the case."""
        session, case_nodes, case = self._chosen()
        self._require_shown(case)
        mask, ct = case_nodes.mask_node(case), case_nodes.ct_node(case)
        self.stop_editing()
        case_nodes.editing = case
        worst = mask.GetSegmentation().GetSegmentIdBySegmentName(session.row(case).worst)
        self.context.editor.open(mask, ct, self.context.ui.reviewEditorFrame, worst, self._brush)

    def _brush(self, segment_id: str) -> float:
        """A brush that fits a structure of the case, as wide as its mask is now."""
        mask = self.case_nodes.mask_node(self.current) if self.case_nodes is not None else None
        edited = self.context.editor.segmentation
        segment = edited.GetSegmentation().GetSegment(segment_id) if edited is not None else None
        return brush_for(mask, segment.GetName() if segment is not None else "")

    def _is_stroking(self) -> bool:
        """Whether the editor is open for strokes in the case that is selected."""
        edited = self.context.editor.segmentation
        return edited is not None and self.regrowing is not None and edited is self.regrowing.node

    def _can_undo_stroke(self) -> bool:
        return self.regrowing is not None and self.current != "" and self.regrowing.can_undo(self.current)

    @guarded
    def on_regrow(self) -> None:
        """Open the editor for strokes; once there are some, let the mask regrow around them."""
        session, case_nodes, case = self._chosen()
        assert self.regrowing is not None
        if self._is_stroking():
            self.regrowing.regrow(case)
            return
        self._require_shown(case)
        if not self.context.ensure_ready():
            raise InputError(_("The packages that are needed are not installed."))
        self.stop_editing()
        case_nodes.editing = case
        node = self.regrowing.begin(case)
        frame, name = self.context.ui.reviewEditorFrame, self._structure or session.row(case).worst
        segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        self.context.editor.open(node, case_nodes.ct_node(case), frame, segment_id, self._brush, strokes_only=True)
        self.context.messages.show(
            _("Paint a stroke of a structure where it is missing, or of Background where it is wrong; then Regrow (R).")
        )

    @guarded
    def on_undo(self) -> None:
        """Take back the latest stroke of this case; if there is none, the last decision, and show its case."""
        if self.regrowing is not None and self.regrowing.busy:
            return
        if self._can_undo_stroke() and self.regrowing is not None:
            self.regrowing.undo(self.current)
        elif self.session is not None:
            self.select(self.session.undo() or self.current)

    @guarded
    def on_comment(self) -> None:
        """Keep the reviewer's comment."""
        row = self._row()
        text = self.context.ui.commentEdit.text.strip()
        if self.session is not None and row is not None and not row.failed and text != row.comment:
            self.session.comment(row.case, text)
            self.update()


def _tooltip(row: ReviewRow) -> str:
    return "\n".join([row.case, row.details, row.comment]).strip()
