"""What the sections of the panel share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.jobs.live_worker import LiveWorker
from OneShotSegLib.interface.jobs.runs import RunController, RunPlan
from OneShotSegLib.interface.jobs.worker import AlreadyRunningError
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.slicer.messages import Messages
from OneShotSegLib.slicer.mrml.structures import StructureCatalog
from OneShotSegLib.slicer.segment_editor import SegmentEditor
from OneShotSegLib.study.layout import StudyPaths

Section = TypeVar("Section")


@dataclass(kw_only=True)
class PanelContext:
    """Handed to every section.

    Attributes:
        ui: The widgets of the .ui file by name.
        messages: Shows texts to the user.
        catalog: Structures that Slicer's terminology knows.
        editor: Slicer's Segment Editor.
        background: Where files are read and written.
        ensure_ready: Whether what the computation needs is there.
        prepare: Gets a run for which something is missing: it begins once that is installed.
        controller: Runs one child process at a time.
        live: Shows at once what strokes do.
        parameters: The parameter node's wrapper; None while a scene closes.
    """

    ui: Any
    messages: Messages
    catalog: StructureCatalog
    editor: SegmentEditor
    background: Background
    ensure_ready: Callable[[], bool]
    controller: RunController
    live: LiveWorker
    parameters: Any = None
    prepare: Callable[[RunPlan], None] = lambda plan: None

    @property
    def study(self) -> StudyPaths | None:
        """The study folder that is chosen; None if none is."""
        text = self.parameters.study_folder.strip() if self.parameters else ""
        return StudyPaths(Path(text).expanduser()) if text else None

    def require_study(self) -> StudyPaths:
        """The study folder, made if it is not there yet.

        Raises:
            InputError: If none is chosen or it cannot be made.
        """
        study = self.study
        if study is None:
            raise InputError(_("Choose a study folder first: results and decisions are kept there."))
        if not study.root.name:
            raise InputError(_("{path}: expected a folder for the study, found a whole disk.").format(path=study.root))
        make_folder(study.root)
        return study

    def require_idle(self) -> None:
        """Refuse a second run.

        Raises:
            AlreadyRunningError: If one is under way.
        """
        if self.controller.busy:
            raise AlreadyRunningError(_("A run is already under way: wait for its end, or cancel it."))

    def start(self, plan: RunPlan) -> bool:
        """Start a run if everything that it needs is installed; returns whether it started."""
        self.require_idle()
        if not self.ensure_ready():
            self.messages.warning(_("Nothing was started: the packages that are needed are not installed."))
            self.prepare(plan)
            return False
        make_folder(plan.folder)
        self.messages.clear()
        self.controller.start(plan)
        return True


def make_folder(folder: Path) -> None:
    """Make a folder if it is not there.

    Raises:
        InputError: If that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = _("{path}: the folder cannot be made: {reason}.")
        raise InputError(text.format(path=folder, reason=error.strerror or error)) from error


def guarded(method: Callable[..., Any]) -> Callable[..., None]:
    """A slot of a section: an error that the user can correct becomes one sentence in the panel.

    While a scene closes there are no parameters, and slots do nothing.
    """

    @functools.wraps(method)
    def slot(self: Any) -> None:
        if self.context.parameters is None:
            return
        try:
            method(self)
        except (InputError, AlreadyRunningError) as error:
            self.context.messages.error(str(error))

    return slot
