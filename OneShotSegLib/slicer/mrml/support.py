"""The CT and the scribbles of a support, out of the scene."""

from __future__ import annotations

from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.scribble_checks import Finding, check_content
from OneShotSegLib.interface.snapshots import Snapshot
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.segmentations import take_snapshot
from OneShotSegLib.slicer.mrml.volumes import volume_from_node


def support_content(ct: Any, node: Any) -> tuple[Snapshot, Volume]:
    """A copy of the strokes, and the support's voxels (shared with its node).

    Raises:
        InputError: If one of the two is missing or cannot be used.
    """
    if ct is None:
        raise InputError(_("Choose the CT of the support first."))
    if node is None:
        raise InputError(_("Choose the scribbles of the support, or make new ones, first."))
    return take_snapshot(node), volume_from_node(ct, copy=False)


def check_support(ct: Any, node: Any) -> tuple[Finding, ...]:
    """What is missing before the scribbles of these nodes can be propagated; for scripts, it takes a second."""
    return check_content(*support_content(ct, node))
