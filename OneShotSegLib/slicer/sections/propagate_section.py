"""Propagate: the run, its progress, its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import stem_of
from OneShotSegLib.slicer.cases import mark
from OneShotSegLib.slicer.commands import Propagation, SupportFiles, import_weights
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.inputs import Export, export_scribbles, export_volume
from OneShotSegLib.slicer.progress import RunProgress
from OneShotSegLib.slicer.runs import RunPlan, RunState
from OneShotSegLib.slicer.sections.batch_section import BatchSection
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.support_section import SupportSection
from OneShotSegLib.slicer.supports import StudyInputs, strokes_of_case
from OneShotSegLib.slicer.volumes import volume_from_node
from OneShotSegLib.slicer.weights import IMPORTED_FOLDER
from OneShotSegLib.study.layout import StudyPaths, safe_name

STEPS = 1000


class PropagateSection:
    """The section's buttons and bars."""

    def __init__(self, context: PanelContext, support: SupportSection, batch: BatchSection) -> None:
        self.context = context
        self._support = support
        self._batch = batch
        self.volumes: dict[str, Path] = {}
        ui = context.ui
        ui.propagateButton.connect("clicked(bool)", self.on_propagate)
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
        """Propagate the support's scribbles to the batch."""
        study = self.context.require_study()
        if not self._support.check():
            raise InputError(_("The scribbles are not ready: see the list under Support."))
        batch = self._batch.batch(study)
        inputs = StudyInputs(study)
        files, exports = self._export_support(inputs)
        inputs.set_first(files)
        inputs.queries = list(batch.queries)
        self._remember(inputs)
        if self._start(study, inputs, (*exports, *batch.exports)):
            self.volumes.update(batch.volumes)
            for case, node in batch.nodes.items():
                mark(node, study, case)

    def _export_support(self, inputs: StudyInputs) -> tuple[SupportFiles, Sequence[Export]]:
        parameters = self.context.parameters
        ct, scribbles = parameters.support_volume, parameters.scribbles
        stem = inputs.support_folder / safe_name(ct.GetName())
        volume = export_volume(ct, stem)
        grid = volume_from_node(ct, copy=False)
        strokes = export_scribbles(scribbles, grid, stem.with_name(f"{stem.name} scribbles.seg.nrrd"))
        return SupportFiles(volume.path, strokes.path), (volume, strokes)

    @staticmethod
    def _remember(inputs: StudyInputs) -> None:
        try:
            inputs.save()
        except OSError as error:
            text = _("{path}: the study folder cannot be written: {reason}.")
            raise InputError(text.format(path=inputs.study.root, reason=error.strerror or error)) from error

    def _start(
        self, study: StudyPaths, inputs: StudyInputs, exports: Sequence[Export], again: Sequence[str] = ()
    ) -> bool:
        parameters = self.context.parameters
        command = Propagation(
            study.root, inputs.supports, inputs.queries, parameters.weights, parameters.device, tuple(again)
        )
        return self.context.start(RunPlan(_("Propagating"), command.arguments(), study.root, exports))

    def propagate_again(self, case: str, mask: Path, volumes: dict[str, Path], open_cases: Sequence[str]) -> None:
        """Make a corrected case a further support and propagate again to the cases that are not accepted.

        Raises:
            InputError: If the study does not know its first support any more, or the case's CT is missing.
        """
        study = self.context.require_study()
        inputs = StudyInputs(study)
        if not inputs.supports or not inputs.queries:
            raise InputError(_("This study was not made with this panel: its support and queries are not known."))
        ct = volumes.get(case)
        if ct is None:
            raise InputError(_("{case}: the study does not say where its CT is.").format(case=case))
        target = inputs.support_folder / f"{stem_of(mask.parent)} scribbles.seg.nrrd"
        inputs.add(SupportFiles(ct, target))
        self._remember(inputs)
        strokes = Export(target, lambda: lambda: strokes_of_case(mask, ct, target))
        self._start(study, inputs, (strokes,), [name for name in open_cases if name != case])

    def import_weights(self, coarse: Path, fine: Path) -> None:
        """Convert official checkpoints into weights next to the study."""
        study = self.context.require_study()
        output = study.root / IMPORTED_FOLDER
        self.context.start(RunPlan(_("Importing weights"), import_weights(coarse, fine, output), study.root))

    @guarded
    def on_cancel(self) -> None:
        """Stop the run."""
        self.context.controller.cancel()
