"""Volumes and scribbles of the scene as files that the child process can open."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import suffix_of, write_volume
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.jobs.inputs import Export, link_or_copy
from OneShotSegLib.interface.snapshots import write_snapshot
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.segmentations import take_snapshot
from OneShotSegLib.slicer.mrml.volumes import volume_from_node
from OneShotSegLib.study.naming import unique_names

ONE_FILE = (".nii.gz", ".nii", ".nrrd", ".mha")
""".nhdr and .mhd keep their voxels in a second file."""


def export_volumes(nodes: Sequence[Any], folder: Path) -> list[Export]:
    """Plan a file for each volume node."""
    names = unique_names(node.GetName() for node in nodes)
    return [export_volume(node, folder / name) for node, name in zip(nodes, names, strict=True)]


def export_volume(node: Any, stem: Path) -> Export:
    """Plan a file for a volume node: a link to the file it was read from if that is still the same, else a new one."""
    source = unchanged_file(node)
    if source is not None:
        target = stem.with_name(stem.name + suffix_of(source))
        return Export(target, lambda: functools.partial(link_or_copy, source, target))
    target = stem.with_name(stem.name + ".nrrd")
    name = node.GetName()

    def prepare() -> Callable[[], None]:
        if node.GetScene() is None:
            raise InputError(_("{name}: the volume was removed from the scene.").format(name=name))
        # A copy of a large CT would block for too long; a CT does not change while it is written.
        return functools.partial(write_volume, volume_from_node(node, copy=False), target)

    return Export(target, prepare)


def unchanged_file(node: Any) -> Path | None:
    """The single file that a volume node was read from, if the node still is what is in it."""
    storage = node.GetStorageNode()
    if storage is None or node.GetParentTransformNode() is not None or node.GetModifiedSinceRead():
        return None
    path = Path(storage.GetFileName() or "")
    if suffix_of(path) not in ONE_FILE or not path.is_file():
        return None
    return path if storage.GetNumberOfFileNames() <= 1 else None


def export_scribbles(node: Any, grid: Volume, path: Path) -> Export:
    """Plan a .seg.nrrd of a segmentation node on the support's grid."""

    def prepare() -> Callable[[], None]:
        if node.GetScene() is None:
            raise InputError(_("The scribbles were removed from the scene."))
        return functools.partial(write_snapshot, take_snapshot(node), grid, path)

    return Export(path, prepare)
