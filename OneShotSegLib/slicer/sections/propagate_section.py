"""Propagate: the run, its progress, its end."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from OneShotSegLib.interface.case_files import read_case_volumes
from OneShotSegLib.interface.jobs.commands import import_weights, propagate
from OneShotSegLib.interface.jobs.inputs import Export, inputs_folder
from OneShotSegLib.interface.jobs.progress import RunProgress
from OneShotSegLib.interface.jobs.runs import RunPlan, RunState
from OneShotSegLib.interface.known_inputs import known_supports
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.volumes import volume_from_node
from OneShotSegLib.slicer.review.case_marks import mark
from OneShotSegLib.slicer.sections.batch_section import BatchSection
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.scene_inputs import export_scribbles, export_volume
from OneShotSegLib.slicer.sections.support_section import SupportSection
from OneShotSegLib.slicer.sections.weights import IMPORTED_FOLDER
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.naming import safe_name

STEPS = 1000
SUPPORT_FOLDER = "support"


class PropagateSection:
    """The section's buttons and bars."""

    def __init__(self, context: PanelContext, support: SupportSection, batch: BatchSection) -> None:
        self.context = context
        self._support = support
        self._batch = batch
        self._nodes: dict[Path, Any] = {}
        ui = context.ui
        for button in (ui.propagateButton, ui.goOnButton):
            button.connect("clicked(bool)", self.on_propagate)
        ui.cancelButton.connect("clicked(bool)", self.on_cancel)
        ui.logButton.connect("toggled(bool)", self._on_log_toggled)
        ui.logText.setVisible(False)
        for bar in (ui.batchBar, ui.stepBar):
            bar.setRange(0, STEPS)
        self.show_state(RunState.IDLE)
        self.show_progress(RunProgress())

    def show_state(self, state: RunState) -> None:
        """Enable what can be done now."""
        ui = self.context.ui
        busy = state is not RunState.IDLE
        ui.progressFrame.setVisible(busy)
        ui.cancelButton.setVisible(busy)
        ui.cancelButton.enabled = state in (RunState.PREPARING, RunState.RUNNING)
        ui.cancelButton.text = _("Cancelling…") if state is RunState.CANCELLING else _("Cancel")
        ui.propagateButton.enabled = not busy
        texts = {
            RunState.IDLE: _("Propagate"),
            RunState.PREPARING: _("Preparing…"),
            RunState.RUNNING: _("Running…"),
            RunState.CANCELLING: _("Running…"),
        }
        ui.propagateButton.text = texts[state]

    def show_progress(self, progress: RunProgress) -> None:
        """Move the bars."""
        ui = self.context.ui
        whole = (progress.finished_cases + progress.fraction * 0.99) / progress.total if progress.total else 0.0
        ui.batchBar.setValue(round(STEPS * min(whole, 1.0)))
        ui.stepBar.setValue(round(STEPS * progress.fraction))
        ui.batchLabel.text = progress.describe()
        ui.stepLabel.text = progress.describe_step()

    def _on_log_toggled(self, shown: bool) -> None:
        self.context.ui.logText.setVisible(shown)

    @guarded
    def on_propagate(self) -> None:
        """Check the scribbles, then propagate them to the batch.

        A study that is opened again goes on without them: it keeps its supports and their strokes.
        """
        self.context.require_idle()
        study = self.context.require_study()
        self.context.messages.clear()
        if self.context.parameters.scribbles is None and known_supports(study):
            self._start_batch()
            return
        self._support.check(self._after_check)
        self.context.ui.propagateButton.enabled = False

    def _after_check(self, ready: bool) -> None:
        self.show_state(self.context.controller.state)
        if ready:
            self._start_batch()
        elif not self.context.messages.text:
            self.context.messages.error(_("The scribbles are not ready: see the list under Support."))

    @guarded
    def _start_batch(self) -> None:
        study = self.context.require_study()
        batch = self._batch.batch(study)
        parameters = self.context.parameters
        exports: tuple[Export, ...] = ()
        if parameters.scribbles is None:
            supports = known_supports(study)
        else:
            exports = self._export_support(study)
            supports = [(exports[0].path, exports[1].path)]
        request = PropagationRequest(
            supports=[ct for ct, _strokes in supports],
            scribbles=[strokes for _ct, strokes in supports],
            queries=batch.queries,
            output=study.root,
            weights=parameters.weights or "auto",
            device=parameters.device,
            series=batch.series,
            support_cases=True,
        )
        exports = (*exports, *batch.exports)
        plan = RunPlan(
            title=_("Propagating"), arguments=propagate(request), folder=study.root, exports=exports, makes_cases=True
        )
        # The support is a case too, the first one.
        own = {exports[0].path: parameters.support_volume} if parameters.scribbles is not None else {}
        self._nodes = {**own, **batch.nodes}
        self.context.start(plan)

    def _export_support(self, study: StudyPaths) -> tuple[Export, Export]:
        parameters = self.context.parameters
        stem = inputs_folder(study) / SUPPORT_FOLDER / safe_name(parameters.support_volume.GetName())
        grid = volume_from_node(parameters.support_volume, copy=False)
        strokes = export_scribbles(parameters.scribbles, grid, stem.with_name(f"{stem.name} scribbles.seg.nrrd"))
        return export_volume(parameters.support_volume, stem), strokes

    def mark_nodes(self, study: StudyPaths) -> None:
        """Note on the scene's volumes which cases they are, once the study has named them."""
        for case, source in read_case_volumes(study).items():
            node = next((node for file, node in self._nodes.items() if file.resolve() == source), None)
            if node is not None and node.GetScene() is not None:
                mark(node, study, case)

    def import_weights(self, coarse: Path, fine: Path) -> None:
        """Convert official checkpoints into weights next to the study."""
        study = self.context.require_study()
        output = inputs_folder(study) / IMPORTED_FOLDER
        arguments = import_weights(coarse, fine, output)
        use = functools.partial(self._batch.use_weights, output)
        self.context.start(
            RunPlan(title=_("Importing weights"), arguments=arguments, folder=output.parent, on_success=use)
        )

    @guarded
    def on_cancel(self) -> None:
        """Stop the run."""
        self.context.controller.cancel()
