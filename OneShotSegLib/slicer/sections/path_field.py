"""A folder of the panel: typed, chosen in a dialog or from the ones used before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


class PathField:
    """Slicer's path widget (ctkPathLineEdit), whose value counts once it is whole.

    The widget says at every letter that its path changed. Here a typed path counts when Return is pressed or the field
    is left, a chosen one at once.

    Args:
        widget: The ctkPathLineEdit.
        on_path: Gets the path, '' if there is none.
    """

    def __init__(self, widget: Any, on_path: Callable[[str], None]) -> None:
        self._widget = widget
        self._on_path = on_path
        self._shown = ""
        self._edit = widget.comboBox().lineEdit()
        widget.connect("currentPathChanged(QString)", self._changed)
        widget.comboBox().connect("activated(int)", self._activated)
        self._edit.connect("editingFinished()", self.commit)

    def show(self, path: str) -> None:
        """Show a path."""
        if path != self._shown:
            self._shown = path
            self._widget.setCurrentPath(path)

    def commit(self) -> None:
        """What is in the field counts now."""
        path = as_absolute(str(self._widget.currentPath).strip())
        if path != self._shown:
            self._shown = path
            if path:
                self._widget.addCurrentPathToHistory()
            self._on_path(path)

    def _activated(self, _number: int) -> None:
        self.commit()

    def _changed(self, path: str) -> None:
        # A line edit knows whether its text is what a user typed, or was set: by the dialog or by us.
        if not self._edit.modified and path.strip() != self._shown:
            self.commit()


def as_absolute(path: str) -> str:
    """A path as others read it: without ~, from the root."""
    return str(Path(path).expanduser().absolute()) if path else ""
