"""Warnings of the steps and networks become events of the case that they concern."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from OneShotSegLib.events import Emit

ROOT = logging.getLogger("OneShotSegLib")


class _Forward(logging.Handler):
    """Emits each warning of one thread, once."""

    def __init__(self, emit_event: Emit, fields: dict[str, Any]) -> None:
        super().__init__(logging.WARNING)
        self.emit_event, self.fields = emit_event, fields
        self.thread = threading.get_ident()
        self.seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.thread == self.thread and text not in self.seen:
            self.seen.add(text)
            self.emit_event("warning", text=text, **self.fields)


@contextmanager
def warnings_emitted(emit: Emit, **fields: Any) -> Iterator[None]:
    """While the block lasts, what this thread logs as a warning is emitted as a "warning" event with these fields."""
    handler = _Forward(emit, fields)
    ROOT.addHandler(handler)
    try:
        yield
    finally:
        ROOT.removeHandler(handler)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """While the block lasts, what this thread logs as a warning is put in a list."""
    texts: list[str] = []

    def keep(event: str, **fields: Any) -> None:
        texts.append(fields["text"])

    with warnings_emitted(keep):
        yield texts
