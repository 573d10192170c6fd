"""The structures of the case that is looked at: score with its interval, and a decision for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OneShotSegLib.interface.review_session import ReviewRow, StructureRow
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.sections.review_table import item_at, paint_score, prepare, row_height

COLUMNS = 3
MOST_ROWS = 5
"""More are scrolled: the panel's length is short."""
FRAME_PIXELS = 4


class StructureList:
    """The list, and the buttons under it.

    Args:
        ui: The widgets by name.
        on_chosen: Gets the name of a structure that is clicked.
    """

    def __init__(self, ui: Any, on_chosen: Callable[[str], None]) -> None:
        self._ui, self._on_chosen = ui, on_chosen
        self._names: list[str] = []
        self._filling = False
        table = ui.structureTable
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels([_("Structure"), _("Score"), _("Decision")])
        prepare(table, COLUMNS)
        table.connect("cellClicked(int,int)", self._on_clicked)

    def _on_clicked(self, number: int, _column: int) -> None:
        if not self._filling and 0 <= number < len(self._names):
            self._on_chosen(self._names[number])

    def fill(self, row: ReviewRow | None, chosen: str) -> None:
        """Show the structures of a case; None for no case."""
        table, details = self._ui.structureTable, row.details if row is not None and not row.failed else ()
        self._filling = True
        self._names = [one.name for one in details]
        table.setRowCount(len(details))
        for number, one in enumerate(details):
            for column, text in enumerate(_cells(one)):
                item = item_at(table, number, column)
                item.setText(text)
                item.setToolTip(_tooltip(one))
                if column == 1:
                    paint_score(item, None if one.absent else one.score)
        if chosen in self._names:
            table.selectRow(self._names.index(chosen))
        else:
            table.clearSelection()
        self._fit(len(details))
        self._filling = False

    def _fit(self, rows: int) -> None:
        """Be as high as the rows are, and not there without any."""
        table = self._ui.structureTable
        for widget in (table, self._ui.structureButtons):
            widget.setVisible(rows > 0)
        # One row more for the header.
        table.setFixedHeight((min(rows, MOST_ROWS) + 1) * row_height(table) + FRAME_PIXELS)

    def enable(self, enabled: bool) -> None:
        """Set whether a structure can be decided now."""
        for button in (self._ui.acceptStructureButton, self._ui.doubtStructureButton, self._ui.rejectStructureButton):
            if button.enabled != enabled:
                button.enabled = enabled


def _cells(one: StructureRow) -> tuple[str, ...]:
    decisions = {"accepted": _("accepted"), "doubtful": _("doubtful"), "rejected": _("rejected")}
    return one.name, _score(one), decisions.get(one.decision, "")


def _score(one: StructureRow) -> str:
    if one.absent:
        return _("absent")
    if one.low is None or one.high is None:
        return f"{one.score:.2f}"
    return f"{one.score:.2f} ({one.low:.2f}–{one.high:.2f})"


def _tooltip(one: StructureRow) -> str:
    if one.absent:
        return _("{name} is held to be absent in this CT: nothing is drawn.").format(name=one.name)
    if one.low is None or one.high is None:
        return _("{name}: expected Dice {score:.2f}.").format(name=one.name, score=one.score)
    text = _("{name}: expected Dice {score:.2f}; of nine in ten such structures it is from {low:.2f} to {high:.2f}.")
    return text.format(name=one.name, score=one.score, low=one.low, high=one.high)
