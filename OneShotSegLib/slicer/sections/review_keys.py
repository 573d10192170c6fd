"""The keys of the review: in the whole window while the panel is shown; Tab only where the review has the focus."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import qt
import slicer

from OneShotSegLib.interface.review_keys import REVIEW_KEYS
from OneShotSegLib.slicer.i18n import tr as _

KEYS = {key: f"on_{action}" for key, action in REVIEW_KEYS.items()}
TAB_KEYS = {"Tab": "on_next_structure", "Shift+Tab": "on_previous_structure"}
"""In the review's tables and rows of buttons and in the slice views alone: elsewhere Tab moves the focus from field to
field, and completes words in Slicer's Python console."""
SLICE_VIEWS = ("Red", "Green", "Yellow", "Red+", "Green+", "Yellow+")
"""Those of Slicer's own layouts; once made, they are kept until Slicer ends."""


class ReviewKeys:
    """The shortcuts.

    Args:
        window: On which they work.
        places: The widgets in which Tab works; nothing is typed in them.
        actions: Name of an action to what it does.
        warn: Gets a sentence on a key that another extension uses too.
    """

    def __init__(
        self,
        window: Any,
        places: tuple[Any, ...],
        actions: Mapping[str, Callable[[], None]],
        warn: Callable[[str], None],
    ) -> None:
        self._warn, self._actions = warn, actions
        self._shortcuts: list[Any] = []
        self._views: set[str] = set()
        self._enabled = False
        for key, action in KEYS.items():
            self._add(key, window or places[0], actions[action])
        for place in places:
            self._add_tab(place)

    def _add_tab(self, place: Any) -> None:
        for key, action in TAB_KEYS.items():
            self._add(key, place, self._actions[action]).setContext(qt.Qt.WidgetWithChildrenShortcut)

    def _add(self, key: str, parent: Any, action: Callable[[], None]) -> Any:
        shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
        # A key that is held down would decide a row of cases that nobody has seen.
        shortcut.autoRepeat = False
        shortcut.connect("activated()", action)
        shortcut.connect("activatedAmbiguously()", functools.partial(self._on_ambiguous, key))
        shortcut.enabled = self._enabled
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

    def follow_views(self) -> None:
        """Have Tab work in the slice views that are there by now: a layout makes those that it is the first to have."""
        for name, view in _slice_views():
            if name not in self._views:
                self._views.add(name)
                self._add_tab(view)

    def enable(self, enabled: bool) -> None:
        """Set whether they work: only while the panel is shown."""
        self._enabled = enabled
        if enabled:
            self.follow_views()
        for shortcut in self._shortcuts:
            shortcut.enabled = enabled

    def remove(self) -> None:
        """Remove them, for a panel that is closed or reloaded."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()


def _slice_views() -> Iterator[tuple[str, Any]]:
    layouts = slicer.app.layoutManager()
    for name in layouts.sliceViewNames() if layouts is not None else ():
        view = layouts.sliceWidget(name).sliceView() if name in SLICE_VIEWS else None
        if view is not None and view.isWidgetType():
            yield name, view
