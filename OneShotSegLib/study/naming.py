"""Names that are valid file names on every system, each of them once."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePath

from OneShotSegLib.errors import InputError

LONGEST = 80
MOST_BYTES = 200
"""File systems count bytes: 255 of them per name, the suffixes included."""
LONGEST_ON_WINDOWS = 259
"""Characters of a path, unless the system was set to allow more."""
LONGEST_FILE = f".{'0' * 32}.seg.nrrd"
"""The longest name of a file in a case's folder: a temporary one."""
UNSAFE = re.compile(r"[^\w.\- ]+")
RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|(com|lpt)[\d¹²³])( *\..*)?", re.IGNORECASE)


def safe_name(text: str) -> str:
    """A name for a file: no path, nothing that Windows reserves, at most 80 characters and 200 bytes."""
    # One form for letters with accents: some systems take the two that there are for one name, others for two.
    name = UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip(" .")[:LONGEST]
    name = name.encode()[:MOST_BYTES].decode(errors="ignore").rstrip(" .") or "case"
    return f"_{name[: LONGEST - 1]}".rstrip(" .") if RESERVED.fullmatch(name) else name


def unique_names(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Safe names for these texts, in their order, each once whatever the case of its letters.

    Args:
        texts: What to name the things after.
        taken: Names that are in use.
    """
    used = {name.casefold() for name in taken}
    names = []
    for text in texts:
        name = base = safe_name(text)
        number = 1
        while name.casefold() in used:
            number += 1
            name = f"{base}-{number}"
        used.add(name.casefold())
        names.append(name)
    return names


def longest_path(study: PurePath, cases: Iterable[str]) -> PurePath:
    """The longest path of a file in a study of these cases."""
    return study / "unfinished" / max(cases, key=len, default="") / LONGEST_FILE


def check_lengths(study: Path, cases: Iterable[str]) -> None:
    """Refuse a study whose files' paths this system cannot hold, before hours are spent on it.

    Raises:
        InputError: If so.
    """
    if sys.platform != "win32" or _allows_long_paths():
        return
    length = len(str(longest_path(study.absolute(), cases)))
    if length > LONGEST_ON_WINDOWS:
        raise InputError(
            f"{study}: expected a study folder whose files have paths of at most {LONGEST_ON_WINDOWS} characters, "
            f"found {length}: take a folder nearer to the drive, or allow long paths in Windows."
        )


def _allows_long_paths() -> bool:
    """Whether this Windows was set to allow paths of any length."""
    if sys.platform != "win32":
        return True
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False
