"""The application object, the scene, and the modules that the module asks for."""

# ruff: noqa: N802, N815  (the names are Slicer's and Qt's)

from __future__ import annotations

import importlib.util
import os
import sys
import types
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from standin import pythonqt

LOGICS = {
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "terminologies": "vtkSlicerTerminologiesModuleLogic",
    "volumes": "vtkSlicerVolumesLogic",
}

ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class SlicerApplication(QtWidgets.QApplication):
    """slicer.app."""

    startupCompleted = QtCore.Signal()

    def testingEnabled(self) -> bool:
        return True


class Module:
    """slicer.modules.<name>, as far as a logic."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


class SliceWidget:
    """qMRMLSliceWidget, as far as its view."""

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        self._view = QtWidgets.QWidget(parent)
        self._view.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)  # as QVTKOpenGLNativeWidget has it

    def sliceView(self) -> Any:
        return self._view


class LayoutManager:
    """qSlicerLayoutManager, as far as the slice views."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._widgets: dict[str, SliceWidget] = {}

    def _logics(self) -> list[Any]:
        return [*self._application._slices, *self._application._more_slices.values()]

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(logic.GetSliceNode().GetLayoutName() for logic in self._logics())

    def sliceWidget(self, name: str) -> SliceWidget:
        return self._widgets.setdefault(name, SliceWidget(self._application.main_window))

    def mrmlSliceLogics(self) -> Any:
        found = vtk.vtkCollection()
        for logic in self._logics():
            found.AddItem(logic)
        return found


class Application:
    """The running stand-in.

    Attributes:
        scene: slicer.mrmlScene.
        selected: The modules that were asked to be shown, in order.
    """

    def __init__(self) -> None:
        pythonqt.make_like_pythonqt()
        pythonqt._connect_by_signature(SlicerApplication)
        self.qt = QtWidgets.QApplication.instance() or SlicerApplication([])
        self.scene = slicer.vtkMRMLScene()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene)
        self.selected: list[str] = []
        self.main_window = QtWidgets.QWidget()
        self._segment_editor: Any = None
        self.samples: list[dict[str, Any]] = []
        slicer.app, slicer.mrmlScene = self.qt, self.scene
        slicer.modules, slicer.selfTests = types.SimpleNamespace(), {}
        for name, class_name in LOGICS.items():
            logic = getattr(slicer, class_name)()
            if name == "terminologies":
                logic.SetModuleShareDirectory(str(Path(__file__).with_name("terminologies")))
            logic.SetMRMLScene(self.scene)
            setattr(slicer.modules, name, Module(logic))
        self._slices = [self._slice_logic(name) for name in ORIENTATIONS]
        self._more_slices: dict[str, Any] = {}
        self._layout = slicer.vtkMRMLLayoutLogic()
        self._layout.SetMRMLScene(self.scene)
        self._layout.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self._layout.GetLayoutNode().AddObserver("ModifiedEvent", lambda caller, event: self._follow_layout())
        self.layouts = LayoutManager(self)
        self.qt.layoutManager = lambda: self.layouts
        self._install_python()

    def _slice_logic(self, name: str) -> Any:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(self.scene)
        logic.AddSliceNode(name).SetOrientation(ORIENTATIONS[name])
        return logic

    def _follow_layout(self) -> None:
        """Have a logic for each slice view of a layout, as Slicer's layout manager does at once."""
        for number in range(self.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
            node = self.scene.GetNthNodeByClass(number, "vtkMRMLSliceNode")
            known = {*self._more_slices, *(logic.GetSliceNode().GetName() for logic in self._slices)}
            if node.GetLayoutName() not in known:
                logic = self._more_slices[node.GetLayoutName()] = slicer.vtkMRMLSliceLogic()
                logic.SetMRMLScene(self.scene)
                logic.SetSliceNode(node)

    def _install_python(self) -> None:
        # Only now: these want slicer.app and the qt module.
        from standin import parameters, scripted, widgets

        sys.modules["qt"].QUiLoader = widgets.UiLoader  # type: ignore[attr-defined]
        i18n = types.ModuleType("slicer.i18n")
        i18n.tr = lambda text: text  # type: ignore[attr-defined]
        i18n.translate = lambda context, text: text  # type: ignore[attr-defined]
        sample_data = types.ModuleType("SampleData")
        sample_data.SampleDataLogic = types.SimpleNamespace(  # type: ignore[attr-defined]
            registerCustomSampleDataSource=lambda **source: self.samples.append(source)
        )
        modules = {
            "slicer.i18n": i18n,
            "slicer.parameterNodeWrapper": parameters.build_module(),
            "slicer.ScriptedLoadableModule": scripted,
            "SampleData": sample_data,
        }
        for name, module in modules.items():
            sys.modules[name] = module
            setattr(slicer, name.rpartition(".")[2], module)
        self._replace_util()

    def _replace_util(self) -> None:
        util = slicer.util
        util.loadUI = self._load_ui
        util.childWidgetVariables = _children_by_name
        util.mainWindow = lambda: self.main_window
        util.selectModule = self._select_module
        slicer.qMRMLSegmentEditorWidget = sys.modules["standin.widgets"].SegmentEditorWidget  # type: ignore[attr-defined]
        util.WaitCursor = _NoCursor
        util.loadSegmentation = self._load_segmentation

    def _select_module(self, name: str) -> None:
        """Show a module: the Segment Editor's widget is made when the module is first shown."""
        self.selected.append(name)
        if name == "SegmentEditor" and self._segment_editor is None:
            node = self.scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
            if node is None:
                node = slicer.vtkMRMLSegmentEditorNode()
                node.SetSingletonTag("SegmentEditor")
                node = self.scene.AddNode(node)
            self._segment_editor = slicer.qMRMLSegmentEditorWidget()
            self._segment_editor.setMRMLSegmentEditorNode(node)
            self._segment_editor.setMRMLScene(self.scene)

    def import_scene(self, add: Callable[[], Any]) -> Any:
        """Add nodes as the import of a scene does: the scene is batch processing meanwhile."""
        self.scene.StartState(self.scene.ImportState)
        try:
            return add()
        finally:
            self.scene.EndState(self.scene.ImportState)

    def unsaved(self) -> list[str]:
        """The names of the nodes that Slicer offers to save, ticked, when it is closed."""
        nodes = vtk.vtkCollection()
        self.scene.GetStorableNodesModifiedSinceRead(nodes)
        found = [nodes.GetItemAsObject(number) for number in range(nodes.GetNumberOfItems())]
        return [node.GetName() for node in found if node.GetSaveWithScene()]

    @staticmethod
    def _load_ui(path: str) -> Any:
        file = QtCore.QFile(str(path))
        file.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        return sys.modules["qt"].QUiLoader().load(file)  # type: ignore[attr-defined]

    def _load_segmentation(self, path: str) -> Any:
        node = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", Path(path).name)
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(path)
        if not node.GetStorageNode().ReadData(node):
            raise RuntimeError(f"could not read {path}")
        return node

    def load_module(self, path: Path) -> types.ModuleType:
        """Import a scripted module's file."""
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module

    def process_events(self) -> None:
        """One round of the event loop."""
        self.qt.processEvents()


class _NoCursor:
    def __init__(self, *_arguments: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: Any) -> None:
        pass


def _children_by_name(widget: Any) -> types.SimpleNamespace:
    children = widget.findChildren(QtWidgets.QWidget)
    return types.SimpleNamespace(**{c.objectName(): c for c in children if c.objectName()})


_started: list[Application] = []


def start() -> Application:
    """The application, started at the first call."""
    if not _started:
        unittest.TestCase.maxDiff = None
        _started.append(Application())
    return _started[0]
