"""Names that are valid file names on every system, each of them once."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 80
MOST_BYTES = 200
"""File systems count bytes: 255 of them per name, the suffixes included."""
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
