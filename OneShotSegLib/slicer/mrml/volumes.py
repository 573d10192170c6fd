"""Scalar volume nodes <-> Volumes, exact both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.geometry import (
    fill_image,
    from_ras,
    image_array,
    numpy_matrix,
    split_matrix,
    to_ras,
    vtk_matrix,
)

CT_WINDOW, CT_LEVEL = 400.0, 40.0
"""In which organs can be distinguished."""


def volume_from_node(node: Any, copy: bool = True) -> Volume:
    """The voxels of a scalar volume node on its grid; a linear transform that it is under is part of the grid.

    Args:
        node: vtkMRMLScalarVolumeNode.
        copy: Whether the array is independent of the node.

    Raises:
        InputError: If the node has no voxels, several values per voxel, or is under a transform that bends or shears.
    """
    image = node.GetImageData()
    if image is None or 0 in image.GetDimensions():
        raise InputError(_("{name}: expected a volume with voxels, found an empty one.").format(name=node.GetName()))
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(_("{name}: expected one value per voxel, found a colour volume.").format(name=node.GetName()))
    array = image_array(image)
    spacing, origin, directions = _geometry(node)
    return from_ras(array.copy() if copy else array, spacing, origin, directions)


def _geometry(node: Any) -> tuple[Vector, Vector, NDArray[Any]]:
    transform = node.GetParentTransformNode()
    if transform is None:
        directions = vtk.vtkMatrix4x4()
        node.GetIJKToRASDirectionMatrix(directions)
        return np.array(node.GetSpacing()), np.array(node.GetOrigin()), numpy_matrix(directions)[:3, :3]
    to_world, own = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(own)
    linear = transform.IsTransformToWorldLinear() and transform.GetMatrixTransformToWorld(to_world)
    parts = split_matrix(numpy_matrix(to_world) @ numpy_matrix(own)) if linear else None
    if parts is None:
        text = _("{name}: expected a volume on a regular grid, found one under a bending transform; harden it first.")
        raise InputError(text.format(name=node.GetName()))
    return parts


def place_node(node: Any, grid: Volume) -> None:
    """Give a volume node the geometry of a grid."""
    spacing, origin, directions = to_ras(grid)
    node.SetSpacing(*[float(value) for value in spacing])
    node.SetOrigin(*[float(value) for value in origin])
    node.SetIJKToRASDirectionMatrix(vtk_matrix(directions))


def add_volume_node(volume: Volume, name: str, scene: Any = None) -> Any:
    """Add a scalar volume node with these voxels to the scene, in a soft tissue window; nothing is shown yet.

    Args:
        volume: The node shares its array.
        name: The node's name, made unique.
        scene: Slicer's own if it is None.
    """
    scene = slicer.mrmlScene if scene is None else scene
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    place_node(node, volume)
    # With the window set beforehand Slicer need not look at every voxel for one, which takes long for a large CT.
    display = slicer.vtkMRMLScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(CT_WINDOW, CT_LEVEL)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    node.SetAndObserveDisplayNodeID(scene.AddNode(display).GetID())
    node.SetAndObserveImageData(fill_image(vtk.vtkImageData(), array))
    return node
