"""Translation of the texts that a user sees: as they are, unless a user interface says how they are translated."""

from __future__ import annotations

from collections.abc import Callable

_translators: list[Callable[[str], str]] = []


def tr(text: str) -> str:
    """The text in the user's language."""
    return _translators[-1](text) if _translators else text


def translate_with(translator: Callable[[str], str]) -> None:
    """Set what translates from now on."""
    _translators[:] = [translator]
