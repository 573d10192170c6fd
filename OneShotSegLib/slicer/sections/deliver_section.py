"""Deliver: apply the trained network, export what was reviewed, open the report."""

from __future__ import annotations

import functools
from pathlib import Path

import qt

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.exports import ExportFormat, plan_export
from OneShotSegLib.interface.jobs.commands import report, segment
from OneShotSegLib.interface.jobs.inputs import inputs_folder
from OneShotSegLib.interface.jobs.runs import RunPlan, RunState
from OneShotSegLib.runner.request import SegmentationRequest
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.sections.batch_section import BatchSection
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.train_section import MODEL_FOLDER
from OneShotSegLib.study.layout import StudyPaths

SEGMENTED_SUFFIX = "-segmented"


class DeliverSection:
    """The section's buttons."""

    def __init__(self, context: PanelContext, batch: BatchSection) -> None:
        self.context = context
        self._batch = batch
        ui = context.ui
        for format_ in ExportFormat:
            ui.exportFormatBox.addItem(format_.label(), format_.value)
        ui.applyNetworkButton.connect("clicked(bool)", self.on_apply_network)
        ui.exportButton.connect("clicked(bool)", self.on_export)
        ui.reportButton.connect("clicked(bool)", self.on_report)

    def show_state(self, state: RunState) -> None:
        """Enable what can be done now."""
        ui = self.context.ui
        for button in (ui.applyNetworkButton, ui.exportButton, ui.reportButton):
            button.enabled = state is RunState.IDLE

    def _reviewed_study(self) -> StudyPaths:
        study = self.context.require_study()
        if not study.cases_folder.is_dir():
            raise InputError(_("There is nothing to deliver yet: propagate and review first."))
        return study

    @guarded
    def on_apply_network(self) -> None:
        """Segment the batch with the network that was trained on this study."""
        study = self.context.require_study()
        model = inputs_folder(study) / MODEL_FOLDER
        if not model.is_dir():
            raise InputError(_("There is no network yet: train the segmentation network first."))
        batch = self._batch.batch(study)
        output = study.root.with_name(study.root.name + SEGMENTED_SUFFIX)
        request = SegmentationRequest(
            model=model, volumes=batch.queries, output=output, device=self.context.parameters.device
        )
        self.context.start(
            RunPlan(
                title=_("Applying the trained network"),
                arguments=segment(request),
                folder=output,
                exports=batch.exports,
                on_success=functools.partial(self._review, output),
            )
        )

    def _review(self, output: Path) -> None:
        self.context.parameters.study_folder = str(output)
        text = _("The network's results are open for review; they are a study of their own: {folder}")
        self.context.messages.success(text.format(folder=output))

    @guarded
    def on_export(self) -> None:
        """Ask where, then export."""
        study = self._reviewed_study()
        format_ = ExportFormat(self.context.ui.exportFormatBox.currentData)
        parent = self.context.ui.exportButton
        chosen = qt.QFileDialog.getExistingDirectory(parent, _("Where to write it"), str(study.root.parent))
        if not chosen:
            return
        accepted_only = bool(self.context.ui.acceptedOnlyBox.checked)
        arguments, target = plan_export(study, format_, Path(chosen), accepted_only)
        self.context.start(
            RunPlan(
                title=_("Exporting {format}").format(format=format_.label()),
                arguments=arguments,
                folder=Path(chosen),
                on_success=functools.partial(self._exported, target),
            )
        )

    def _exported(self, target: Path) -> None:
        self.context.messages.success(_("Exported: {path}").format(path=target))

    @guarded
    def on_report(self) -> None:
        """Write the report anew and open it."""
        study = self._reviewed_study()
        self.context.start(
            RunPlan(
                title=_("Writing the report"),
                arguments=report(study.root),
                folder=study.root,
                on_success=functools.partial(self._open, study.report),
            )
        )

    def _open(self, path: Path) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
