"""Reading that would stop the server, in child processes: SimpleITK holds Python's lock while it reads and unpacks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from OneShotSegLib.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

MOST = 2


class Children:
    """Child processes for what takes long, started when they are first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def warm(self) -> None:
        """Start a child process now, so that it need not be waited for later."""
        self._started().submit(os.getpid)

    def run(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do something in a child process and wait for it; its errors are raised here.

        Raises:
            InputError: If the process ended without an answer.
        """
        pool = self._started()
        try:
            return pool.submit(work, *given, **named).result()
        except BrokenProcessPool as error:
            with self._lock:
                if self._pool is pool:
                    self._pool = None
            raise InputError("Expected the CT to be read, found that reading ended: is there enough memory?") from error

    def close(self) -> None:
        """End them all; what is being read is read to its end."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # Not forked: this process has threads, and locks that they hold.
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(MOST, context, _begin)
            return self._pool


def _begin() -> None:
    """What a child process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the server, which ends its children
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from OneShotSegLib.imaging import files

    assert files  # what every reading needs is imported before the first one


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
