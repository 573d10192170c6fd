"""The live worker from the page's server: its answers are awaited, and one request at a time holds it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OneShotSegLib.interface.jobs.interpreter import child_environment
from OneShotSegLib.interface.jobs.live_worker import Answer, LiveWorker
from OneShotSegLib.worker.client import WorkerClient

POLL_SECONDS = 0.01


def launch() -> WorkerClient:
    """Start a worker in a child process."""
    return WorkerClient([sys.executable, "-m", "OneShotSegLib", "worker"], child_environment())


class Live:
    """A worker whose answers can be awaited.

    Args:
        start: Starts the child process.

    Attributes:
        lock: To be held from opening something until it is saved: the worker holds one thing at a time.
    """

    def __init__(self, start: Callable[[], WorkerClient] = launch) -> None:
        self._worker = LiveWorker(start)
        self._polling: asyncio.Task[None] | None = None
        self._count = 0
        self.lock = asyncio.Lock()

    def holds(self, key: object) -> bool:
        """Whether this is open."""
        return self._worker.holds(key)

    def rename(self, key: object) -> None:
        """What is open has another key from now on."""
        self._worker.rename(key)

    def file(self, name: str) -> Path:
        """A file for what goes to the worker or comes back; used again after a while."""
        self._count += 1
        return self._worker.folder / f"{name}-{self._count % 8}.npy"

    async def open(self, key: object, do: str, **fields: Any) -> Answer:
        """Open a case or a support.

        Raises:
            WorkerError: If it cannot be opened.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._worker.open(key, do, _result(future), _error(future), **fields)
        return await self._answered(future)

    async def ask(self, do: str, **fields: Any) -> Answer:
        """Ask for something and wait for it.

        Raises:
            WorkerError: If it could not be done.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._worker.ask(do, _result(future), _error(future), **fields)
        return await self._answered(future)

    async def _answered(self, future: asyncio.Future[Answer]) -> Answer:
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return await future

    async def _poll(self) -> None:
        while self._worker.busy:
            self._worker.poll()
            await asyncio.sleep(POLL_SECONDS)

    def close(self) -> None:
        """End the child; what is being saved is saved."""
        self._worker.close()


def _result(future: asyncio.Future[Answer]) -> Callable[[Answer], None]:
    return lambda answer: None if future.done() else future.set_result(answer)


def _error(future: asyncio.Future[Answer]) -> Callable[[Exception], None]:
    return lambda error: None if future.done() else future.set_exception(error)
