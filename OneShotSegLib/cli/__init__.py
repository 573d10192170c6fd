"""The command line, ``oneshotseg``; each command imports what it needs, so that help comes at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; a mistake in the input is one sentence on standard error and exit status 2."""
    from OneShotSegLib.cli.console import begin_again_in_utf_8, prepare_console

    begin_again_in_utf_8()
    prepare_console()
    from OneShotSegLib.cli.app import app
    from OneShotSegLib.cli.cancelling import Cancelled, listen, print_cancelled
    from OneShotSegLib.errors import InputError
    from OneShotSegLib.exit_status import ExitStatus

    listen()
    try:
        app()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.BAD_INPUT)
    except OSError as error:
        # A full disk, a read-only folder, a share that went away: not our code's fault, and no traceback helps.
        print(f"{error.filename or 'File'}: {error.strerror or error}.", file=sys.stderr)
        sys.exit(ExitStatus.BAD_INPUT)
    except Cancelled:
        print_cancelled()
        sys.exit(ExitStatus.CANCELLED)
