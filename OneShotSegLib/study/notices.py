"""Warnings of the steps and networks become events of the case that they concern."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from OneShotSegLib.study.events import Listener

ROOT = logging.getLogger("OneShotSegLib")


class _Forward(logging.Handler):
    """Hands each warning of one thread on, once."""

    def __init__(self, listener: Listener, fields: dict[str, Any]) -> None:
        super().__init__(logging.WARNING)
        self.listener, self.fields = listener, fields
        self.thread = threading.get_ident()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.thread == self.thread and text not in self.said:
            self.said.add(text)
            self.listener("notice", text=text, **self.fields)


@contextmanager
def noticed(listener: Listener, **fields: Any) -> Iterator[None]:
    """While the block lasts, what this thread logs as a warning is told as a "notice" event with these fields."""
    handler = _Forward(listener, fields)
    ROOT.addHandler(handler)
    try:
        yield
    finally:
        ROOT.removeHandler(handler)


@contextmanager
def noticed_in_list() -> Iterator[list[str]]:
    """While the block lasts, what this thread logs as a warning is put in a list."""
    texts: list[str] = []

    def keep(event: str, **fields: Any) -> None:
        texts.append(fields["text"])

    with noticed(keep):
        yield texts
