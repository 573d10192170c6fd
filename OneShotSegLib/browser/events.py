"""What the server tells all pages that are open: a queue for each, read by its WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LONGEST_QUEUE = 1000


class Events:
    """Sends events to all pages. To be used in the event loop's thread."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[dict[str, Any]]] = set()

    @property
    def has_listeners(self) -> bool:
        """Whether a page is open."""
        return bool(self._queues)

    def send(self, kind: str, **fields: Any) -> None:
        """Tell all pages."""
        for queue in self._queues:
            if queue.qsize() < LONGEST_QUEUE:  # else nobody reads it
                queue.put_nowait({"kind": kind, **fields})

    @contextmanager
    def listening(self) -> Iterator[asyncio.Queue[dict[str, Any]]]:
        """A queue that gets all events while the block lasts."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
