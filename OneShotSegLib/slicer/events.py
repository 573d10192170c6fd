"""What the child process says on its standard output: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GREATEST = 1e15
KNOWN = frozenset({"started", "case_started", "step", "case_done", "case_failed", "notice", "finished"})


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        kind: One of ``KNOWN``.
        fields: Everything that it says, fields unknown to us included.
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
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < GREATEST:
            return default
        return float(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A field as a list of texts; empty if it is none."""
        value = self.fields.get(name)
        return tuple(str(entry) for entry in value) if isinstance(value, list) else ()


def parse_event(line: str) -> Event | None:
    """The event in a line; None for anything else, so that a newer or chatty child does no harm."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    kind = content.get("event") if isinstance(content, dict) else None
    return Event(kind, content) if isinstance(kind, str) and kind in KNOWN else None
