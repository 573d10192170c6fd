"""OneShotSeg: scribble one CT, get the same structures segmented in a whole batch of CTs.

This file is what Slicer loads; what it does lies in OneShotSegLib/slicer, one concern per file.
"""

import sys
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# Installed, OneShotSegLib lies next to this file; in a source checkout it lies one folder up.
_here = Path(__file__).resolve().parent
if not (_here / "OneShotSegLib").is_dir() and str(_here.parent) not in sys.path:
    sys.path.append(str(_here.parent))


class OneShotSeg(ScriptedLoadableModule):
    """Title, help, and the phantoms in Sample Data."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("OneShotSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["SegmentEditor", "Segmentations", "Terminologies", "SampleData"]
        self.parent.contributors = ["The OneShotSeg developers"]
        self.parent.helpText = _(
            "Paint a few strokes on each structure of one CT and on its background, press Propagate, and review "
            "what was found in every other CT of the batch, the doubtful cases first."
        )
        self.parent.acknowledgementText = _(
            'The method is that of Lei et al., "One-shot Weakly-Supervised Segmentation in 3D Medical Images", '
            "IEEE Transactions on Medical Imaging, 2024."
        )
        slicer.app.connect("startupCompleted()", self.registerSampleData)

    def registerSampleData(self):
        from OneShotSegLib.slicer.sample_data import register

        register(Path(self.resourcePath("Icons")))


class OneShotSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Follows the scene and the parameter node; the panel does the rest."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._guiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/OneShotSeg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        from OneShotSegLib.slicer.panel import Panel

        self.logic = OneShotSegLogic()
        self.panel = Panel(self.ui, self.logic.dependencies(), slicer.util.mainWindow() or self.parent)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        for event in (slicer.mrmlScene.NodeAddedEvent, slicer.mrmlScene.NodeRemovedEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodesChanged)
        self.initializeParameterNode()

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()
        if self.panel:
            self.panel.close()
            self.panel = None

    def enter(self):
        self.initializeParameterNode()
        self.panel.enter()

    def exit(self):
        self.panel.leave()

    def onSceneStartClose(self, caller, event):
        self.panel.close_scene()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event):
        # An imported scene may have brought another parameter node, and nodes of which nothing was said meanwhile.
        if self.parent.isEntered:
            self.initializeParameterNode()
        self.panel.update_soon()

    def onNodesChanged(self, caller, event):
        if not slicer.mrmlScene.IsBatchProcessing() and not slicer.mrmlScene.IsClosing():
            self.panel.update_soon()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameters)
        self._parameterNode = parameterNode
        if parameterNode:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameters)
            self.panel.set_parameters(parameterNode)

    def onParameters(self, caller=None, event=None):
        if self._parameterNode:
            self.panel.update()

    def onReload(self):
        self.logic.forgetLibrary()
        ScriptedLoadableModuleWidget.onReload(self)


class OneShotSegLogic(ScriptedLoadableModuleLogic):
    """What scripts can use without the panel."""

    def getParameterNode(self):
        from OneShotSegLib.slicer.parameters import OneShotSegParameterNode

        return OneShotSegParameterNode(super().getParameterNode())

    def dependencies(self):
        """Which Python the computation runs in, and what it lacks; nothing is installed into Slicer's own."""
        import qt

        from OneShotSegLib.slicer.jobs.dependencies import Dependencies

        return Dependencies(qt.QSettings())

    def checkSupport(self, supportVolume, scribbles):
        """Sentences on what is missing in the scribbles; none if they can be propagated."""
        from OneShotSegLib.slicer.mrml.support import check_support

        return [finding.text for finding in check_support(supportVolume, scribbles)]

    @staticmethod
    def forgetLibrary():
        """Have OneShotSegLib reloaded at the next import; for developers who press Reload."""
        for name in [name for name in sys.modules if name.split(".")[0] == "OneShotSegLib"]:
            del sys.modules[name]


class OneShotSegTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer: Slicer --testing --no-splash --no-main-window --additional-module-paths .../OneShotSeg"""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        from OneShotSegLib.slicer import self_tests

        for check in self_tests.ALL:
            self.setUp()
            self.delayDisplay(check.__name__.replace("_", " "))
            check()
        self.delayDisplay("All tests passed")
