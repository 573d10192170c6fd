"""The panel: its sections, and the timer that moves everything on while Slicer stays responsive."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.jobs.live_worker import LiveWorker, launch
from OneShotSegLib.interface.jobs.process import ChildProcess
from OneShotSegLib.interface.jobs.progress import RunProgress
from OneShotSegLib.interface.jobs.runs import RunController, RunState
from OneShotSegLib.interface.jobs.worker import JobOutcome, Worker
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.slicer.jobs.dependencies import Dependencies
from OneShotSegLib.slicer.jobs.devices import parse_devices, probe_command
from OneShotSegLib.slicer.messages import Messages
from OneShotSegLib.slicer.mrml.structures import StructureCatalog
from OneShotSegLib.slicer.sections.batch_section import BatchSection
from OneShotSegLib.slicer.sections.context import PanelContext
from OneShotSegLib.slicer.sections.deliver_section import DeliverSection
from OneShotSegLib.slicer.sections.environment_section import EnvironmentSection
from OneShotSegLib.slicer.sections.preview import SupportPreview
from OneShotSegLib.slicer.sections.propagate_section import PropagateSection
from OneShotSegLib.slicer.sections.review_section import ReviewSection
from OneShotSegLib.slicer.sections.support_section import SupportSection
from OneShotSegLib.slicer.sections.support_suggestions import SupportSuggestions
from OneShotSegLib.slicer.sections.train_section import TrainSection
from OneShotSegLib.slicer.sections.weights import WeightsChoice, trained_weights
from OneShotSegLib.slicer.segment_editor import SegmentEditor

TICK_MS = 50
YIELD_SECONDS = 0.003


class Panel:
    """Everything below the module's title.

    Args:
        ui: The widgets of the .ui file by name.
        dependencies: What the computation needs.
        window: On which the review's keys work.
        settings: The application's.

    Attributes:
        longest_tick: The longest time in seconds that a tick of the timer took.
    """

    def __init__(
        self,
        ui: Any,
        dependencies: Dependencies,
        window: Any = None,
        settings: Any = None,
        editor: SegmentEditor | None = None,
    ) -> None:
        self.ui = ui
        self.longest_tick = 0.0
        self._devices: ChildProcess | None = None
        self._devices_text: list[str] = []
        self._shown_study: Path | None = None
        self._stale = False
        background = Background()
        self.context = PanelContext(
            ui=ui,
            messages=Messages(ui.messageLabel, ui.logText),
            catalog=StructureCatalog(_terminologies()),
            editor=editor or SegmentEditor(window),
            background=background,
            ensure_ready=dependencies.ensure,
            controller=RunController(
                self,
                worker=Worker(command=dependencies.command, environment=dependencies.environment),
                background=background,
            ),
            live=LiveWorker(functools.partial(launch, dependencies.command, dependencies.environment)),
        )
        settings = settings or qt.QSettings()
        self.live = self.context.live
        self.support = SupportSection(self.context)
        self.preview = SupportPreview(self.context, self.live, lambda: not dependencies.missing(), settings)
        self.support.connect_preview(self.preview)
        self.batch = BatchSection(self.context, WeightsChoice(settings))
        self.suggestions = SupportSuggestions(
            self.context, Worker(command=dependencies.command, environment=dependencies.environment)
        )
        self.propagate = PropagateSection(self.context, self.support, self.batch)
        self.review = ReviewSection(self.context, window)
        self.train = TrainSection(self.context, self.batch)
        self.deliver = DeliverSection(self.context, self.batch)
        self.batch.connect_import(self._import_weights)
        self._dependencies = dependencies
        self.environment = EnvironmentSection(self.context, dependencies, self._use_other_python)
        self.context.prepare = self.environment.prepare
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", self.tick)
        self._timer.start()

    @property
    def controller(self) -> RunController:
        """What runs."""
        return self.context.controller

    def set_parameters(self, parameters: Any) -> None:
        """Follow this parameter node; None while a scene closes."""
        self.context.parameters = parameters
        self.update()

    def update(self) -> None:
        """Show the parameters as they are."""
        self.batch.choose_default()
        self.support.update()
        self.batch.update()
        self.suggestions.update()
        study = self.context.study
        if (study.root if study else None) != self._shown_study:
            self._open_study()

    def update_soon(self) -> None:
        """Update at the next tick: many nodes may come and go at once."""
        self._stale = True

    def _open_study(self) -> None:
        study = self.context.study
        self._shown_study = study.root if study else None
        try:
            self.review.open(study)
        except InputError as error:
            self.context.messages.error(str(error))
        self._fold(bool(self.review.session and self.review.session.rows))

    def _fold(self, folded: bool) -> None:
        """Fold the steps that are done, so that the review is in sight; the user can unfold them at any time."""
        for button in (self.ui.supportCollapsibleButton, self.ui.batchCollapsibleButton):
            button.collapsed = folded

    def enter(self) -> None:
        """The panel is shown."""
        self.review.enter()
        if self._devices is None and not self._devices_text:
            self._probe_devices()
        self.support.choose_default()
        self.update()

    def leave(self) -> None:
        """Another module is shown."""
        self.review.leave()
        self.context.editor.pause()

    def close_scene(self) -> None:
        """The scene is closed: save corrections, stop what runs, show a message."""
        folder, was_busy = self._shown_study, self.controller.busy
        # Stop first: nobody needs what the run still reads or writes, and saving would wait for it.
        self.controller.stop_now()
        self._save()
        self.preview.close()
        self.live.close()
        self.environment.forget()
        self.suggestions.close()
        self.context.editor.leave_scene()
        if was_busy:
            self.on_state(RunState.IDLE)
            text = _("The scene was closed and the run stopped; the cases done so far are kept in {folder}.")
            self.context.messages.warning(text.format(folder=folder))
        self.set_parameters(None)

    def close(self) -> None:
        """The application or the module is closed: save corrections, end the child's process tree."""
        self._timer.stop()
        self.controller.stop_now()
        self._save()
        self.preview.close()
        self.live.close()
        self.environment.close()
        self.suggestions.close()
        self.context.background.close()
        if self._devices is not None:
            self._devices.kill()
        self.review.remove_keys()
        self.context.editor.remove()

    def _save(self) -> None:
        try:
            self.review.close()
        except InputError as error:
            self.context.messages.error(str(error))

    def tick(self) -> None:
        """Move everything on; takes a few milliseconds."""
        started = time.perf_counter()
        if (
            self.controller.busy
            or self._devices is not None
            or self.live.busy
            or self.environment.busy
            or self.suggestions.busy
        ):
            # Slicer's main thread holds Python's lock while it waits for events: give it to the threads that read what
            # a child process writes.
            time.sleep(YIELD_SECONDS)
        self.controller.poll()
        self.live.poll()
        self.environment.poll()
        self.suggestions.poll()
        self.preview.poll()
        self.review.poll()
        self._poll_devices()
        if self._stale:
            self._stale = False
            self.update()
        self.longest_tick = max(self.longest_tick, time.perf_counter() - started)

    def _probe_devices(self) -> None:
        if self._dependencies.ensure():
            command, environment = self._dependencies.command(), self._dependencies.environment()
            self._devices = ChildProcess(probe_command(command), environment)

    def _use_other_python(self) -> None:
        """Ask it for its devices; the worker of the present one ends."""
        self.live.close()
        if self._devices is not None:
            self._devices.kill()
            self._devices = None
        self._devices_text = []
        self._probe_devices()

    def _poll_devices(self) -> None:
        if self._devices is None:
            return
        status = self._devices.exit_status
        self._devices_text += [line for stream, line in self._devices.lines() if stream == "out"]
        if status is not None:
            self._devices = None
            self.batch.show_devices(parse_devices("\n".join(self._devices_text)))
            self._devices_text.append("")

    def _import_weights(self, coarse: Path, fine: Path) -> None:
        try:
            self.propagate.import_weights(coarse, fine)
        except InputError as error:
            self.context.messages.error(str(error))

    def on_state(self, state: RunState) -> None:
        """A run started, moved on or ended."""
        self.propagate.show_state(state)
        self.train.show_state(state)
        self.deliver.show_state(state)
        for section in (self.support, self.batch, self.suggestions):
            section.lock(state is not RunState.IDLE)
        self.review.show_state(state is not RunState.IDLE)
        if state is RunState.PREPARING:
            self.propagate.show_progress(RunProgress())
            if self.review.session is None:
                self._open_study()
            if self.controller.plan is not None and self.controller.plan.makes_cases:
                self.context.editor.close()
                self._fold(True)

    def on_progress(self, progress: RunProgress) -> None:
        """A run moved on."""
        self.propagate.show_progress(progress)

    def on_case(self, case: str) -> None:
        """A case has results."""
        study = self.context.study
        if study is not None:
            self.propagate.mark_nodes(study)
        self._guard(lambda: self.review.case_done(case))

    def on_log(self, line: str) -> None:
        """A line of the child."""
        self.context.messages.log(line)

    def on_end(self, outcome: JobOutcome) -> None:
        """A run ended: show one sentence, and the table as it is now."""
        if outcome.succeeded:
            self.context.messages.success(self._success_text())
            if self.controller.plan is not None:
                self.controller.plan.on_success()
        elif outcome.cancelled:
            self.context.messages.warning(outcome.message)
        else:
            self.context.messages.error(outcome.message)
        self._after_run()

    def _success_text(self) -> str:
        plan = self.controller.plan
        if plan is None or not plan.makes_cases:
            return _("{title}: done.").format(title=plan.title if plan else "")
        progress = self.controller.progress
        changes = progress.describe_changes()
        text = _("Done: {count} cases. Review the doubtful first.").format(count=len(progress.done))
        return f"{text} {changes}" if changes else text

    def _after_run(self) -> None:
        study = self.context.study
        if study is not None and trained_weights(study).is_dir() and self.context.parameters:
            self.batch.update()
        if study is not None and study.root.is_dir():
            self._guard(self._refresh_review)

    def _refresh_review(self) -> None:
        if self.review.session is not None:
            self.review.session.refresh()
        self.review.update()

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except InputError as error:
            self.context.messages.error(str(error))


def _terminologies() -> Any:
    """Slicer's terminologies; None where that module is not there."""
    module = getattr(slicer.modules, "terminologies", None)
    return module.logic() if module is not None else None
