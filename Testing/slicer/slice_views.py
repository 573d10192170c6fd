"""Slice views of a scene as pictures: Slicer's own displayable managers, with VTK off screen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

# No window is shown: without a screen VTK needs EGL.
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from slicer_core import MRMLDisplayableManager, vtkSlicerSegmentationsModuleMRMLDisplayableManager
from vtk.util import numpy_support

MANAGERS = ("vtkMRMLRulerDisplayableManager",)
BAR_COLORS = {
    **{"Red": (242, 114, 88), "Green": (105, 193, 118), "Yellow": (237, 213, 76)},
    **{"Red+": (249, 169, 159), "Green+": (198, 224, 184), "Yellow+": (246, 233, 162)},
}
BAR_PIXELS = 14
ZOOM = 0.8
assert vtkSlicerSegmentationsModuleMRMLDisplayableManager  # its import makes VTK know the class


class SliceView:
    """One slice view.

    Args:
        logic: The vtkMRMLSliceLogic of its slice node.
        size: Width and height in pixels, its bar included.
    """

    def __init__(self, logic: Any, size: tuple[int, int]) -> None:
        self.name = logic.GetSliceNode().GetName()
        self._logic, self._node, self._size = logic, logic.GetSliceNode(), (size[0], size[1] - BAR_PIXELS)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*self._size)
        logic.ResizeSliceNode(*self._size)
        self._show_image(logic.GetImageDataConnection())
        self._renderer = vtk.vtkRenderer()
        self._window.SetNumberOfLayers(2)
        self._renderer.SetLayer(1)
        self._window.AddRenderer(self._renderer)
        interactor = vtk.vtkGenericRenderWindowInteractor()
        self._window.SetInteractor(interactor)
        self._group = MRMLDisplayableManager.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        for manager in (
            *(getattr(MRMLDisplayableManager, name)() for name in MANAGERS),
            vtkSlicerSegmentationsModuleMRMLDisplayableManager.vtkMRMLSegmentationsDisplayableManager2D(),
        ):
            self._group.AddDisplayableManager(manager)
        self._group.SetMRMLDisplayableNode(self._node)

    def _show_image(self, image: Any) -> None:
        """As the light box of Slicer's slice views does."""
        mapper, actor, renderer = vtk.vtkImageMapper(), vtk.vtkActor2D(), vtk.vtkRenderer()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(image)
        actor.SetMapper(mapper)
        renderer.AddViewProp(actor)
        self._window.AddRenderer(renderer)

    def fit(self) -> None:
        """Show the whole CT, at the positions at which the slices are, a little larger than it fits."""
        matrix = self._node.GetSliceToRAS()
        place = [matrix.GetElement(row, 3) for row in range(3)]
        self._logic.FitSliceToBackground(*self._size)
        self._node.SetFieldOfView(*(size * ZOOM for size in self._node.GetFieldOfView()[:2]), 1.0)
        for row, value in enumerate(place):
            matrix.SetElement(row, 3, value)
        self._node.UpdateMatrices()

    def zoom(self, scale: float) -> None:
        """Show so many mm per pixel, at the place that the view shows."""
        self._node.SetFieldOfView(scale * self._size[0], scale * self._size[1], 1.0)

    def picture(self) -> NDArray[np.uint8]:
        """What it shows now, with its bar above, shape (height, width, 3)."""
        self._logic.UpdatePipeline()
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _depth = image.GetDimensions()
        array = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3]
        bar = np.empty((BAR_PIXELS, width, 3), dtype=np.uint8)
        bar[:] = BAR_COLORS.get(self.name, (128, 128, 128))
        return np.ascontiguousarray(np.concatenate([bar, array]))


def add_grey(scene: Any) -> None:
    """Add the grey colours that CTs are shown in, where no logic of Slicer's has done it."""
    if scene.GetNodeByID("vtkMRMLColorTableNodeGrey") is None:
        grey = slicer.vtkMRMLColorTableNode()
        grey.SetTypeToGrey()
        grey.SetSingletonTag("Grey")
        scene.AddNode(grey)


def three_over_three(logics: Sequence[Any], size: tuple[int, int], scale: float) -> NDArray[np.uint8]:
    """Six views in two rows, as Slicer's layout of this name has them, at their own places; (height, width, 3).

    Args:
        logics: Of the upper row, then of the lower one.
        size: Width and height in pixels.
        scale: mm per pixel of the upper row; the lower one is as its node says.
    """
    width, height = size
    one = (width // 3 - 2, height // 2 - 1)
    whole = np.full((height, width, 3), 60, dtype=np.uint8)
    views = [SliceView(logic, one) for logic in logics]
    for view in views[:3]:
        view.zoom(scale)
    for number, view in enumerate(views):
        picture = view.picture()
        top, left = (number // 3) * (one[1] + 2), (number % 3) * (one[0] + 3)
        whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole


def four_up(logics: Sequence[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The first view large, the others under each other beside it; shape (height, width, 3)."""
    add_grey(logics[0].GetMRMLScene())
    width, height = size
    large = 2 * width // 3
    views = [SliceView(logics[0], (large, height))]
    views += [SliceView(logic, (width - large - 2, height // 2 - 1)) for logic in logics[1:3]]
    whole = np.full((height, width, 3), 60, dtype=np.uint8)
    places = ((0, 0), (0, large + 2), (height - (height // 2 - 1), large + 2))
    for view, (top, left) in zip(views, places, strict=True):
        view.fit()
        picture = view.picture()
        whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole
