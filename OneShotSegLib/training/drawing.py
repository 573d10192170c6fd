"""Whether pictures of a training can be drawn."""

from __future__ import annotations

from importlib.util import find_spec


def has_matplotlib() -> bool:
    """Whether matplotlib is installed, which is for pictures alone."""
    return find_spec("matplotlib") is not None
