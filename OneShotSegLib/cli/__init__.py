"""The command line, ``oneshotseg``; each command imports what it needs, so that help comes at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; a mistake in the input is one sentence on standard error and exit status 2."""
    from OneShotSegLib.cli.console import begin_again_in_utf_8, prepare_console

    begin_again_in_utf_8()
    prepare_console()
    from OneShotSegLib.cli.cancelling import Cancelled, listen, print_cancelled
    from OneShotSegLib.cli.priority import LONG, give_way
    from OneShotSegLib.errors import InputError
    from OneShotSegLib.exit_status import ExitStatus
    from OneShotSegLib.troubles import sentence_of

    listen()
    if sys.argv[1:2] and sys.argv[1] in LONG:
        give_way()
    _warn_of_the_processor()
    try:
        from OneShotSegLib.cli.app import app

        app()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.BAD_INPUT)
    except Cancelled:
        print_cancelled()
        sys.exit(ExitStatus.CANCELLED)
    except Exception as error:
        # A full disk, a share that went away, a missing package: not our code's fault, and no traceback helps.
        sentence = sentence_of(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        sys.exit(ExitStatus.BAD_INPUT)


def _warn_of_the_processor() -> None:
    """Say that the processor lacks AVX before a library ends the process for it, without a word."""
    from OneShotSegLib.doctor.processor import NO_AVX, lacks_avx

    if lacks_avx():
        print(f"Warning: {NO_AVX}.", file=sys.stderr)
