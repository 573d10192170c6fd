"""Translation of the texts that a user sees; the identity where Slicer is not there (plain Python)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:

    def tr(text: str) -> str:
        """The text in the user's language."""

else:
    try:
        from slicer.i18n import tr
    except ImportError:

        def tr(text: str) -> str:
            """The text as it is."""
            return text


__all__ = ["tr"]
