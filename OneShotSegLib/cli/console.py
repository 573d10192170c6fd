"""The console as a command finds it: its encoding, and that of file names."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare_console() -> None:
    """Let no letter that the console's encoding lacks end a command: it is printed escaped (``\\u8133``)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def begin_again_in_utf_8() -> None:
    """Start this program anew in Python's UTF-8 mode if file names are of another encoding (a locale of old).

    A study may hold names that such an encoding lacks, and a name must be the same one on every machine. What is
    printed stays in the console's encoding.
    """
    if os.name == "nt" or sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    console = getattr(sys.stdout, "encoding", None) or "ascii"
    environment = {"PYTHONIOENCODING": f"{console}:backslashreplace", **os.environ, "PYTHONUTF8": "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
