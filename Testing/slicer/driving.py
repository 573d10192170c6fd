"""Drives the panel as a user would, and measures how long its thread was blocked."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets
from standin import loop

MODULE = Path(__file__).resolve().parents[2] / "OneShotSeg" / "OneShotSeg.py"
PANEL_WIDTH = 400
INTERVAL_MS = 5
IS_QUIET = bool(os.environ.get("ONESHOTSEG_QUIET"))
"""Whether nobody else uses the machine (CONTRIBUTING.md): only then are seconds required of it."""
# The panel may block its thread for 0.1 s. A machine that others use too stops any process for longer at times, and
# with it whoever waits for a lock that the process has.
MAX_BLOCKED_SECONDS = 0.1 if IS_QUIET else 3.0
PATIENCE = 1 if IS_QUIET else 6
"""How much longer things may take where others use the machine too."""
LONG = 60.0
"""Seconds in which anything is done that tests wait for."""


class BlockMonitor:
    """A timer in the event loop; a long pause between two of its events is a blocked thread.

    On a busy machine a thread also pauses because others have the processor: the time for which it waited is not
    counted, where the system gives it (Linux).
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = self._waited = 0.0
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._measure)

    def start(self) -> None:
        self._last, self._waited = time.perf_counter(), waited_for_processor()
        self.longest = 0.0
        self._timer.start()

    def stop(self) -> float:
        """The longest time in seconds that the thread was blocked."""
        self._measure()
        self._timer.stop()
        return self.longest

    def _measure(self) -> None:
        now, waited = time.perf_counter(), waited_for_processor()
        self.longest = max(self.longest, now - self._last - (waited - self._waited))
        self._last, self._waited = now, waited


def waited_for_processor() -> float:
    """Seconds for which this thread has waited for a processor so far; 0 where the system does not give them."""
    try:
        text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return int(text.split()[1]) / 1e9


class Session:
    """The module in the stand-in, from opening to closing."""

    def __init__(self, application: Any, settings: Path) -> None:
        self.application = application
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(settings))
        self.module = application.load_module(MODULE)
        application.main_window.show()
        self.window = QtWidgets.QWidget()
        self.window.path = str(MODULE)
        self.window.isEntered = False
        QtWidgets.QVBoxLayout(self.window).setContentsMargins(4, 4, 4, 4)
        self.module.OneShotSegWidget.path = str(MODULE)
        self.widget = self.module.OneShotSegWidget(self.window)
        self.widget.setup()
        self.window.resize(PANEL_WIDTH, 800)
        self.window.show()
        self.enter()

    @property
    def ui(self) -> Any:
        return self.widget.ui

    @property
    def panel(self) -> Any:
        return self.widget.panel

    @property
    def parameters(self) -> Any:
        return self.panel.context.parameters

    @property
    def message(self) -> str:
        return self.panel.context.messages.text

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The review table as it is shown."""
        table = self.ui.reviewTable
        return [
            tuple(table.item(row, column).text() for column in range(table.columnCount()))
            for row in range(table.rowCount())
        ]

    def enter(self) -> None:
        self.window.isEntered = True
        self.widget.enter()

    def until(self, condition: Callable[[], bool], seconds: float = LONG) -> None:
        """Run the event loop until a condition holds; at most so long, on a machine that nobody else uses."""
        end = time.monotonic() + seconds * PATIENCE
        while not condition():
            if time.monotonic() > end:
                log = self.ui.logText.toPlainText()
                raise AssertionError(f"waited {seconds} s; message: {self.message!r}; log:\n{log}")
            loop.idle()

    def settle(self) -> None:
        """Wait until everything that was started has ended, except a run."""
        self.until(lambda: not self.panel.context.background.busy)
        for _round in range(3):
            self.application.process_events()

    def until_idle(self, seconds: float = LONG) -> None:
        """Wait for the end of a run."""
        self.until(lambda: not self.panel.controller.busy, seconds)
        self.settle()

    def fit(self) -> None:
        """Make the window as high as the panel's content, 400 px wide."""
        self.settle()
        layout = QtWidgets.QWidget.layout(self.window)
        height = layout.heightForWidth(PANEL_WIDTH) if layout.hasHeightForWidth() else layout.sizeHint().height()
        self.window.resize(PANEL_WIDTH, max(height, layout.minimumSize().height()))
        self.settle()

    def screenshot(self, path: Path) -> None:
        """Save a picture of the whole panel."""
        self.fit()
        path.parent.mkdir(parents=True, exist_ok=True)
        image = self.window.grab().toImage()
        image = image.convertToFormat(image.Format.Format_RGB888)
        assert image.save(str(path))

    def close(self) -> None:
        self.window.isEntered = False
        self.widget.exit()
        self.widget.cleanup()
        self.window.close()
        self.window.deleteLater()
        self.application.process_events()


def clipped_texts(window: Any) -> list[str]:
    """The visible labels and buttons whose text is wider than they are."""
    found = []
    for widget in window.findChildren(QtWidgets.QWidget):
        if not widget.isVisible() or not isinstance(widget, QtWidgets.QLabel | QtWidgets.QPushButton):
            continue
        if isinstance(widget, QtWidgets.QLabel) and widget.wordWrap():
            fits = widget.heightForWidth(QtWidgets.QWidget.width(widget)) <= QtWidgets.QWidget.height(widget) + 1
        else:
            fits = widget.fontMetrics().horizontalAdvance(widget.text) <= QtWidgets.QWidget.width(widget)
        if not fits:
            found.append(f"{widget.objectName()}: {widget.text}")
    return found
