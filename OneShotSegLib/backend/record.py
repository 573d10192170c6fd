"""The folder of an environment, and the file in it that says what is installed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from OneShotSegLib import __version__
from OneShotSegLib.backend.host import natively
from OneShotSegLib.doctor.requirements import NEEDED, OF_SLICER
from OneShotSegLib.errors import InputError

WANTED = (*NEEDED, *(text for texts in OF_SLICER.values() for text in texts))
"""What an environment of its own has: all that the Slicer module offers."""
FOLDER = "OneShotSeg"


class State(StrEnum):
    """How an environment is."""

    ABSENT = "absent"
    UNFINISHED = "unfinished"
    OUTDATED = "outdated"
    """Installed for another version of OneShotSeg, which needed other packages."""
    BROKEN = "broken"
    READY = "ready"


@dataclass(frozen=True)
class Layout:
    """Where the parts of an environment are.

    Attributes:
        root: Its folder; nothing else is in it.
    """

    root: Path

    @property
    def env(self) -> Path:
        """The virtual environment."""
        return self.root / "env"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.env / "Scripts" / "python.exe" if os.name == "nt" else self.env / "bin" / "python"

    @property
    def downloads(self) -> Path:
        """Wheels that are fetched and not installed yet."""
        return self.root / "downloads"

    @property
    def pip(self) -> Path:
        """A newer pip than the environment's, which finds out what is needed without fetching it."""
        return self.root / "pip"

    @property
    def uv(self) -> Path:
        """The tool that fetches a Python, where none is found."""
        return self.root / "uv"

    @property
    def pythons(self) -> Path:
        """The Pythons that it fetched."""
        return self.root / "python"

    @property
    def record(self) -> Path:
        """What is installed; written last."""
        return self.root / "environment.json"

    @property
    def lock(self) -> Path:
        """Held while something is changed."""
        return self.root / "lock"

    @property
    def own(self) -> tuple[Path, ...]:
        """All that an installation may leave in the folder."""
        return self.env, self.downloads, self.pip, self.uv, self.pythons, self.record, self.lock


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is installed.

    Attributes:
        version: The OneShotSeg that it was installed for.
        requirements: What that asked for.
        processor: What it is built for; None for this Python's.
        python: Version of its Python.
        packages: Name to version of each package.
        reason: Why there is an environment of its own.
    """

    version: str
    requirements: tuple[str, ...]
    processor: str | None = None
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An environment as it is on disk.

    Attributes:
        state: How it is.
        record: What it says of itself; None if it says nothing.
    """

    state: State
    record: Record | None = None

    def sentence(self) -> str:
        """The state in one sentence, with what to do."""
        version = self.record.version if self.record else "?"
        return {
            State.ABSENT: "The environment is not installed yet.",
            State.UNFINISHED: "The installation was not finished: install again, it goes on where it was.",
            State.OUTDATED: f"The environment was installed for OneShotSeg {version}, and this is {__version__}: "
            "repair it.",
            State.BROKEN: "The Python that the environment was made of is no longer there: repair it.",
            State.READY: "The environment is installed.",
        }[self.state]


def default_root() -> Path:
    """Where an environment goes if no folder is given."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / FOLDER
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / FOLDER
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / FOLDER


def look(layout: Layout) -> Found:
    """How an environment is, in milliseconds: nothing is started or imported."""
    record = read(layout)
    if record is None:
        return Found(state=State.UNFINISHED if layout.env.is_dir() or layout.downloads.is_dir() else State.ABSENT)
    if not layout.python.exists():  # a link to a Python that was removed is not there either
        return Found(state=State.BROKEN, record=record)
    return Found(state=State.READY if record.requirements == WANTED else State.OUTDATED, record=record)


def read(layout: Layout) -> Record | None:
    """What an environment says of itself; None if it says nothing that can be read."""
    try:
        content: dict[str, Any] = json.loads(layout.record.read_text(encoding="utf-8"))
        known = {name: content[name] for name in Record.__dataclass_fields__ if name in content}
        record = Record(**{**known, "requirements": tuple(known["requirements"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record


def write(layout: Layout, record: Record) -> None:
    """Write what is installed; the file appears whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    temporary = layout.record.with_suffix(".part")
    temporary.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
    temporary.replace(layout.record)


def command(layout: Layout, record: Record | None = None) -> list[str]:
    """The command that starts the environment's Python."""
    record = record or read(layout)
    return natively(record.processor if record else None, [str(layout.python)])


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Keep other processes from changing an environment while the block lasts; the lock ends with the process.

    Raises:
        InputError: If another process does.
        OSError: If the folder cannot be made or written to.
    """
    layout.root.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("a+b") as file:
        if not _locked(file.fileno()):
            raise InputError(f"{layout.root}: another Slicer is installing there: wait for its end.")
        yield
    with contextlib.suppress(OSError):
        layout.lock.unlink()


def _locked(number: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
