"""Which Python the child processes run in, and whether it has what the computation needs.

Nothing is installed here, and never into Slicer's own Python: see `OneShotSegLib.backend`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from OneShotSegLib.backend import record
from OneShotSegLib.backend.host import cleaned
from OneShotSegLib.backend.plan import Kind
from OneShotSegLib.backend.record import Found, Layout, State
from OneShotSegLib.doctor.requirements import NEEDED
from OneShotSegLib.interface.jobs.interpreter import child_environment, python_executable

CHOICE_SETTING = "OneShotSeg/Environment"
PYTHON_SETTING = "OneShotSeg/EnvironmentPython"


class Choice(StrEnum):
    """What the user chose."""

    AUTO = "auto"
    SLICER = "slicer"
    OWN = "own"
    NAMED = "named"


class Settings(Protocol):
    """QSettings, as far as needed."""

    def value(self, key: str, default: Any = None) -> Any:
        """A value."""

    def setValue(self, key: str, value: Any) -> None:  # noqa: N802  (Qt's name)
        """Set a value."""

    def fileName(self) -> str:  # noqa: N802
        """The file that they are in."""


def is_satisfied(requirement: str) -> bool:
    """Whether an installed package meets a requirement; nothing is imported.

    Without packaging, that it is there has to do.
    """
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return is_there(requirement)
    wanted = Requirement(requirement)
    if wanted.marker is not None and not wanted.marker.evaluate():
        return True
    try:
        installed = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(installed, prereleases=True)


def is_there(requirement: str) -> bool:
    """Whether a package is installed, whatever its version."""
    found = re.match(r"[\w.-]+", requirement)
    return found is not None and any(True for _dist in metadata.distributions(name=found[0]))


def environment_folder(settings: Settings) -> Path:
    """Where the extension's own environment is: beside the application's settings."""
    file = Path(str(settings.fileName()))
    return file.parent / record.FOLDER if file.is_absolute() else record.default_root()


class Dependencies:
    """The choice of a Python, kept in the application's settings, and what that Python lacks.

    Args:
        settings: The application's.
        requirements: What every run needs.
        satisfied: Whether a package of Slicer's own Python meets a requirement.

    Attributes:
        layout: The extension's own environment.
        problem: Why the Python that the user named cannot be used; '' if no reason is known.
    """

    def __init__(
        self,
        settings: Settings,
        requirements: Sequence[str] = NEEDED,
        satisfied: Callable[[str], bool] = is_satisfied,
    ) -> None:
        self._settings, self._requirements, self._satisfied = settings, requirements, satisfied
        self._lacking: tuple[str, ...] | None = None
        self.layout = Layout(environment_folder(settings))
        self.problem = ""

    @property
    def choice(self) -> Choice:
        """What the user chose."""
        text = str(self._settings.value(CHOICE_SETTING, "") or "")
        return Choice(text) if text in list(Choice) else Choice.AUTO

    @choice.setter
    def choice(self, choice: Choice) -> None:
        self._settings.setValue(CHOICE_SETTING, str(choice))
        self.problem = ""

    @property
    def named(self) -> str:
        """The Python that the user named; '' for none."""
        return str(self._settings.value(PYTHON_SETTING, "") or "")

    @named.setter
    def named(self, path: str) -> None:
        self._settings.setValue(PYTHON_SETTING, path)
        self.problem = ""

    @property
    def own(self) -> Found:
        """The extension's own environment as it is on disk."""
        return record.look(self.layout)

    @property
    def kind(self) -> Kind:
        """Which environment the child processes run in."""
        if self.choice is not Choice.AUTO:
            return Kind(self.choice)
        if self.own.record is not None:
            return Kind.OWN  # somebody wanted it
        return Kind.OWN if self.lacking() else Kind.SLICER

    def lacking(self) -> tuple[str, ...]:
        """What Slicer's own Python lacks."""
        if self._lacking is None:
            self._lacking = tuple(text for text in self._requirements if not self._satisfied(text))
        return self._lacking

    def missing(self) -> tuple[str, ...]:
        """What the chosen Python lacks, as far as is known; nothing is started."""
        kind = self.kind
        if kind is Kind.SLICER:
            return self.lacking()
        if kind is Kind.OWN:
            return () if self.own.state is State.READY else tuple(self._requirements)
        is_there = bool(self.named) and Path(self.named).is_file()
        return () if is_there and not self.problem else (self.named or "python",)

    def ensure(self) -> bool:
        """Whether everything is there."""
        return not self.missing()

    def command(self) -> list[str]:
        """The command that starts the chosen Python."""
        kind = self.kind
        if kind is Kind.OWN:
            return record.command(self.layout)
        return [self.named] if kind is Kind.NAMED else [python_executable()]

    def environment(self) -> dict[str, str]:
        """The variables with which it runs: Slicer's for Slicer's own, else without what Slicer's launcher set."""
        return child_environment(None if self.kind is Kind.SLICER else cleaned(dict(os.environ)))
