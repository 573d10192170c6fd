"""Translation of the texts that a user sees; the identity where Slicer is not there (plain Python)."""

from __future__ import annotations

try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str) -> str:
        """The text as it is."""
        return text


__all__ = ["tr"]
