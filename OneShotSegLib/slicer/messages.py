"""The panel's one line of text for the user, and its log."""

from __future__ import annotations

import logging
from typing import Any

MAX_LOG_LINES = 5000
STYLES = {
    "error": "background-color: #fbe3e4; color: #7a0012; padding: 5px; border-radius: 3px;",
    "warning": "background-color: #fff3d6; color: #5c4300; padding: 5px; border-radius: 3px;",
    "success": "background-color: #e2f3e5; color: #0d4a1c; padding: 5px; border-radius: 3px;",
    "plain": "padding: 5px;",
}


class Messages:
    """Shows one sentence at a time, in place: no dialog interrupts the work.

    Args:
        label: QLabel for the sentence.
        log: QPlainTextEdit for everything.
    """

    def __init__(self, label: Any, log: Any) -> None:
        self._label = label
        self._log = log
        self._log.setMaximumBlockCount(MAX_LOG_LINES)
        self.clear()

    @property
    def text(self) -> str:
        """The sentence shown."""
        return str(self._label.text)

    def show(self, text: str, style: str = "plain") -> None:
        """Show a sentence; '' hides the line."""
        self._label.text = text
        self._label.setStyleSheet(STYLES[style])
        self._label.setVisible(bool(text))

    def clear(self) -> None:
        """Show nothing."""
        self.show("")

    def success(self, text: str) -> None:
        """Show that something is done."""
        self.show(text, "success")

    def warning(self, text: str) -> None:
        """Show that something needs attention."""
        self.show(text, "warning")

    def error(self, text: str) -> None:
        """Show what went wrong, here and in the application's log."""
        logging.warning("OneShotSeg: %s", text)
        self.log(text)
        self.show(text, "error")

    def log(self, line: str) -> None:
        """Add a line to the log."""
        self._log.appendPlainText(line)
