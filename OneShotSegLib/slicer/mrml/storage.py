"""Which file holds what a node holds: Slicer offers to save, at exit, all nodes of which it does not know that."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import slicer

SMALL_FILES = {"vtkMRMLVolumeArchetypeStorageNode": "small.nrrd", "vtkMRMLSegmentationStorageNode": "small.seg.nrrd"}


def stored_in(node: Any, path: Path) -> None:
    """Note that a file holds what a volume or segmentation node holds now.

    Slicer calls a node unmodified if its storage node has read or written it since its last change. Here a child
    process reads and writes; so the storage node reads a file of one voxel into a node that nobody sees, and then names
    the file.

    Args:
        node: A volume or segmentation node of a scene.
        path: A file, or a folder with a DICOM series.
    """
    storage = node.GetStorageNode()
    if storage is None:
        node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / SMALL_FILES[storage.GetClassName()]
        small.write_bytes(_one_voxel())
        storage.ResetFileNameList()
        storage.SetFileName(str(small))
        scene = slicer.vtkMRMLScene()
        storage.ReadData(scene.AddNewNodeByClass(node.GetClassName()))
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    storage.SetFileName(str(files[0]) if files else str(path))
    for file in files[1:]:
        storage.AddFileName(str(file))


def _one_voxel() -> bytes:
    lines = (
        "NRRD0004",
        "type: uint8",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: 1 1 1",
        "space directions: (1,0,0) (0,1,0) (0,0,1)",
        "encoding: raw",
        "space origin: (0,0,0)",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    )
    return "\n".join(lines).encode() + b"\n\n\0"
