"""The command line, ``oneshotseg``; each command imports what it needs, so that help comes at once."""

from __future__ import annotations

import signal
import sys
from types import FrameType

CANCELLED = 130
BAD_INPUT = 2


class Cancelled(BaseException):
    """The user or the parent process asked to stop."""


def main() -> None:
    """Run the command line; a mistake in the input is one sentence on standard error and exit status 2."""
    from OneShotSegLib.cli.app import app
    from OneShotSegLib.errors import InputError

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _cancel)
    try:
        app()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_INPUT)
    except OSError as error:
        # A full disk, a read-only folder, a share that went away: not our code's fault, and no traceback helps.
        print(f"{error.filename or 'File'}: {error.strerror or error}.", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except Cancelled:
        print("Cancelled; what was done is kept, and the same command goes on from there.", file=sys.stderr)
        sys.exit(CANCELLED)


def _cancel(number: int, frame: FrameType | None) -> None:
    raise Cancelled
