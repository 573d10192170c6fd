"""The exit statuses of the command line, for the commands and for programs that start them."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """How a command ended."""

    DONE = 0
    """Everything was done."""
    SOME_FAILED = 1
    """Some cases failed; the others are there. Python itself also exits with 1 after an error that nobody caught."""
    BAD_INPUT = 2
    """Arguments or input cannot be used; one sentence on standard error says why."""
    CANCELLED = 130
    """Stopped when asked to; what was done is kept."""
