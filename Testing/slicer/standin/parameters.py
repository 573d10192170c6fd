"""slicer.parameterNodeWrapper for the types that the module's parameters have; kept in the scene's own node."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from typing import Any

import vtk
from PySide6 import QtWidgets

from standin.widgets import NodeComboBox

BINDING = "SlicerParameterName"


def parameter_node_wrapper(cls: type) -> type:
    """Give a class typed properties that live in a vtkMRMLScriptedModuleNode."""
    hints = typing.get_type_hints(cls)
    for name, kind in hints.items():
        setattr(cls, name, _property(name, kind, getattr(cls, name, None)))
    cls.allParameters = hints  # type: ignore[attr-defined]
    for function in (__init__, connectGui, disconnectGui, AddObserver, RemoveObserver):
        setattr(cls, function.__name__, function)
    return cls


def _property(name: str, kind: Any, default: Any) -> property:
    if typing.get_origin(kind) is list:
        return property(lambda self: _read_nodes(self, name), lambda self, value: _write_nodes(self, name, value))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return property(
            lambda self: kind(self.parameterNode.GetParameter(name) or default.value),
            lambda self, value: self.parameterNode.SetParameter(name, value.value),
        )
    if kind is str:
        return property(
            lambda self: self.parameterNode.GetParameter(name) or default,
            lambda self, value: self.parameterNode.SetParameter(name, value),
        )
    return property(
        lambda self: self.parameterNode.GetNodeReference(name),
        lambda self, value: self.parameterNode.SetNodeReferenceID(name, value.GetID() if value else None),
    )


def _read_nodes(self: Any, name: str) -> list[Any]:
    count = self.parameterNode.GetNumberOfNodeReferences(name)
    return [self.parameterNode.GetNthNodeReference(name, number) for number in range(count)]


def _write_nodes(self: Any, name: str, nodes: list[Any]) -> None:
    was = self.parameterNode.StartModify()
    self.parameterNode.RemoveNodeReferenceIDs(name)
    for node in nodes:
        self.parameterNode.AddNodeReferenceID(name, node.GetID())
    self.parameterNode.Modified()
    self.parameterNode.EndModify(was)


def __init__(self: Any, node: Any) -> None:  # noqa: N807
    self.parameterNode = node
    self._links: dict[int, Any] = {}


def AddObserver(self: Any, event: Any, callback: Any, priority: float = 0.0) -> int:  # noqa: N802
    return self.parameterNode.AddObserver(event, callback, priority)


def RemoveObserver(self: Any, tag: int) -> None:  # noqa: N802
    self.parameterNode.RemoveObserver(tag)


def connectGui(self: Any, ui: Any) -> int:  # noqa: N802
    """Bind every widget that names a parameter; a name that is no parameter is an error."""
    pairs = []
    for widget in vars(ui).values():
        name = widget.property(BINDING) if hasattr(widget, "property") else None
        if name:
            if name not in self.allParameters:
                raise ValueError(f"{widget.objectName()} is bound to {name}, which is no parameter")
            pairs.append((name, _Link(self, name, widget, self.allParameters[name])))

    def show(caller: Any = None, event: Any = None) -> None:
        for name, link in pairs:
            link.show(getattr(self, name))

    show()
    tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, show)
    self._links[tag] = pairs
    return tag


def disconnectGui(self: Any, tag: int) -> None:  # noqa: N802
    for _name, link in self._links.pop(tag, []):
        link.active = False
    self.RemoveObserver(tag)


class _Link:
    """One widget and one parameter."""

    def __init__(self, owner: Any, name: str, widget: Any, kind: Any) -> None:
        self.active = True
        self._widget, self._kind = widget, kind
        self._choices = list(kind) if isinstance(kind, type) and issubclass(kind, enum.Enum) else []

        def changed(value: Any) -> None:
            if self.active:
                setattr(owner, name, value)

        self.show: Callable[[Any], None] = self._bind(changed)

    def _bind(self, changed: Callable[[Any], None]) -> Callable[[Any], None]:
        widget = self._widget
        if isinstance(widget, NodeComboBox):
            widget.currentNodeChanged.connect(changed)
            return widget.setCurrentNode
        if isinstance(widget, QtWidgets.QLineEdit):
            widget.textChanged.connect(changed)
            return lambda text: None if widget.text == text else widget.setText(text)
        if self._choices:
            widget.clear()
            widget.addItems([choice.label() for choice in self._choices])
            widget.currentIndexChanged.connect(lambda number: changed(self._choices[number]))
            return lambda value: widget.setCurrentIndex(self._choices.index(value))
        raise TypeError(f"{widget.objectName()} cannot be bound to {self._kind}")


def build_module() -> types.ModuleType:
    """The module ``slicer.parameterNodeWrapper``."""
    module = types.ModuleType("slicer.parameterNodeWrapper")
    module.parameterNodeWrapper = parameter_node_wrapper  # type: ignore[attr-defined]
    return module
