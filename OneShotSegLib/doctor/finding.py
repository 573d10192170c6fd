"""One finding: a name, whether it is well, and one line of text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """The computation runs, but slower or not for everything."""
    ERROR = "error"
    """The computation does not run."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, and how it is.

    Attributes:
        name: What was looked at.
        state: How it is.
        text: What was found; for a warning or an error what to do, too.
    """

    name: str
    state: State
    text: str

    def line(self) -> str:
        """The finding as one line."""
        return f"{self.state.value:<8} {self.name}: {' '.join(self.text.split())}"


def ok(name: str, text: str) -> Finding:
    """A finding that all is well."""
    return Finding(name, State.OK, text)


def warning(name: str, text: str) -> Finding:
    """A finding that something is slower or left out."""
    return Finding(name, State.WARNING, text)


def error(name: str, text: str) -> Finding:
    """A finding that the computation does not run."""
    return Finding(name, State.ERROR, text)
