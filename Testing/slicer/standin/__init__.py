"""A small stand-in for the Slicer application: real MRML and slicer.util (slicer-core), real Qt widgets (PySide6).

It has what the module uses and nothing more: Qt properties as attributes as PythonQt shows them, the few CTK and MRML
widgets of the .ui file, a parameter node wrapper, and an application object. There is no rendering.
"""

from standin.application import Application, start

__all__ = ["Application", "start"]
