"""slicer.ScriptedLoadableModule: the base classes of a module."""

# ruff: noqa: N802  (the names are Slicer's and Qt's)

from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtWidgets


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / name)


class ScriptedLoadableModuleWidget:
    path = ""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent
        self.layout = QtWidgets.QWidget.layout(parent)

    def setup(self) -> None:
        pass

    def resourcePath(self, name: str) -> str:
        return str(Path(self.path).parent / "Resources" / name)

    def onReload(self) -> None:
        pass


class ScriptedLoadableModuleLogic:
    def __init__(self) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str) -> None:
        print(message)

    def runTest(self) -> None:
        pass
