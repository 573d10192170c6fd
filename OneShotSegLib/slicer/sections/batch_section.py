"""Batch: which CTs, where the results go, with which weights, on which device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.input_search import may_hold_cts
from OneShotSegLib.interface.jobs.inputs import Export, export_series, inputs_folder
from OneShotSegLib.interface.known_inputs import known_queries
from OneShotSegLib.slicer import dicom_database
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.devices import FALLBACK, Device
from OneShotSegLib.slicer.parameters import BatchSource
from OneShotSegLib.slicer.review.case_marks import LOADED_ATTRIBUTE
from OneShotSegLib.slicer.sections.context import PanelContext, guarded
from OneShotSegLib.slicer.sections.path_field import PathField
from OneShotSegLib.slicer.sections.scene_inputs import export_volumes
from OneShotSegLib.slicer.sections.weights import WeightsChoice
from OneShotSegLib.slicer.segment_editor import show_module
from OneShotSegLib.study.layout import StudyPaths


@dataclass(frozen=True)
class Batch:
    """What a run reads.

    Attributes:
        queries: Files and folders for the command line.
        exports: Files to be made first.
        nodes: File to the volume node it comes from.
        series: Series instance UIDs, for folders that hold several CT series.
    """

    queries: Sequence[Path]
    exports: Sequence[Export] = ()
    nodes: dict[Path, Any] = field(default_factory=dict)
    series: tuple[str, ...] = ()


class BatchSection:
    """The section's widgets."""

    def __init__(self, context: PanelContext, weights: WeightsChoice) -> None:
        self.context = context
        self._weights = weights
        self._filling = False
        self._support: Any = None
        self._on_import: Callable[[Path, Path], None] = lambda coarse, fine: None
        ui = context.ui
        ui.volumesList.connect("itemChanged(QListWidgetItem*)", self._on_volume_checked)
        self._batch_folder = PathField(ui.batchFolderEdit, functools.partial(self._set, "batch_folder"))
        self._study_folder = PathField(ui.studyFolderEdit, functools.partial(self._set, "study_folder"))
        ui.dicomButton.connect("clicked(bool)", self.on_open_dicom)
        ui.weightsBox.connect("activated(int)", self._on_weights)
        ui.deviceBox.connect("activated(int)", self._on_device)
        self._weights_menu = qt.QMenu(ui.weightsButton)
        self._weights_menu.addAction(_("Folder with weights…")).connect("triggered(bool)", self.on_add_weights)
        self._weights_menu.addAction(_("Official checkpoints (.tar)…")).connect(
            "triggered(bool)", self.on_import_weights
        )
        ui.weightsButton.setMenu(self._weights_menu)
        self.show_devices(FALLBACK)

    def connect_import(self, on_import: Callable[[Path, Path], None]) -> None:
        """Set what converts official checkpoints."""
        self._on_import = on_import

    def update(self) -> None:
        """Follow the parameter node."""
        ui, parameters = self.context.ui, self.context.parameters
        source = parameters.batch_source if parameters else BatchSource.SCENE
        self._batch_folder.show(parameters.batch_folder if parameters else "")
        self._study_folder.show(parameters.study_folder if parameters else "")
        ui.volumesList.setVisible(source is BatchSource.SCENE)
        ui.volumesLabel.setVisible(source is BatchSource.SCENE)
        ui.batchFolderRow.setVisible(source is BatchSource.FOLDER)
        ui.batchFolderLabel.setVisible(source is BatchSource.FOLDER)
        ui.dicomRow.setVisible(source is BatchSource.DICOM)
        ui.dicomRowLabel.setVisible(source is BatchSource.DICOM)
        if source is BatchSource.DICOM:
            self.update_dicom()
        self._fill_volumes()
        self._fill_weights()
        _select(ui.deviceBox, parameters.device if parameters else "auto")

    def update_dicom(self) -> None:
        """Show how many series are selected in the DICOM database."""
        series, others = dicom_database.selected_series()
        text = _("{count} CTs selected").format(count=len(series)) if series else _("No CT selected")
        if others:
            text += _(", {count} others left out").format(count=others)
        self.context.ui.dicomLabel.text = text

    def _fill_volumes(self) -> None:
        parameters = self.context.parameters
        chosen = {node.GetID() for node in parameters.batch_volumes if node is not None} if parameters else set()
        wanted = [(node.GetID(), node.GetName(), node.GetID() in chosen) for node in self._candidates()]
        # Filling a list that is right already would take the item away that was just clicked.
        if wanted == self._shown_volumes():
            return
        self._filling = True
        widget = self.context.ui.volumesList
        widget.clear()
        for node_id, name, checked in wanted:
            item = qt.QListWidgetItem(name)
            item.setData(qt.Qt.UserRole, node_id)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
            item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
            widget.addItem(item)
        self._filling = False

    def _shown_volumes(self) -> list[tuple[str, str, bool]]:
        widget = self.context.ui.volumesList
        items = [widget.item(number) for number in range(widget.count)]
        return [(item.data(qt.Qt.UserRole), item.text(), item.checkState() == qt.Qt.Checked) for item in items]

    def _candidates(self) -> Iterator[Any]:
        support = self.context.parameters.support_volume if self.context.parameters else None
        scene = slicer.mrmlScene
        for number in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
            node = scene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode")
            is_label = node.IsA("vtkMRMLLabelMapVolumeNode")
            is_support = support is not None and node.GetID() == support.GetID()
            if not is_label and not is_support and not node.GetAttribute(LOADED_ATTRIBUTE):
                yield node

    def _on_volume_checked(self, _item: Any) -> None:
        if self._filling or not self.context.parameters:
            return
        checked = [node_id for node_id, _name, is_checked in self._shown_volumes() if is_checked]
        nodes = [slicer.mrmlScene.GetNodeByID(node_id) for node_id in checked]
        self.context.parameters.batch_volumes = [node for node in nodes if node is not None]

    def choose_default(self) -> None:
        """Choose every CT of the scene but the support, once a support is chosen and no query is."""
        parameters = self.context.parameters
        support = parameters.support_volume if parameters else None
        if support is not None and support is not self._support and not parameters.batch_volumes:
            self._support = support
            parameters.batch_volumes = list(self._candidates())
        self._support = support

    def _set(self, parameter: str, path: str) -> None:
        if self.context.parameters:
            setattr(self.context.parameters, parameter, path)

    def lock(self, locked: bool) -> None:
        """Set whether a run uses what is chosen here: then it cannot be changed."""
        ui = self.context.ui
        for widget in (
            ui.batchSourceBox,
            ui.volumesList,
            ui.batchFolderEdit,
            ui.dicomButton,
            ui.studyFolderEdit,
            ui.weightsBox,
            ui.weightsButton,
            ui.deviceBox,
        ):
            widget.enabled = not locked

    @guarded
    def on_open_dicom(self) -> None:
        """Show the DICOM database."""
        show_module("DICOM")

    def show_devices(self, devices: Sequence[Device]) -> None:
        """Offer these devices."""
        box = self.context.ui.deviceBox
        box.clear()
        for device in devices:
            box.addItem(device.describe(), device.name)
        _select(box, self.context.parameters.device if self.context.parameters else "auto")

    def _on_device(self, _number: int) -> None:
        if self.context.parameters:
            self.context.parameters.device = self.context.ui.deviceBox.currentData

    def _fill_weights(self) -> None:
        box = self.context.ui.weightsBox
        box.clear()
        for label, value in self._weights.entries(self.context.study):
            box.addItem(label, value)
        _select(box, self.context.parameters.weights if self.context.parameters else "")

    def _on_weights(self, _number: int) -> None:
        if self.context.parameters:
            self.context.parameters.weights = self.context.ui.weightsBox.currentData

    @guarded
    def on_add_weights(self) -> None:
        """Ask for a folder with weights."""
        chosen = qt.QFileDialog.getExistingDirectory(self.context.ui.studyFolderEdit, _("Folder with weights"), "")
        if chosen:
            self.use_weights(Path(chosen))

    def use_weights(self, folder: Path) -> None:
        """Remember weights and choose them."""
        self._weights.remember(folder)
        self.context.parameters.weights = str(folder)
        self._fill_weights()

    @guarded
    def on_import_weights(self) -> None:
        """Ask for the official checkpoints."""
        parent = self.context.ui.studyFolderEdit
        coarse = qt.QFileDialog.getOpenFileName(parent, _("Coarse checkpoint"), "", "*.tar")
        fine = qt.QFileDialog.getOpenFileName(parent, _("Fine checkpoint"), "", "*.tar") if coarse else ""
        if coarse and fine:
            self._on_import(Path(coarse), Path(fine))

    def batch(self, study: StudyPaths) -> Batch:
        """What the run reads: what is chosen; if nothing is, the CTs of the study's cases.

        Raises:
            InputError: If there is nothing to read.
        """
        source = self.context.parameters.batch_source
        if source is BatchSource.SCENE:
            return self._from_scene(study)
        return self._from_folder() if source is BatchSource.FOLDER else self._from_dicom(study)

    def _from_scene(self, study: StudyPaths) -> Batch:
        nodes = [node for node in self.context.parameters.batch_volumes if node is not None]
        known = known_batch(study)
        if not nodes and known.queries:
            return known
        if not nodes:
            raise InputError(_("Choose at least one volume of the scene as a query."))
        exports = export_volumes(nodes, inputs_folder(study))
        files = [export.path for export in exports]
        return Batch(files, exports, dict(zip(files, nodes, strict=True)))

    def _from_folder(self) -> Batch:
        text = self.context.parameters.batch_folder.strip()
        if not text:
            raise InputError(_("Choose the folder with the CTs first."))
        folder = Path(text).expanduser()
        if not folder.is_dir() or not may_hold_cts(folder):
            raise InputError(_("{folder}: expected a folder with CTs, found none.").format(folder=folder))
        return Batch([folder])

    def _from_dicom(self, study: StudyPaths) -> Batch:
        series, others = dicom_database.selected_series()
        if not series:
            raise InputError(_("Select CT series in the DICOM database first: the button opens it."))
        if others:
            self.context.messages.log(_("{count} series that are no CTs are left out.").format(count=others))
        names = dicom_database.series_names(series)
        folder = inputs_folder(study)
        exports = [export_series(name, files, folder) for files, name in zip(series, names, strict=True)]
        return Batch([export.path for export in exports], exports)


def known_batch(study: StudyPaths) -> Batch:
    """The CTs of a study's cases; none of a folder that is no study yet."""
    queries, series = known_queries(study)
    return Batch(queries, series=series)


def _select(box: Any, value: str) -> None:
    """Select the entry with this value; one that is not offered is added, so that a saved choice is not lost."""
    number = box.findData(value)
    if number < 0:
        box.addItem(value, value)
        number = box.count - 1
    box.setCurrentIndex(number)
