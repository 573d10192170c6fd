"""Requests to a worker, one JSON object per line, and what they hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box
from OneShotSegLib.imaging.labelmaps import MAX_LABEL, PALETTE, Segment

LONGEST_LINE = 2**20
"""Bytes of a request; volumes go through files."""


class RequestError(InputError):
    """A line that is no request, so that there may be no number to answer to.

    Attributes:
        number: The request's number, if that much can be read.
    """

    def __init__(self, sentence: str, number: Any = None) -> None:
        super().__init__(sentence)
        self.number = number


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        id: Its number.
        what: What to do.
        fields: The rest.
    """

    id: int
    what: str
    fields: dict[str, Any]

    @classmethod
    def parse(cls, line: bytes) -> Request:
        """Read a line.

        Raises:
            RequestError: If it is no request.
        """
        if len(line) > LONGEST_LINE:
            raise RequestError(f"Expected a request of at most {LONGEST_LINE} bytes, found a longer line.")
        try:
            content = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise RequestError("Expected a JSON object per line, found a line that is none.") from error
        if not isinstance(content, dict):
            raise RequestError("Expected a JSON object per line, found other JSON.")
        number, what = content.pop("id", None), content.pop("do", None)
        if isinstance(number, bool) or not isinstance(number, int):
            raise RequestError(f"id: expected a whole number, found {_short(number)}.")
        if not isinstance(what, str):
            raise RequestError(f"do: expected what to do, found {_short(what)}.", number)
        return cls(number, what, content)

    def text(self, name: str, default: str | None = None) -> str:
        """A field that is a text.

        Raises:
            InputError: If it is not there, unless there is a default, or is no text.
        """
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            raise InputError(f"{name}: expected a text, found {_short(value)}.")
        return value

    def path(self, name: str) -> Path:
        """A field that is a path.

        Raises:
            InputError: If it is not there, or no text.
        """
        text = self.text(name)
        if not text or "\0" in text:
            raise InputError(f"{name}: expected a path, found {_short(text)}.")
        return Path(text)

    def optional_path(self, name: str) -> Path | None:
        """A field that is a path, or not there."""
        return self.path(name) if self.fields.get(name) is not None else None

    def flag(self, name: str) -> bool:
        """A field that is true or false; false if it is not there.

        Raises:
            InputError: If it is something else.
        """
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise InputError(f"{name}: expected true or false, found {_short(value)}.")
        return value

    def number(self, name: str, default: int | None) -> int | None:
        """A field that is a whole number, or not there.

        Raises:
            InputError: If it is something else.
        """
        value = self.fields.get(name, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise InputError(f"{name}: expected a whole number, found {_short(value)}.")
        return value

    def box(self, shape: tuple[int, ...]) -> Box:
        """The field "box", first and past-the-last voxel along z, y and x; the whole array if it is not there.

        Raises:
            InputError: If it does not lie within an array of this shape.
        """
        value = self.fields.get("box", [[0, n] for n in shape])
        try:
            parts = [(int(a), int(b)) for a, b in value]
        except (TypeError, ValueError, OverflowError):
            parts = []
        if len(parts) != 3 or not all(0 <= a <= b <= n for (a, b), n in zip(parts, shape, strict=True)):
            raise InputError(f"box: expected three ranges within {list(shape)}, found {_short(value)}.")
        return tuple(slice(a, b) for a, b in parts)

    def segments(self) -> tuple[Segment, ...]:
        """The field "segments": what the values of an array mean.

        Raises:
            InputError: If it is no list of values and names.
        """
        entries = self.fields.get("segments")
        found = []
        for entry in entries if isinstance(entries, list) else [None]:
            value, name = (entry.get("value"), entry.get("name")) if isinstance(entry, dict) else (None, None)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LABEL:
                raise InputError("segments: expected a list of values from 1 to 255 with their names, found another.")
            if not isinstance(name, str) or not name.strip():
                raise InputError(f"segments: expected a name for the value {value}, found none.")
            found.append(Segment(value=value, name=name, color=PALETTE[(value - 1) % len(PALETTE)]))
        return tuple(found)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
