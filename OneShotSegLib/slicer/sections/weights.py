"""The weights to choose from: shipped, imported, trained on this batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from OneShotSegLib.interface.jobs.inputs import inputs_folder
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.study.layout import StudyPaths

SETTING = "OneShotSeg/Weights"
TRAINED_FOLDER = "weights"
IMPORTED_FOLDER = "imported-weights"
SHIPPED = ""


class Settings(Protocol):
    """QSettings, as far as needed."""

    def value(self, key: str, default: Any = None) -> Any:
        """A value."""

    def setValue(self, key: str, value: Any) -> None:  # noqa: N802  (Qt's name)
        """Set a value."""


class WeightsChoice:
    """Label and value of each choice; folders that were added are remembered in the application's settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def entries(self, study: StudyPaths | None) -> Iterator[tuple[str, str]]:
        """What to offer: label, and value for the command line ('' for the shipped ones)."""
        yield _("Shipped with OneShotSeg"), SHIPPED
        if study is not None and trained_weights(study).is_dir():
            yield _("Trained on this batch"), str(trained_weights(study))
        for folder in self.remembered():
            if folder.is_dir() and (study is None or folder != trained_weights(study)):
                yield folder.name, str(folder)

    def remembered(self) -> list[Path]:
        """The folders that were added."""
        text = str(self._settings.value(SETTING, "") or "")
        return [Path(line) for line in text.split("\n") if line]

    def remember(self, folder: Path) -> None:
        """Add a folder."""
        folders = [*[known for known in self.remembered() if known != folder], folder]
        self._settings.setValue(SETTING, "\n".join(str(known) for known in folders))


def trained_weights(study: StudyPaths) -> Path:
    """Where the weights of a PRNet that was trained on a study's batch are kept."""
    return inputs_folder(study) / TRAINED_FOLDER
