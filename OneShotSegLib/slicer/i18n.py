"""Translation of the texts that a user sees; the identity where Slicer does not run (plain Python, child processes)."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from OneShotSegLib.interface.i18n import translate_with

if TYPE_CHECKING:

    def tr(text: str) -> str:
        """The text in the user's language."""

else:

    def tr(text: str) -> str:
        """The text as it is."""
        return text

    # Slicer has imported it before any module is loaded; a child process must not load Slicer's libraries for a text.
    if "slicer" in sys.modules:
        with contextlib.suppress(ImportError):
            from slicer.i18n import tr
    translate_with(tr)


__all__ = ["tr"]
