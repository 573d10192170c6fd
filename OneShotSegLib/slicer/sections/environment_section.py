"""Environment: which Python computes, what it can do, and the installation, repair and removal of one of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import qt
import slicer

from OneShotSegLib import __version__
from OneShotSegLib.backend.plan import Kind
from OneShotSegLib.backend.progress import step_text
from OneShotSegLib.backend.record import State
from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Event
from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.interface.jobs.interpreter import python_executable
from OneShotSegLib.interface.jobs.runs import RunPlan
from OneShotSegLib.interface.jobs.worker import JobOutcome, Worker
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.dependencies import Choice, Dependencies
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.path_field import PathField

MODULE = "OneShotSegLib.backend"
STEPS = 1000


class Task(Enum):
    """What the section's child process does."""

    NOTHING = ""
    SHOW = "show"
    PLAN = "plan"
    INSTALL = "install"
    REPAIR = "repair"
    REMOVE = "remove"


CHANGING = (Task.INSTALL, Task.REPAIR, Task.REMOVE)


class EnvironmentSection:
    """The section's widgets, and the child process that installs.

    Args:
        context: Shared by the sections.
        dependencies: The choice of a Python.
        on_change: Called when another Python computes from now on.
        worker: Runs the child process.
    """

    def __init__(
        self,
        context: PanelContext,
        dependencies: Dependencies,
        on_change: Callable[[], None],
        worker: Worker | None = None,
    ) -> None:
        self.context = context
        self._dependencies, self._on_change = dependencies, on_change
        self._worker = worker or Worker(command=lambda: [python_executable()], module=MODULE)
        self._task = Task.NOTHING
        self._planned = ""
        self._wheels: Path | None = None
        self._after: RunPlan | None = None
        self._shown_kind: Kind | None = None
        self._details = ""
        ui = context.ui
        self._fill_choices()
        self._python = PathField(ui.environmentPythonEdit, self._name)
        ui.environmentChoiceBox.connect("activated(int)", self._choose)
        ui.environmentInstallButton.connect("clicked(bool)", self.on_install)
        ui.environmentWheelsButton.connect("clicked(bool)", self.on_wheels)
        ui.environmentRemoveButton.connect("clicked(bool)", self.on_remove)
        ui.environmentCheckButton.connect("clicked(bool)", self.on_check)
        ui.environmentCancelButton.connect("clicked(bool)", self.on_cancel)
        ui.environmentBar.setRange(0, STEPS)
        self.update()

    @property
    def busy(self) -> bool:
        """Whether the child process is at work."""
        return self._task is not Task.NOTHING

    def _fill_choices(self) -> None:
        box = self.context.ui.environmentChoiceBox
        labels = {
            Choice.AUTO: _("Automatic"),
            Choice.SLICER: _("Slicer's own Python"),
            Choice.OWN: _("An environment of its own"),
            Choice.NAMED: _("A Python that I name"),
        }
        for choice, label in labels.items():
            box.addItem(label, str(choice))
        box.setCurrentIndex(box.findData(str(self._dependencies.choice)))

    def update(self) -> None:
        """Show the choice and the environment as they are."""
        ui, kind, busy = self.context.ui, self._dependencies.kind, self.busy
        if kind is not self._shown_kind:
            self._shown_kind, self._details = kind, ""
        self._python.show(self._dependencies.named)
        ui.environmentPythonEdit.setVisible(self._dependencies.choice is Choice.NAMED)
        ui.environmentLabel.text = self._planned or self._sentence(kind)
        ui.environmentDetailsLabel.text = self._details
        ui.environmentDetailsLabel.setVisible(bool(self._details))
        ui.environmentProgressFrame.setVisible(busy)
        ui.environmentCancelButton.enabled = busy and not self._worker.cancelling
        for widget in (ui.environmentChoiceBox, ui.environmentPythonEdit, ui.environmentCheckButton):
            widget.enabled = not busy
        ui.environmentInstallButton.text = self._button_text()
        ui.environmentInstallButton.enabled = ui.environmentWheelsButton.enabled = not busy
        state = self._dependencies.own.state
        ui.environmentRemoveButton.enabled = not busy and state is not State.ABSENT

    def _button_text(self) -> str:
        if self._planned:
            return _("Download and install")
        state = self._dependencies.own.state
        return _("Install") if state in (State.ABSENT, State.UNFINISHED) else _("Repair")

    def _sentence(self, kind: Kind) -> str:
        if kind is Kind.SLICER:
            return self._of_slicer()
        if kind is Kind.NAMED:
            named = self._dependencies.named
            return self._dependencies.problem or (_("Computes in {python}.").format(python=named or "?"))
        own = self._dependencies.own
        folder = self._dependencies.layout.root
        texts = {
            State.ABSENT: _(
                "Not installed yet: what is missing in Slicer's Python goes into an environment of its own."
            ),
            State.UNFINISHED: _("The installation was not finished: Install goes on where it was."),
            State.OUTDATED: _("The environment was installed for OneShotSeg {old}, and this is {new}: press Repair."),
            State.BROKEN: _("The Python that the environment was made of is no longer there: press Repair."),
            State.READY: _("Computes in an environment of its own, in {folder}."),
        }
        old = own.record.version if own.record else "?"
        return texts[own.state].format(folder=folder, old=old, new=__version__)

    def _of_slicer(self) -> str:
        lacking = self._dependencies.lacking()
        if lacking:
            return _("Slicer's own Python lacks {packages}: press Install for an environment of its own.").format(
                packages=", ".join(lacking)
            )
        return _("Computes in Slicer's own Python, which has all that is needed.")

    def _choose(self, _number: int) -> None:
        self._dependencies.choice = Choice(self.context.ui.environmentChoiceBox.currentData)
        self._changed()

    def _name(self, path: str) -> None:
        self._dependencies.named = path
        self._changed()

    def _changed(self) -> None:
        self._planned = ""
        self._details = ""
        self.update()
        self._on_change()
        if self._dependencies.kind is Kind.NAMED and self._dependencies.named:
            self.on_check()

    def prepare(self, plan: RunPlan) -> None:
        """Something is missing for a run: say what would be installed; the run goes on after that.

        Args:
            plan: The run.
        """
        self.context.ui.environmentCollapsibleButton.collapsed = False
        messages = self.context.messages
        if self._task in CHANGING:
            self._after = plan
            messages.warning(_("The installation is under way; the run begins after it."))
            return
        is_own = self._dependencies.kind is Kind.OWN
        if not is_own:
            messages.warning(self._sentence(self._dependencies.kind))
            return
        self._after = plan
        messages.warning(_("The computation needs packages that are not installed yet: see Environment."))
        if not self.busy and not self._planned:
            self._begin(Task.PLAN)

    def forget(self) -> None:
        """Start no run any more after an installation; for a scene that was closed."""
        self._after = None

    @guarded
    def on_install(self) -> None:
        """Say the size at the first click, install at the second."""
        self._require_no_run()
        if not self._planned:
            self._begin(Task.PLAN)
            return
        is_there = self._dependencies.own.record is not None
        self._begin(Task.REPAIR if is_there else Task.INSTALL)

    @guarded
    def on_wheels(self) -> None:
        """Ask for a folder of wheels, and say what is installed from it."""
        self._require_no_run()
        parent = self.context.ui.environmentCollapsibleButton
        chosen = qt.QFileDialog.getExistingDirectory(parent, _("Folder of wheels"), "")
        if chosen:
            self.use_wheels(Path(chosen))

    def use_wheels(self, folder: Path) -> None:
        """Install from a folder of wheels from now on."""
        self._wheels = folder
        self._begin(Task.PLAN)

    @guarded
    def on_remove(self) -> None:
        """Remove the environment."""
        self._require_no_run()
        self.context.live.close()
        self._begin(Task.REMOVE)

    @guarded
    def on_check(self) -> None:
        """Find out what the chosen Python can do."""
        self._begin(Task.SHOW)

    @guarded
    def on_cancel(self) -> None:
        """Stop the child process."""
        self._worker.cancel()
        self.update()

    def _require_no_run(self) -> None:
        """Refuse to change an environment in which something is computed.

        Raises:
            InputError: If a run is under way.
        """
        if self.context.controller.busy:
            raise InputError(_("A run is under way: wait for its end, or cancel it."))

    def _begin(self, task: Task) -> None:
        words = [task.value, "--folder", str(self._dependencies.layout.root), "--events", "json"]
        if task is Task.SHOW:
            words += [word for part in self._dependencies.command() for word in ("--python", part)]
        elif task is not Task.REMOVE:
            words += ["--slicer", slicer_version()]
            words += ["--wheels", str(self._wheels)] if self._wheels else []
        self._task = task
        self.context.ui.environmentStepLabel.text = ""
        self.context.ui.environmentBar.setValue(0)
        self._worker.start(words, self)
        self.update()

    def poll(self) -> None:
        """Follow the child process; returns at once."""
        self._worker.poll()

    def close(self) -> None:
        """End the child process; what was fetched is kept."""
        self._task, self._after = Task.NOTHING, None
        self._worker.stop_now()

    def on_event(self, event: Event) -> None:
        """Follow the installation."""
        ui = self.context.ui
        if event.kind == "step":
            ui.environmentBar.setValue(round(STEPS * event.number("fraction")))
            ui.environmentStepLabel.text = step_text(event.fields)
        text = str(event.fields.get("text") or "")
        if text:
            self.context.messages.log(text)
        if event.kind == "planned":
            reason = str(event.fields.get("reason") or "")
            # A path has no spaces at which a narrow label could break it: the folder is in the label's tooltip.
            folder = str(self._dependencies.layout.root)
            ui.environmentLabel.toolTip = folder
            short = text.replace(f" in {folder}", "")
            self._planned = f"{short} {_sentence_case(reason)}" if event.number("packages") else ""
            self._details = "" if self._planned else text

    def on_log(self, line: str) -> None:
        """A line of the child: what it found, or something for the log."""
        try:
            shown = json.loads(line) if self._task is Task.SHOW else None
        except ValueError:
            shown = None
        if not isinstance(shown, dict) or "findings" not in shown:
            self.context.messages.log(line)
            return
        self._details = "\n".join(f"{each['name']}: {each['text']}" for each in shown["findings"])
        if self._dependencies.kind is Kind.NAMED and not shown.get("can_run"):
            errors = [f"{each['name']}: {each['text']}" for each in shown["findings"] if each["state"] == "error"]
            text = _("OneShotSeg cannot run in {python} ({reason}): press Install for an environment of its own.")
            self._dependencies.problem = text.format(python=self._dependencies.named, reason="; ".join(errors[:2]))

    def on_end(self, outcome: JobOutcome) -> None:
        """The child is gone: say what came of it."""
        task, self._task = self._task, Task.NOTHING
        if task is Task.SHOW:
            self.update()
            return
        messages = self.context.messages
        if outcome.succeeded:
            self._done(task)
        elif outcome.cancelled:
            self._planned = ""
            messages.warning(_("Cancelled; what was fetched is kept, and Install goes on from there."))
        else:
            self._planned = ""
            is_ours = outcome.status == ExitStatus.BAD_INPUT
            messages.error(self._worker.error_lines[-1] if is_ours and self._worker.error_lines else outcome.message)
        self.update()
        if task in CHANGING:
            self._on_change()
        if outcome.succeeded and task in CHANGING[:2]:
            self._go_on()

    def _done(self, task: Task) -> None:
        messages = self.context.messages
        if task is Task.PLAN and not self._planned:
            # All is there; what is damaged in no file may still be unfinished: finish it.
            self._planned = _("Nothing has to be downloaded.")
        if task is Task.PLAN:
            return
        self._planned, self._details = "", ""
        if task is Task.REMOVE:
            messages.success(_("The environment was removed."))
            return
        if self._dependencies.kind is not Kind.OWN:
            self._dependencies.choice = Choice.OWN
            box = self.context.ui.environmentChoiceBox
            box.setCurrentIndex(box.findData(str(Choice.OWN)))
        messages.success(_("The environment is installed."))

    def _go_on(self) -> None:
        """Begin the run that had to wait; then, or else, find out what the new environment can do."""
        plan, self._after = self._after, None
        if plan is not None and self.context.parameters is not None and not self.context.controller.busy:
            self.context.start(plan)
        else:
            self._begin(Task.SHOW)


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def slicer_version() -> str:
    """Slicer's version, "5.12"."""
    app: Any = slicer.app
    return f"{getattr(app, 'majorVersion', 5)}.{getattr(app, 'minorVersion', 0)}"
