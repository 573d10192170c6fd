"""The keys of the review: they work in the whole window while the panel is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import qt

from OneShotSegLib.interface.review_keys import REVIEW_KEYS
from OneShotSegLib.slicer.i18n import tr as _

KEYS = {key: f"on_{action}" for key, action in REVIEW_KEYS.items()}
TABLE_KEYS = {"Tab": "on_next_structure", "Shift+Tab": "on_previous_structure"}
"""In the tables alone: elsewhere Tab moves the focus, and completes words in Slicer's Python console."""


class ReviewKeys:
    """The shortcuts.

    Args:
        window: On which they work.
        tables: The widgets in which those of the tables work.
        actions: Name of an action to what it does.
        warn: Gets a sentence on a key that another extension uses too.
    """

    def __init__(
        self,
        window: Any,
        tables: tuple[Any, ...],
        actions: Mapping[str, Callable[[], None]],
        warn: Callable[[str], None],
    ) -> None:
        self._warn = warn
        self._shortcuts: list[Any] = []
        for key, action in KEYS.items():
            self._add(key, window or tables[0], actions[action])
        for table in tables:
            for key, action in TABLE_KEYS.items():
                self._add(key, table, actions[action]).setContext(qt.Qt.WidgetWithChildrenShortcut)

    def _add(self, key: str, parent: Any, action: Callable[[], None]) -> Any:
        shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
        # A key that is held down would decide a row of cases that nobody has seen.
        shortcut.autoRepeat = False
        shortcut.connect("activated()", action)
        shortcut.connect("activatedAmbiguously()", functools.partial(self._on_ambiguous, key))
        shortcut.enabled = False
        self._shortcuts.append(shortcut)
        return shortcut

    def _on_ambiguous(self, key: str) -> None:
        others = [other for other, action in KEYS.items() if action == KEYS.get(key) and other != key]
        sentence = (
            _("Another extension uses the key {key} too: press {other}, or the button.")
            if others
            else _("Another extension uses the key {key} too: press the button.")
        )
        self._warn(sentence.format(key=key, other="".join(others)))

    def enable(self, enabled: bool) -> None:
        """Set whether they work: only while the panel is shown."""
        for shortcut in self._shortcuts:
            shortcut.enabled = enabled

    def remove(self) -> None:
        """Remove them, for a panel that is closed or reloaded."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()
