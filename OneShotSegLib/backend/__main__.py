"""``python -m OneShotSegLib.backend`` is ``oneshotseg environment``, and needs no package at all."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from OneShotSegLib.backend import commands
from OneShotSegLib.backend.commands import Wish
from OneShotSegLib.backend.progress import TextEvents
from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, JsonEvents
from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.troubles import file_sentence

CANCELLED = "Cancelled; what was fetched is kept, and the installation goes on from there."


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit status."""
    words = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _do(words)
    except InputError as error:
        print(error, file=sys.stderr)
        return ExitStatus.BAD_INPUT
    except OSError as error:
        print(file_sentence(error), file=sys.stderr)
        return ExitStatus.BAD_INPUT
    except KeyboardInterrupt:
        print(CANCELLED, file=sys.stderr)
        return ExitStatus.CANCELLED


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m OneShotSegLib.backend", description=__doc__)
    parser.add_argument("command", choices=["show", "plan", "install", "repair", "remove"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--slicer", type=_version)
    parser.add_argument("--events", choices=["text", "json"], default="text")
    return parser


def _version(text: str) -> tuple[int, int]:
    major, minor = (int(part) for part in text.split(".")[:2])
    return major, minor


def _do(words: argparse.Namespace) -> int:
    wish = Wish(root=words.folder, wheels=words.wheels, base=words.base, slicer=words.slicer)
    as_json = words.events == "json"
    emit: Emit = JsonEvents() if as_json else TextEvents()
    if words.command == "show":
        shown = commands.show(wish, words.python)
        print(json.dumps(shown) if as_json else "\n".join(commands.lines(shown)))
        return ExitStatus.DONE if shown.get("can_run") else ExitStatus.SOME_FAILED
    if words.command == "plan":
        return commands.describe(wish, emit)
    if words.command == "remove":
        print(f"Removed; {commands.remove(wish) / 1e6:.0f} MB are free again.", file=sys.stderr)
        return ExitStatus.DONE
    return commands.install(wish, emit, is_repair=words.command == "repair")


if __name__ == "__main__":
    sys.exit(main())
