"""The worker's process: reads requests in a thread, does them one after another, answers each once."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
from typing import IO, Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging import atomic
from OneShotSegLib.runner.warning_events import collected_warnings
from OneShotSegLib.troubles import file_sentence
from OneShotSegLib.worker.requests import LONGEST_LINE, Request, RequestError
from OneShotSegLib.worker.sessions import OPENERS, CaseSession, SupportSession

log = logging.getLogger(__name__)

SUPERSEDED_BY_NEWER = ("grow", "regrow")
PROTOCOL = 1
GRACE_SECONDS = 2.0
"""For the step that is under way when the client is gone."""
SAVING_SECONDS = 120.0
"""The same where something is to be saved."""


class _Ended(Exception):  # noqa: N818
    """The request that is worked on is not wanted any more."""


class _Job:
    """A request that waits or is worked on.

    Attributes:
        request: The request.
        ended: Why it is not wanted any more, as a word for the answer; '' as long as it is.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.ended = ""

    def check(self) -> None:
        """Raise if it is not wanted any more."""
        if self.ended:
            raise _Ended


class Server:
    """Answers requests until the client is gone.

    Args:
        requests: Where they are read.
        answers: Where the answers go.
    """

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests, self._answers = requests, answers
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._jobs: list[_Job] = []
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._session: CaseSession | SupportSession | None = None
        self.is_over = threading.Event()

    def run(self) -> None:
        """Work until the client says "quit" or is gone."""
        self._send({"ready": PROTOCOL})
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        while (job := self._queue.get()) is not None:
            answer = self._do(job)
            with self._lock:
                self._jobs.remove(job)
            self._send(answer)
        self.is_over.set()

    def _do(self, job: _Job) -> dict[str, Any]:
        """The answer to a request; whatever happens, there is one."""
        answer: dict[str, Any] = {"id": job.request.id}
        with collected_warnings() as notes:
            try:
                job.check()
                answer["done"] = self._handle(job)
            except _Ended:
                answer |= {"error": f"This request was {job.ended}.", "ended": job.ended}
            except InputError as error:
                answer["error"] = str(error)
            except OSError as error:
                answer["error"] = file_sentence(error)
            except MemoryError:
                answer["error"] = "Expected enough memory for this, found too little."
            except Exception as error:  # whatever it is, the next request may go well
                log.exception("Request %s failed", job.request.what)
                answer["error"] = f"An unexpected error stopped this request ({type(error).__name__}: {error})."
        return {**answer, "notes": notes} if notes else answer

    def _handle(self, job: _Job) -> dict[str, Any]:
        request = job.request
        if request.what in OPENERS:
            self._session = None  # two large cases need not fit into the memory
            session = OPENERS[request.what](request)
            job.check()
            self._session = session
            return session.opened()
        if request.what == "close":
            self._session = None
            return {}
        if request.what not in ("grow", "regrow", "undo", "save"):
            known = ", ".join((*OPENERS, "grow", "regrow", "undo", "save", "cancel", "close", "quit"))
            raise InputError(f"do: expected one of {known}, found {request.what[:40]!r}.")
        if self._session is None:
            raise InputError("Expected an open case or support, found none: open_case or open_support comes first.")
        return self._session.handle(request, job.check)

    def _read(self) -> None:
        """Take requests as they come, whatever is computed meanwhile; the end of the input ends the process."""
        try:
            while line := self._next_line():
                if line.strip() and not self._take(line):
                    break
        finally:
            # Nobody waits for what is computed any more; what was to be saved is saved.
            saves = self._end_all("cancelled", but="save")
            self._queue.put(None)
            if not self.is_over.wait(SAVING_SECONDS if saves else GRACE_SECONDS):
                atomic.remove_unfinished()
                os._exit(0)

    def _next_line(self) -> bytes:
        """The next line; of one that is too long the beginning, which is refused. The end of the input is b''."""
        line = rest = self._requests.readline(LONGEST_LINE + 1)
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = self._requests.readline(LONGEST_LINE + 1)
        return line

    def _take(self, line: bytes) -> bool:
        """Take one request; whether there may be more."""
        try:
            request = Request.parse(line)
        except RequestError as error:
            self._send({"id": error.number, "error": str(error)})
            return True
        if request.what == "cancel":
            self._cancel(request)
        elif request.what == "quit":
            self._send({"id": request.id, "done": {}})
            return False
        else:
            if request.what in SUPERSEDED_BY_NEWER:
                self._supersede()
            job = _Job(request)
            with self._lock:
                self._jobs.append(job)
            self._queue.put(job)
        return True

    def _cancel(self, request: Request) -> None:
        try:
            number = request.number("cancel", None)
        except InputError as error:
            self._send({"id": request.id, "error": str(error)})
            return
        with self._lock:
            ended = [job for job in self._jobs if not job.ended and number in (None, job.request.id)]
            for job in ended:
                job.ended = "cancelled"
        self._send({"id": request.id, "done": {"cancelled": len(ended)}})

    def _supersede(self) -> None:
        """Give up older strokes' requests: a newer one holds their strokes too."""
        with self._lock:
            for job in self._jobs:
                if job.request.what in SUPERSEDED_BY_NEWER:
                    job.ended = job.ended or "superseded"

    def _end_all(self, why: str, but: str) -> int:
        """Give up all requests but those of one kind; how many of these there are."""
        with self._lock:
            for job in self._jobs:
                if job.request.what != but:
                    job.ended = job.ended or why
            return sum(not job.ended for job in self._jobs)

    def _send(self, answer: dict[str, Any]) -> None:
        line = json.dumps(answer, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        # Nobody may listen any more; the end of the input follows then.
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._answers.write(line)
            self._answers.flush()


def serve() -> None:
    """Be a worker: answers go to standard output; whatever else writes there goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout = sys.stderr
    Server(requests, answers).run()
