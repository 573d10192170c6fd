"""The CTK and MRML widgets of the .ui file, and its loader."""

# ruff: noqa: N802, N815  (the names are Slicer's and Qt's)

from __future__ import annotations

import weakref
from typing import Any

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from standin.pythonqt import _connect_by_signature

SCENE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent")


class CollapsibleButton(QtWidgets.QWidget):
    """ctkCollapsibleButton: a title that hides what is below it; what was hidden before stays so, as in CTK."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._collapsed = self._forcing = False
        self._height = self.fontMetrics().height() + 10
        self.setContentsMargins(0, self._height, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Maximum)

    def _get_text(self) -> str:
        return self._text

    def _set_text(self, text: str) -> None:
        self._text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setMaximumHeight(self._height if collapsed else 16777215)
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            self._follow(child)

    def _follow(self, child: Any) -> None:
        """Show or hide a child as the button and the child's own wish have it."""
        wished = child.property("visibilityToParent")
        self._forcing = True
        child.setVisible(not self._collapsed and wished is not False)
        if wished is not False:
            child.setAttribute(QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Note what others wish for a child."""
        if not self._forcing and event.type() == QtCore.QEvent.Type.ShowToParent:
            child.setProperty("visibilityToParent", True)
            if self._collapsed:
                self._follow(child)
        elif not self._forcing and event.type() == QtCore.QEvent.Type.HideToParent:
            child.setProperty("visibilityToParent", False)
        return False

    text = QtCore.Property(str, _get_text, _set_text)
    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        if event.type() == QtCore.QEvent.Type.ChildAdded and isinstance(event.child(), QtWidgets.QWidget):
            event.child().installEventFilter(self)
            if self._collapsed:
                self._follow(event.child())

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        area = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self) - 1, self._height - 1)
        painter.setPen(self.palette().mid().color())
        painter.setBrush(self.palette().button())
        painter.drawRoundedRect(area, 3, 3)
        painter.setPen(self.palette().buttonText().color())
        text = ("▸ " if self._collapsed else "▾ ") + self._text
        painter.drawText(area.adjusted(8, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, text)


class MRMLWidget(QtWidgets.QWidget):
    """qMRMLWidget: hands the scene to its children."""

    mrmlSceneChanged = QtCore.Signal(object)

    def setMRMLScene(self, scene: Any) -> None:
        for child in self.findChildren(NodeComboBox):
            child.setMRMLScene(scene)


def _refresh_if_there(box: Any) -> None:
    """Python may keep a box that Qt has deleted with its window."""
    if box is not None and shiboken6.isValid(box):
        box._refresh()


class NodeComboBox(QtWidgets.QWidget):
    """qMRMLNodeComboBox: a node of the scene by name."""

    currentNodeChanged = QtCore.Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.nodeTypes: list[str] = []
        self._scene: Any = None
        self._nodes: list[Any] = []
        self._box = QtWidgets.QComboBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.activated.connect(lambda number: self._choose(self._nodes[number]))
        self._node: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        box = weakref.ref(self)
        for name in SCENE_EVENTS:
            scene.AddObserver(getattr(scene, name), lambda caller, event: _refresh_if_there(box()))
        self._refresh()

    def _refresh(self) -> None:
        if self._scene.IsBatchProcessing():
            return
        count = self._scene.GetNumberOfNodes()
        every = [self._scene.GetNthNode(number) for number in range(count)]
        self._nodes = [None, *(node for node in every if node.GetClassName() in self.nodeTypes)]
        self._box.clear()
        self._box.addItems([node.GetName() if node else "None" for node in self._nodes])
        self._choose(self._node if any(node is self._node for node in self._nodes) else None)

    def _choose(self, node: Any) -> None:
        self._box.setCurrentIndex(next((n for n, other in enumerate(self._nodes) if other is node), 0))
        if node is not self._node:
            self._node = node
            self.currentNodeChanged.emit(node)

    def currentNode(self) -> Any:
        return self._node

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and not any(node is other for other in self._nodes):
            self._refresh()
        self._choose(node)


class PathLineEdit(QtWidgets.QWidget):
    """ctkPathLineEdit: a path and a button; it says at every letter that its path changed."""

    currentPathChanged = QtCore.Signal(str)
    Dirs = 1

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.history: list[str] = []
        self._box = QtWidgets.QComboBox(self)
        self._box.setEditable(True)
        self._box.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        self._box.lineEdit().textChanged.connect(self.currentPathChanged.emit)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        layout.addWidget(QtWidgets.QToolButton(self))

    def comboBox(self) -> Any:
        return self._box

    def setCurrentPath(self, path: str) -> None:
        self._box.lineEdit().setText(path)

    def addCurrentPathToHistory(self) -> None:
        self.history.append(self.currentPath)

    currentPath = property(lambda self: self._box.lineEdit().text, setCurrentPath)


class SegmentEditorWidget(QtWidgets.QWidget):
    """qMRMLSegmentEditorWidget, as far as it follows its node.

    A segmentation that is new to it gets its first segment selected, whatever was selected in the node before.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._tag = 0
        self._scene: Any = None
        self._segmentation: Any = None
        self.effects: tuple[str, ...] = ()
        self.others_visible = True
        self.shortcuts: list[Any] = []
        self._list = QtWidgets.QListWidget(self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._list)

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        if node is self._node:
            return
        if self._node is not None:
            self._node.RemoveObserver(self._tag)
        self._node = node
        if node is not None:
            this = weakref.ref(self)
            self._tag = node.AddObserver(
                "ModifiedEvent", lambda caller, event: this() and this().updateWidgetFromMRML()
            )
            self.updateWidgetFromMRML()

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.updateWidgetFromMRML()

    def updateWidgetFromMRML(self) -> None:
        if self._scene is None or self._scene.IsClosing() or self._scene.IsBatchProcessing() or self._node is None:
            return
        segmentation = self._node.GetSegmentationNode()
        if segmentation is not self._segmentation:
            self._segmentation = segmentation
            if segmentation is not None and segmentation.GetSegmentation().GetNumberOfSegments():
                self._node.SetSelectedSegmentID(segmentation.GetSegmentation().GetNthSegmentID(0))
        self._fill()

    def _fill(self) -> None:
        self._list.clear()
        segmentation = self._segmentation.GetSegmentation() if self._segmentation else None
        for number in range(segmentation.GetNumberOfSegments() if segmentation else 0):
            segment = segmentation.GetNthSegment(number)
            swatch = QtGui.QPixmap(16, 16)
            swatch.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._list.addItem(QtWidgets.QListWidgetItem(QtGui.QIcon(swatch), segment.GetName()))

    def setSegmentationNode(self, node: Any) -> None:
        if self._node is not None and self._node.GetSegmentationNode() is not node:
            self._node.SetAndObserveSegmentationNode(node)
            self.setActiveEffectByName("")

    def setSourceVolumeNode(self, node: Any) -> None:
        self._node.SetAndObserveSourceVolumeNode(node)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._node.SetSelectedSegmentID(segment_id)

    def setActiveEffectByName(self, name: str) -> None:
        if self._node is not None:
            self._node.SetActiveEffectName(name)

    def setEffectNameOrder(self, names: Any) -> None:
        self.effects = tuple(names)

    def setUnorderedEffectsVisible(self, visible: bool) -> None:
        self.others_visible = visible

    def installKeyboardShortcuts(self, parent: Any = None) -> None:
        self.uninstallKeyboardShortcuts()
        for key in ("1", "2", "3", "Space", "Esc", "Z", "Y", "Q", "W", "I"):
            self.shortcuts.append(QtGui.QShortcut(QtGui.QKeySequence(key), parent or slicer.util.mainWindow()))

    def uninstallKeyboardShortcuts(self) -> None:
        for shortcut in self.shortcuts:
            shortcut.setParent(None)
        self.shortcuts.clear()

    def removeViewObservations(self) -> None:
        pass

    def undo(self) -> None:
        self.undone = getattr(self, "undone", 0) + 1

    def _nothing(self, _value: Any) -> None:
        pass

    setMaximumNumberOfUndoStates = setMaskingSectionVisible = _nothing
    setSegmentationNodeSelectorVisible = setSourceVolumeNodeSelectorVisible = _nothing
    setSwitchToSegmentationsButtonVisible = setAutoShowSourceVolumeNode = _nothing


_connect_by_signature(PathLineEdit)

CLASSES = {
    "ctkCollapsibleButton": CollapsibleButton,
    "qMRMLWidget": MRMLWidget,
    "qMRMLNodeComboBox": NodeComboBox,
    "ctkPathLineEdit": PathLineEdit,
}


class UiLoader(QtUiTools.QUiLoader):
    """qt.QUiLoader: makes the widgets above, and sets the types of the node boxes."""

    def createWidget(self, name: str, parent: Any = None, object_name: str = "") -> Any:
        if name not in CLASSES:
            return super().createWidget(name, parent, object_name)
        widget = CLASSES[name](parent)
        widget.setObjectName(object_name)
        return widget

    def load(self, file: Any, parent: Any = None) -> Any:
        widget = super().load(file, parent)
        for box in widget.findChildren(NodeComboBox):
            box.nodeTypes = list(box.property("nodeTypes") or [])
        return widget
