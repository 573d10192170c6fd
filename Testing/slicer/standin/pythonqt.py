"""PySide6 with two habits of PythonQt that modules rely on: properties as attributes, connect by signature."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

PROPERTIES: dict[type, tuple[str, ...]] = {
    QtWidgets.QWidget: ("enabled", "toolTip"),
    QtWidgets.QAbstractButton: ("text", "checked"),
    QtWidgets.QLabel: ("text",),
    QtWidgets.QLineEdit: ("text", "placeholderText", "modified"),
    QtWidgets.QComboBox: ("currentText", "currentIndex", "currentData", "count"),
    QtWidgets.QListWidget: ("count",),
    QtWidgets.QProgressBar: ("value",),
    QtGui.QShortcut: ("enabled", "autoRepeat"),
    QtGui.QAction: ("text",),
}
CONNECTING = (
    QtWidgets.QPushButton,
    QtWidgets.QToolButton,
    QtWidgets.QCheckBox,
    QtWidgets.QComboBox,
    QtWidgets.QLabel,
    QtWidgets.QListWidget,
    QtWidgets.QTableWidget,
    QtWidgets.QLineEdit,
    QtGui.QShortcut,
    QtGui.QAction,
    QtCore.QTimer,
    QtWidgets.QApplication,
)


def make_like_pythonqt() -> types.ModuleType:
    """Change PySide6's classes for this process, and give it the name ``qt``."""
    for cls, names in PROPERTIES.items():
        for name in names:
            setattr(cls, name, _as_property(cls, name))
    for cls in CONNECTING:
        _connect_by_signature(cls)
    module = types.ModuleType("qt")
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            if not name.startswith("_"):
                setattr(module, name, getattr(source, name))
    sys.modules["qt"] = module
    return module


def _as_property(cls: type, name: str) -> property:
    read = getattr(cls, name, None) or getattr(cls, "is" + name.capitalize())
    write = getattr(cls, "set" + name[0].upper() + name[1:], None)
    return property(lambda self: read(self), (lambda self, value: write(self, value)) if write else None)


def _connect_by_signature(cls: Any) -> None:
    """PySide looks ``connect`` up before the class's attributes, so the look-up itself is changed."""
    original = cls.__getattribute__

    def look_up(self: Any, name: str) -> Any:
        if name == "connect":
            return types.MethodType(connect, self)
        return original(self, name)

    cls.__getattribute__ = look_up


def connect(sender: Any, signature: str, slot: Callable) -> None:
    """``button.connect("clicked(bool)", slot)``; unknown signals are an error."""
    name, _bracket, arguments = signature.rstrip(")").partition("(")
    normalized = bytes(QtCore.QMetaObject.normalizedSignature(f"{name}({arguments})").data()).decode()
    if sender.metaObject().indexOfSignal(normalized) < 0:
        raise ValueError(f"{type(sender).__name__} has no signal {signature}")
    count = _positional(slot)
    getattr(sender, name).connect(lambda *values: slot(*values[:count]))


def _positional(slot: Callable) -> int | None:
    parameters = inspect.signature(slot).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
