"""The event loop as Slicer's main thread runs it, and what a user does at the keyboard.

PySide lets other Python threads run while it waits for events; Slicer does not: its main thread holds Python's lock
while it is idle. Qt's own functions are therefore called without giving the lock away (Linux; elsewhere PySide's).
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PySide6
import shiboken6
from PySide6 import QtCore, QtGui

ROUND_MS = 20
SWITCH_SECONDS = 0.0005
PRESS, RELEASE = 6, 7
"""QEvent.KeyPress, QEvent.KeyRelease."""
TAB, BACK_TAB = 0x01000001, 0x01000002
EXEC = "_ZN10QEventLoop4execE6QFlagsINS_17ProcessEventsFlagEE"
HANDLE_KEY = "_Z17qt_handleKeyEventP7QWindowN6QEvent4TypeEi6QFlagsIN2Qt16KeyboardModifierEERK7QStringbt"


def _library(name: str) -> Any:
    """A Qt library whose functions keep Python's lock; None where it is not to be had."""
    path = Path(PySide6.__file__).parent / "Qt" / "lib" / f"libQt6{name}.so.6"
    return ctypes.PyDLL(str(path)) if path.is_file() else None


def idle() -> None:
    """Let the event loop run for a moment; Python threads get no further meanwhile."""
    waiting, timer = QtCore.QEventLoop(), QtCore.QTimer()
    timer.setSingleShot(True)
    # PySide's own connect, of two things in C++: nothing of Python runs when the time is over.
    QtCore.QObject.connect(timer, QtCore.SIGNAL("timeout()"), waiting, QtCore.SLOT("quit()"))
    timer.start(ROUND_MS)
    core = _library("Core")
    if core is None:
        waiting.exec()
        return
    # Between two rounds this thread's own Python code is interrupted; Slicer, idle, runs none.
    switching = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    core[EXEC](ctypes.c_void_p(shiboken6.getCppPointer(waiting)[0]), ctypes.c_int(0))
    sys.setswitchinterval(switching)


def idle_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Run the loop until a condition holds, at most so long; whether it held."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        idle()
    return True


class _QString(ctypes.Structure):
    """Qt's QString over characters that it does not own."""

    _fields_ = (("data", ctypes.c_void_p), ("characters", ctypes.c_void_p), ("size", ctypes.c_ssize_t))


def _send(window: Any, kind: int, key: int, modifiers: int, text: str, repeated: bool) -> None:
    handle = _library("Gui")[HANDLE_KEY]
    handle.restype = None
    content = ctypes.create_string_buffer(text.encode("utf-16-le") + b"\0\0")
    string = _QString(None, ctypes.addressof(content), len(text))
    pointer = ctypes.c_void_p(shiboken6.getCppPointer(window)[0])
    handle(pointer, kind, key, modifiers, ctypes.byref(string), ctypes.c_bool(repeated), ctypes.c_ushort(1))


def can_press_keys() -> bool:
    """Whether real keys can be pressed here."""
    return _library("Gui") is not None


def press_key(widget: Any, text: str, repeats: int = 0, seconds: float = 0.03) -> None:
    """Press a key ('A', 'Shift+A'), hold it for so many auto-repeats, release it: shortcuts work as in Qt itself."""
    window = _focused(widget)
    keys = QtGui.QKeySequence(text)[0]
    code, modifiers = int(keys.key()), keys.keyboardModifiers().value
    letter = "\t" if code == TAB else chr(code) if modifiers else chr(code).lower()
    if code == TAB and modifiers:
        code = BACK_TAB  # what a keyboard sends
    for number in range(repeats + 1):
        if number:
            _send(window, RELEASE, code, modifiers, letter, True)
        _send(window, PRESS, code, modifiers, letter, number > 0)
        idle_until(lambda: False, seconds)
    _send(window, RELEASE, code, modifiers, letter, False)
    idle()


def type_text(edit: Any, text: str) -> None:
    """Replace the text of a line edit, letter by letter."""
    window = _focused(edit)
    edit.selectAll()
    for letter in text:
        for kind in (PRESS, RELEASE):
            _send(window, kind, ord(letter.upper()), 0, letter, False)
        idle()


def _focused(widget: Any) -> Any:
    window = widget.window()
    window.activateWindow()
    idle_until(window.isActiveWindow, 60)
    if widget is not window:
        widget.setFocus(QtCore.Qt.FocusReason.MouseFocusReason)
    return window.windowHandle()
