"""The steps of an installation as lines for people, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

MB = 1e6
STEPS: Mapping[str, str] = {
    "python": "Looking for a Python",
    "resolve": "Finding out what is needed",
    "check": "Looking at what is there",
    "download": "Downloading",
    "install": "Installing",
    "load": "Seeing that it loads",
    "compile": "Compiling, once",
    "done": "Done",
}


def step_text(fields: Mapping[str, Any]) -> str:
    """A `step` event in words."""
    name, _space, detail = str(fields.get("step") or "").partition(" ")
    text = STEPS.get(name, name)
    done, total = fields.get("done"), fields.get("total")
    if name == "download" and isinstance(done, int) and isinstance(total, int):
        return f"{text} {detail}: {done / MB:.0f} of {total / MB:.0f} MB"
    if name == "install" and isinstance(done, int) and isinstance(total, int):
        return f"{text}: {done} of {total} packages"
    return f"{text} {detail}".strip()


class TextEvents:
    """Prints each step once, and a download's progress at each tenth."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None

    def __call__(self, event: str, **fields: Any) -> None:
        """Print an event."""
        if event in ("planned", "warning"):
            print(fields["text"], file=sys.stderr, flush=True)
        if event == "step":
            name = str(fields["step"]).partition(" ")[0]
            state = name, int(10 * fields["fraction"])
            if state != self._last:
                self._last = state
                print(step_text(fields), file=sys.stderr, flush=True)
