"""The table of the cases, the doubtful first, and what is said of the case that is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

from OneShotSegLib.interface.review_session import ReviewRow
from OneShotSegLib.slicer.i18n import tr as _

COLUMNS = 4
DOUBTFUL, FAIR = 0.5, 0.75
SCORE_COLORS = {"bad": "#f8d0cf", "fair": "#fdebc3", "good": "#d3efd9"}
TEXT_ON_COLOR = "#202020"
ROW_PIXELS = 8
"""What a row is higher than its text."""


class CaseTable:
    """The QTableWidget of the cases.

    Args:
        table: The widget.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels([_("Case"), _("Score"), _("Look at"), _("State")])
        prepare(table, COLUMNS)

    def fill(self, rows: Sequence[ReviewRow], selected: int) -> None:
        """Show these cases; the number of the selected one, below 0 for none."""
        table = self._table
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(_cells(row)):
                item = item_at(table, number, column)
                item.setText(text)
                item.setToolTip(_tooltip(row))
                if column == 1:
                    paint_score(item, row.score)
        if selected >= 0:
            table.selectRow(selected)
        else:
            table.clearSelection()


def prepare(table: Any, columns: int) -> None:
    """Let a table's first column be as wide as there is room, and leave Tab to the keys of the review."""
    table.setTabKeyNavigation(False)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(row_height(table))
    header = table.horizontalHeader()
    header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
    for column in range(1, columns):
        header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)


def row_height(table: Any) -> int:
    """The height of a row in pixels, in the user's font."""
    return int(table.fontMetrics().height()) + ROW_PIXELS


def item_at(table: Any, row: int, column: int) -> Any:
    """The item of a cell, made if it is not there yet."""
    item = table.item(row, column)
    if item is None:
        item = qt.QTableWidgetItem()
        table.setItem(row, column, item)
    return item


def paint_score(item: Any, score: float | None) -> None:
    """Give a score's cell the colour of the score; dark text on it in a dark theme too."""
    item.setBackground(qt.QBrush(qt.QColor(_score_color(score))))
    item.setForeground(qt.QBrush(qt.QColor(TEXT_ON_COLOR)))


def _score_color(score: float | None) -> str:
    if score is None or score < DOUBTFUL:
        return SCORE_COLORS["bad"]
    return SCORE_COLORS["fair"] if score < FAIR else SCORE_COLORS["good"]


def _cells(row: ReviewRow) -> tuple[str, ...]:
    name = _("{case} (support)").format(case=row.case) if row.is_support else row.case
    if row.failed:
        return name, "–", "", _("failed")
    states = {
        "pending": _("pending"),
        "accepted": _("accepted"),
        "rejected": _("rejected"),
        "edited": _("corrected"),
    }
    state = _("correct first") if row.suggested else states[row.state]
    if row.is_trusted and row.rejected:
        kept = len(row.details) - len(row.rejected)
        state = _("{state} {kept}/{all}").format(state=state, kept=kept, all=len(row.details))
    return name, f"{row.score:.2f}", row.worst, state


def details_of(row: ReviewRow) -> str:
    """What is said of a case under the table."""
    lines = list(row.notes)
    if row.has_edit and row.state == "accepted":
        lines.append(_("There is a correction that does not count: the pseudo mask was accepted. Accept takes it."))
    elif row.has_edit and row.state != "edited":
        lines.append(_("There is a correction; Accept takes it."))
    if row.suggested:
        lines.append(_("Correcting it would teach most: it is doubtful, and unlike what was reviewed."))
    return "\n".join(line for line in lines if line)


def _tooltip(row: ReviewRow) -> str:
    scores = ", ".join(f"{one.name} {one.score:.2f}" for one in row.details if not one.absent)
    return "\n".join(line for line in (row.case, scores, details_of(row), row.comment) if line)
