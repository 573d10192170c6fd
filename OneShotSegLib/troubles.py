"""The usual troubles of a machine, in one sentence each: what happened, and what the user can do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
WINDOWS_FULL = {39, 112}
WINDOWS_HELD = {32, 33}
"""Sharing violation, lock violation: another program has the file open."""
WINDOWS_TOO_LONG = 206
WINDOWS_NO_SUCH_PATH = 3
WINDOWS_PATH_LIMIT = 260
"""Characters of a path, its end included, unless long paths are switched on."""


def file_sentence(error: OSError, place: str | os.PathLike[str] = "File") -> str:
    """A sentence for an error of the file system.

    Args:
        error: The error.
        place: What it is about, where the error does not say.
    """
    where = error.filename or place
    where = os.fsdecode(where) if isinstance(where, str | bytes | os.PathLike) else str(where)
    advice = _advice(error, where)
    return f"{where}: {error.strerror or error}{f': {advice}' if advice else ''}."


def is_held(error: OSError) -> bool:
    """Whether another program, mostly an antivirus program, has the file open; known on Windows only."""
    return getattr(error, "winerror", None) in WINDOWS_HELD


def sentence_of(error: BaseException) -> str | None:
    """A sentence for an error that is the machine's and not the program's; None for any other error."""
    if isinstance(error, OSError):
        return file_sentence(error)
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for this
        return (
            "The GPU's memory does not suffice: end other programs that use the GPU, or give --device cpu "
            "(oneshotseg doctor shows what is free)."
        )
    if isinstance(error, MemoryError):
        return "Expected enough memory for this, found too little: end other programs, or give fewer --workers."
    if isinstance(error, ImportError):
        return _import_sentence(error)
    return None


def _advice(error: OSError, where: str) -> str:
    code = getattr(error, "winerror", None)
    if error.errno in FULL or code in WINDOWS_FULL:
        return "free some space, or choose a folder on another disk"
    if is_held(error):
        return (
            "another program has it open, an antivirus program perhaps: close it, or leave the folder out of its "
            "scans, and try again"
        )
    is_cut = code == WINDOWS_NO_SUCH_PATH and len(str(Path(where).absolute())) >= WINDOWS_PATH_LIMIT - 1
    if error.errno == errno.ENAMETOOLONG or code == WINDOWS_TOO_LONG or is_cut:
        return "choose a folder with a shorter path" + (", or switch on Windows' long paths" if code else "")
    return ""


def _import_sentence(error: ImportError) -> str | None:
    """A package that is missing, or one whose libraries do not load; None for a module of our own."""
    package = (error.name or "").partition(".")[0]
    if not package or package == "OneShotSegLib":
        return None
    if isinstance(error, ModuleNotFoundError):
        return f"The Python package {package} is missing: python -m OneShotSegLib.doctor says what else is."
    return f"The Python package {package} does not load ({error}): python -m OneShotSegLib.doctor says more."
