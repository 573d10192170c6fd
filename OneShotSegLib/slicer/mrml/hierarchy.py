"""Where a node stands in Slicer's data tree: a CT with its patient, a mask beside its CT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

DICOM_SUFFIX = ".dcm"


def into_patient_tree(node: Any, folder: Path) -> None:
    """Put a CT that was read from a folder with a DICOM series under its patient and study, as Slicer's reader does."""
    files = sorted(folder.glob(f"*{DICOM_SUFFIX}")) if folder.is_dir() else []
    if not files or getattr(slicer, "dicomDatabase", None) is None:
        return
    try:
        from DICOMLib import DICOMLoadable, DICOMPlugin  # type: ignore[import-not-found]
    except ImportError:  # a Slicer that was built without DICOM
        return
    loadable = DICOMLoadable()
    loadable.files = [str(files[0])]
    loadable.name = node.GetName()
    DICOMPlugin().addSeriesInSubjectHierarchy(loadable, node)


def place_beside(node: Any, other: Any) -> None:
    """Give a node the place in the data tree that another one has: the same study of the same patient."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if tree is None:
        return
    place, own = tree.GetItemByDataNode(other), tree.GetItemByDataNode(node)
    if place and own and tree.GetItemParent(own) != tree.GetItemParent(place):
        tree.SetItemParent(own, tree.GetItemParent(place))
