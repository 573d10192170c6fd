"""The events of a run: one protocol, for those who emit them and those who read them.

Each event is a name of `KINDS` with fields that JSON can hold. A run emits them by a callable (`Emit`); with
``--events json`` they go out as one JSON object per line, which `parse_event` reads on the other side.
``docs/events.md`` has every event with its fields.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

KINDS = frozenset(
    {
        *("started", "planned", "left_out", "case_found", "revision", "case_started", "step", "warning"),
        *("case_done", "case_failed", "support_suggested", "finished"),
    },
)
GREATEST_NUMBER = 1e15


class Emit(Protocol):
    """A receiver of the events of a run."""

    def __call__(self, event: str, **fields: Any) -> None:
        """Take one event.

        Args:
            event: One of `KINDS`.
            fields: Its fields; JSON can hold all of them.
        """


def ignore_events(event: str, **fields: Any) -> None:
    """An `Emit` that does nothing."""


class JsonEvents:
    """Writes one JSON object per line and flushes it, so that a parent process gets each event as it happens.

    Args:
        stream: Where to; standard output by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout

    def __call__(self, event: str, **fields: Any) -> None:
        """Write the event."""
        print(json.dumps({"event": event, **fields}), file=self.stream, flush=True)


@dataclass(frozen=True)
class Event:
    """One event as it was read.

    Attributes:
        kind: One of `KINDS`.
        fields: All its fields, those unknown to us included.
    """

    kind: str
    fields: Mapping[str, Any]

    @property
    def case(self) -> str:
        """The case it is about, or ''."""
        return str(self.fields.get("case") or "")

    def number(self, name: str, default: float = 0.0) -> float:
        """A field as a number; the default if it is missing or no number."""
        value = self.fields.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < GREATEST_NUMBER:
            return default
        return float(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A field as a list of texts; empty if it is none."""
        value = self.fields.get(name)
        return tuple(str(entry) for entry in value) if isinstance(value, list) else ()


def parse_event(line: str) -> Event | None:
    """The event in a line; None for anything else, so that output of a newer or verbose sender does no harm."""
    content = _object(line)
    kind = content.get("event")
    return Event(kind, content) if isinstance(kind, str) and kind in KINDS else None


def readable_text(line: str) -> str:
    """A line of a sender's output that is no event of `KINDS`, as a user can read it.

    Of an event of a newer version that is its text, '' if it has none; an event that was cut off is ''.
    """
    content = _object(line)
    if isinstance(content.get("event"), str):
        return str(content.get("text") or "")
    return "" if line.lstrip().startswith('{"event"') else line


def _object(line: str) -> Mapping[str, Any]:
    """The JSON object in a line; empty if there is none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
