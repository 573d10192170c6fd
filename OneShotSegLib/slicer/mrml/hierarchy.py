"""Where a node stands in Slicer's data tree: a CT with its patient, a mask beside its CT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk

DICOM_SUFFIX = ".dcm"
STUDY_ATTRIBUTE = "OneShotSeg.Study"


def into_patient_tree(node: Any, folder: Path) -> bool:
    """Put a CT that was read from a folder with a DICOM series under its patient and study, as Slicer's reader does.

    Returns:
        Whether it is there now.
    """
    files = sorted(folder.glob(f"*{DICOM_SUFFIX}")) if folder.is_dir() else []
    if not files or getattr(slicer, "dicomDatabase", None) is None:
        return False
    try:
        from DICOMLib import DICOMLoadable, DICOMPlugin  # type: ignore[import-not-found]
    except ImportError:  # a Slicer that was built without DICOM
        return False
    loadable = DICOMLoadable()
    loadable.files = [str(files[0])]
    loadable.name = node.GetName()
    DICOMPlugin().addSeriesInSubjectHierarchy(loadable, node)
    return True


def into_study_folder(node: Any, study: Path) -> None:
    """Put a node into the folder that the data tree has for a study; it is made if it is not there."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if tree is None:
        return
    folder = _study_folder(tree, study)
    if not folder:
        folder = tree.CreateFolderItem(tree.GetSceneItemID(), study.name)
        tree.SetItemAttribute(folder, STUDY_ATTRIBUTE, str(study))
    own = tree.GetItemByDataNode(node)
    if own:
        tree.SetItemParent(own, folder)
    else:
        tree.CreateItem(folder, node)


def remove_study_folder(scene: Any, study: Path) -> None:
    """Remove a study's folder from the data tree once there is nothing in it."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = _study_folder(tree, study) if tree is not None else 0
    if folder and not _children(tree, folder):
        tree.RemoveItem(folder)


def _study_folder(tree: Any, study: Path) -> int:
    """The item of a study's folder; 0 if there is none."""
    items = _children(tree, tree.GetSceneItemID())
    return next((item for item in items if tree.GetItemAttribute(item, STUDY_ATTRIBUTE) == str(study)), 0)


def _children(tree: Any, item: int) -> list[int]:
    found = vtk.vtkIdList()
    tree.GetItemChildren(item, found)
    return [found.GetId(number) for number in range(found.GetNumberOfIds())]


def place_beside(node: Any, other: Any) -> None:
    """Give a node the place in the data tree that another one has: the same study of the same patient."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if tree is None:
        return
    place, own = tree.GetItemByDataNode(other), tree.GetItemByDataNode(node)
    if place and own and tree.GetItemParent(own) != tree.GetItemParent(place):
        tree.SetItemParent(own, tree.GetItemParent(place))
