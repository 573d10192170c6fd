"""What a run reads: volumes of the scene, DICOM series and folders, as files that the child process can open."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import suffix_of, write_volume
from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.segmentations import Snapshot
from OneShotSegLib.slicer.mrml.volumes import volume_from_node
from OneShotSegLib.study.naming import safe_name, unique_names

COMPLETE = ".complete"


@dataclass(frozen=True)
class Export:
    """A file or folder to be made before the run.

    Attributes:
        path: Where.
        prepare: Copies what is needed out of the scene; its result makes the file, in a background thread.
    """

    path: Path
    prepare: Callable[[], Callable[[], None]]


def export_volumes(nodes: Sequence[Any], folder: Path) -> list[Export]:
    """Plan a file for each volume node."""
    names = unique_names(node.GetName() for node in nodes)
    return [export_volume(node, folder / name) for node, name in zip(nodes, names, strict=True)]


def export_volume(node: Any, stem: Path) -> Export:
    """Plan a file for a volume node: a link to the file it was read from if that is still the same, else a new one."""
    source = unchanged_file(node)
    if source is not None:
        target = stem.with_name(stem.name + suffix_of(source))
        return Export(target, lambda: lambda: link_or_copy(source, target))
    target = stem.with_name(stem.name + ".nrrd")
    name = node.GetName()

    def prepare() -> Callable[[], None]:
        if node.GetScene() is None:
            raise InputError(_("{name}: the volume was removed from the scene.").format(name=name))
        # A copy of a large CT would block for too long; a CT does not change while it is written.
        volume = volume_from_node(node, copy=False)
        return lambda: write_volume(volume, target)

    return Export(target, prepare)


def unchanged_file(node: Any) -> Path | None:
    """The single file that a volume node was read from, if the node still is what is in it."""
    storage = node.GetStorageNode()
    if storage is None or node.GetParentTransformNode() is not None or node.GetModifiedSinceRead():
        return None
    path = Path(storage.GetFileName() or "")
    # .nhdr and .mhd keep their voxels in a second file.
    if suffix_of(path) not in (".nii.gz", ".nii", ".nrrd", ".mha") or not path.is_file():
        return None
    return path if storage.GetNumberOfFileNames() <= 1 else None


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name: a hard link where the file system can, else a copy, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    beside = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        try:
            os.link(source, beside)
        except OSError:
            shutil.copy2(source, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def export_series(name: str, files: Sequence[str], folder: Path) -> Export:
    """Plan a folder with the files of one DICOM series."""
    target = folder / safe_name(name)
    sources = [Path(file) for file in files]

    def write() -> None:
        if (target / COMPLETE).exists():
            return
        for number, source in enumerate(sources):
            link_or_copy(source, target / f"{number:05d}.dcm")
        (target / COMPLETE).touch()

    return Export(target, lambda: write)


def export_scribbles(node: Any, grid: Volume, path: Path) -> Export:
    """Plan a .seg.nrrd of a segmentation node on the support's grid."""

    def prepare() -> Callable[[], None]:
        if node.GetScene() is None:
            raise InputError(_("The scribbles were removed from the scene."))
        snapshot = Snapshot.of(node)
        return lambda: write_label_map(snapshot.merged(grid), path)

    return Export(path, prepare)
