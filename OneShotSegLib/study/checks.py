"""Checks of JSON that may come from anywhere, so that its readers can rely on the kinds of its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.layout import SUPPORTS_FOLDER
from OneShotSegLib.study.naming import LONGEST, safe_name

Check = Callable[[Any], bool]
MAX_LABEL = 255
LONGEST_WITH_NUMBER = LONGEST + 12


def is_number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether it is a finite number in this range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= high and abs(value) < 1e300


def is_label(value: Any) -> bool:
    """Whether it can be the value of a label."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_LABEL


def is_text(value: Any) -> bool:
    """Whether it is a text."""
    return isinstance(value, str)


def is_file_name(value: Any) -> bool:
    """Whether it is a text that can name a file on every system and leads nowhere else."""
    return (
        isinstance(value, str) and len(value) <= LONGEST_WITH_NUMBER and safe_name(value[:LONGEST]) == value[:LONGEST]
    )


def is_color(value: Any) -> bool:
    """Whether it is red, green and blue (and perhaps opacity)."""
    return isinstance(value, list) and len(value) in (3, 4) and all(map(is_number, value))


def is_mapping(value: Any) -> bool:
    """Whether it is an object with named values."""
    return isinstance(value, dict)


def is_list_of(**fields: Check) -> Check:
    """A check for lists of objects whose named values, as far as they are there, pass these checks."""

    def check(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(entry, dict) and all(name not in entry or fits(entry[name]) for name, fits in fields.items())
            for entry in value
        )

    return check


def is_count(value: Any) -> bool:
    """Whether it is a whole number, 0 and more."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1e9


def is_support_file(value: Any) -> bool:
    """Whether it names a file of the study's own folder or of its folder of supports."""
    return is_text(value) and is_file_name(value.removeprefix(f"{SUPPORTS_FOLDER}/"))


REVISION: Mapping[str, Check] = {
    "supports": is_list_of(
        kind=is_text,
        ct=is_text,
        scribbles=is_support_file,
        fingerprint=is_text,
        series=is_text,
        case=is_file_name,
        mask=is_text,
    ),
    "labels": is_list_of(value=is_label, name=is_text, color=is_color),
    "background_label": lambda value: value is None or is_label(value),
    "settings": is_mapping,
    "weights": is_mapping,
    "number": is_count,
    "before": is_count,
    "created": is_text,
}
DESCRIPTION: Mapping[str, Check] = {
    **REVISION,
    "revision": is_count,
    "revisions": is_list_of(**REVISION),
    "cases": is_list_of(case=is_file_name, source=is_text, series=is_text, description=is_text),
    "versions": is_mapping,
}


def check_description(path: Path, content: Any) -> dict[str, Any]:
    """The content of study.json, if all that is in it is of the right kind; gaps are for the reader to find.

    Raises:
        InputError: If not, or if two cases or labels have one name.
    """
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected the description of a study, found other content.")
    for name, fits in DESCRIPTION.items():
        if name in content and not fits(content[name]):
            raise InputError(f"{path}: expected a full study description, found gaps or unknown entries in '{name}'.")
    for name, key in (("cases", "case"), ("labels", "value"), ("revisions", "number")):
        known = [str(entry[key]).casefold() for entry in content.get(name, ()) if key in entry]
        if len(set(known)) < len(known):
            raise InputError(f"{path}: expected each of the {name} once, found one twice.")
    return content
