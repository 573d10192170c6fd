"""Train: PRNet on this batch, and the segmentation network on what was reviewed."""

from __future__ import annotations

import functools
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.case_files import read_case_volumes
from OneShotSegLib.interface.jobs.commands import train_prnet, train_segmentation
from OneShotSegLib.interface.jobs.inputs import Export, inputs_folder
from OneShotSegLib.interface.jobs.runs import RunPlan, RunState
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.sections.batch_section import BatchSection
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.weights import trained_weights
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.segmentation.request import SegmentationTrainingRequest

MODEL_FOLDER = "model"
SMALL_BATCH = 10
"""Volumes below which only one is held out to measure the error."""


class TrainSection:
    """The section's buttons."""

    def __init__(self, context: PanelContext, batch: BatchSection) -> None:
        self.context = context
        self._batch = batch
        context.ui.trainPrnetButton.connect("clicked(bool)", self.on_train_prnet)
        context.ui.trainSegmentationButton.connect("clicked(bool)", self.on_train_segmentation)

    def show_state(self, state: RunState) -> None:
        """Enable what can be done now."""
        for button in (self.context.ui.trainPrnetButton, self.context.ui.trainSegmentationButton):
            button.enabled = state is RunState.IDLE

    @guarded
    def on_train_prnet(self) -> None:
        """Train PRNet, self-supervised, on the CTs of the batch."""
        study = self.context.require_study()
        known = list(read_case_volumes(study).values())
        volumes, exports = (known, ()) if known else self._from_batch()
        output = trained_weights(study)
        request = PRNetTrainingRequest(
            volumes=volumes,
            output=output,
            hold_out=1 if 1 < len(volumes) < SMALL_BATCH else None,
            device=self.context.parameters.device,
        )
        use = functools.partial(self._batch.use_weights, output)
        self.context.start(
            RunPlan(
                title=_("Training PRNet on this batch"),
                arguments=train_prnet(request),
                folder=output.parent,
                exports=exports,
                on_success=use,
            )
        )

    def _from_batch(self) -> tuple[list[Path], tuple[Export, ...]]:
        batch = self._batch.batch(self.context.require_study())
        return list(batch.queries), tuple(batch.exports)

    @guarded
    def on_train_segmentation(self) -> None:
        """Train the segmentation network on what was not rejected."""
        study = self.context.require_study()
        if not study.cases_folder.is_dir():
            raise InputError(_("There is nothing to train on yet: propagate and review first."))
        output = inputs_folder(study) / MODEL_FOLDER
        request = SegmentationTrainingRequest(study=study.root, output=output, device=self.context.parameters.device)
        arguments = train_segmentation(request)
        self.context.start(
            RunPlan(title=_("Training the segmentation network"), arguments=arguments, folder=output.parent)
        )
