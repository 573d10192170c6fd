"""The support beside the case that is looked at: a row of slice views of its own, which follow those of the case.

The views are those of Slicer's layout Three over three, whose lower row is a view group of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.case_files import Version, version_of
from OneShotSegLib.interface.known_inputs import known_supports
from OneShotSegLib.interface.review_session import ReviewSession
from OneShotSegLib.interface.support_link import Landmarks, SupportContent, SupportLink, read_support
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.slicer.mrml.display import (
    SHOWN_ATTRIBUTE,
    contours_only,
    emphasise,
    show_in,
    take_window,
    view_nodes,
)
from OneShotSegLib.slicer.mrml.geometry import from_ras_point, to_ras_point
from OneShotSegLib.slicer.mrml.linked_slices import LinkedSlices, Point, composite_node, slice_node
from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node
from OneShotSegLib.slicer.mrml.storage import stored_in
from OneShotSegLib.slicer.mrml.volumes import add_volume_node
from OneShotSegLib.slicer.review.case_marks import LOADED_ATTRIBUTE
from OneShotSegLib.slicer.review.case_nodes import CaseNodes

VIEWS = {"Red": "Red+", "Green": "Green+", "Yellow": "Yellow+"}
"""The views of the case, and those of the support."""
CASE_GROUP = 0
"""The group of the views in the upper row."""


@dataclass(frozen=True)
class SupportFiles:
    """A support on disk.

    Attributes:
        name: Its case's name, or that of its CT.
        case: Its case; '' if it is none of the study's.
        ct: The file or folder of its CT.
        mask: Its mask, or its strokes if it has no mask.
    """

    name: str
    case: str
    ct: Path
    mask: Path


class SupportBeside:
    """What the second row shows.

    Args:
        session: The study's cases.
        case_nodes: The one of them that is in the scene.
        background: Where files are read.
        say: Gets a sentence for the user.
    """

    def __init__(
        self, session: ReviewSession, case_nodes: CaseNodes, background: Background, say: Callable[[str], None]
    ) -> None:
        self._session, self._case_nodes, self._background, self._say = session, case_nodes, background, say
        self.is_on = False
        self._layout = 0
        self._case = self._structure = ""
        self._shown: tuple[SupportFiles, Version] | None = None
        self._asked: tuple[SupportFiles, Version] | None = None
        self._ct: Any = None
        self._mask: Any = None
        self._landmarks: Landmarks = {}
        self._link: SupportLink | None = None
        self._slices = LinkedSlices()
        self._kept: list[Any] = []

    @property
    def scene(self) -> Any:
        """Slicer's scene."""
        return slicer.mrmlScene

    def turn_on(self) -> None:
        """Have a second row of views.

        Raises:
            InputError: If Slicer has no views, or the study no support.
        """
        layout = self._layout_node()
        if layout is None:
            raise InputError(_("There are no slice views to show the support in."))
        if self._files() is None:
            raise InputError(_("This study names no support: there is nothing to show beside its cases."))
        if not self.is_on:
            self.is_on, self._layout = True, layout.GetViewArrangement()
            layout.SetViewArrangement(layout.SlicerLayoutThreeOverThreeView)

    def turn_off(self) -> None:
        """Have the views as they were; the support leaves the scene."""
        if not self.is_on:
            return
        self._clear()
        for display in self._kept:
            if display.GetScene() is not None:
                show_in(display, ())
        self._kept = []
        self.is_on = False
        layout = self._layout_node()
        # The user may have chosen another one meanwhile.
        if layout is not None and layout.GetViewArrangement() == layout.SlicerLayoutThreeOverThreeView:
            layout.SetViewArrangement(self._layout)

    def _layout_node(self) -> Any:
        return self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")

    def show(self, case: str, structure: str) -> None:
        """Show the support beside a case that is in the views; nothing beside the support itself."""
        self._case, self._structure = case, structure
        if not self.is_on:
            return  # the views are the user's
        files = self._files()
        if files is None or files.case == case:
            self._clear()
            return
        self.keep_to_case(self._case_nodes.mask_node(case))
        wanted = files, version_of(files.mask)
        if wanted == self._shown and self._is_there():
            self._arrange()
            return
        # The other case's CT is in all views.
        self._show_in_lower_row(None)
        if wanted != self._asked:
            self._asked = wanted
            ct = None if self._ct_in_scene(files) is not None else files.ct
            read = functools.partial(read_support, ct, files.mask)
            self._background.run(read, functools.partial(self._put, wanted), self._failed)

    def look_at(self, structure: str) -> None:
        """A structure of the case is looked at: show the same one of the support."""
        self._structure = structure
        if self.is_on and self._is_there():
            emphasise(self._mask, structure)
            self._relink()

    def keep_to_case(self, node: Any) -> None:
        """Show a segmentation in the views of the case alone: it lies anywhere in the support, or is painted there."""
        if self.is_on and node is not None and node.GetDisplayNode() is not None:
            others = {view.GetID() for view in self._views_of(VIEWS.values())}
            show_in(node.GetDisplayNode(), [view for view in view_nodes(self.scene) if view.GetID() not in others])
            self._kept = [display for display in self._kept if display.GetScene() is not None]
            self._kept.append(node.GetDisplayNode())

    def _views_of(self, names: Any) -> list[Any]:
        found = (slice_node(self.scene, name) for name in names)
        return [node for node in found if node is not None]

    def _files(self) -> SupportFiles | None:
        """The study's first scribbled support; None if it names none."""
        for row in self._session.rows:
            if row.is_support and not row.failed and row.case in self._case_nodes.volumes:
                ct = self._case_nodes.volumes[row.case]
                return SupportFiles(row.case, row.case, ct, self._session.mask(row.case))
        # Made by the shell: the support is no case, but its strokes are there.
        found = known_supports(self._session.study)
        return SupportFiles(found[0][0].name, "", *found[0]) if found else None

    def _ct_in_scene(self, files: SupportFiles) -> Any:
        """The user's own node of the support's CT; what the review loads leaves the scene with its case."""
        if self._ct is not None and self._ct.GetScene() is not None and self._shown and self._shown[0].ct == files.ct:
            return self._ct
        node = self._case_nodes.ct_node(files.case) if files.case else None
        return node if node is not None and not node.GetAttribute(LOADED_ATTRIBUTE) else None

    def _is_there(self) -> bool:
        return all(node is not None and node.GetScene() is not None for node in (self._ct, self._mask))

    def _failed(self, error: Exception) -> None:
        self._asked = None
        self._say(_("The support cannot be shown: {reason}").format(reason=error))

    def _put(self, wanted: tuple[SupportFiles, Version], content: SupportContent) -> None:
        self._asked = None
        files = wanted[0]
        if not self.is_on or files.case == self._case:
            return
        ct = self._ct_in_scene(files)
        if ct is None and content.ct is None:
            self.show(self._case, self._structure)  # the user removed it meanwhile
            return
        if ct is not self._ct:
            self._clear()
        self._remove(self._mask)
        self._ct = ct if ct is not None else self._made_ct(files, content)
        self._mask = self._made_mask(files, content)
        self._landmarks, self._shown = content.landmarks, wanted
        self._arrange()

    def _made_ct(self, files: SupportFiles, content: SupportContent) -> Any:
        assert content.ct is not None
        node = add_volume_node(content.ct, _("{name} CT (support)").format(name=files.name), self.scene)
        # No query, and no support to be chosen: it is there to be looked at.
        node.SetAttribute(SHOWN_ATTRIBUTE, files.name)
        node.SetAttribute(LOADED_ATTRIBUTE, "1")
        own = self._case_nodes.ct_node(self._case)
        if own is not None:
            take_window(node, own)
        stored_in(node, files.ct)
        _leave_out_of_scene_files(node)
        return node

    def _made_mask(self, files: SupportFiles, content: SupportContent) -> Any:
        node = add_segmentation_node(content.labels, _("{name} (support)").format(name=files.name), self.scene)
        contours_only(node)
        node.GetDisplayNode().SetVisibility3D(False)
        show_in(node.GetDisplayNode(), self._views_of(VIEWS.values()))
        _leave_out_of_scene_files(node)
        return node

    def _arrange(self) -> None:
        """Support in the lower row, linked with the case in the upper one."""
        self._show_in_lower_row(self._ct)
        emphasise(self._mask, self._structure)
        self._link = SupportLink.between(self._case_nodes.landmarks(self._case), self._landmarks)
        if self._link is None:
            self._say(
                _("{case} has no structure of the support: their slices do not follow each other.").format(
                    case=self._case
                )
            )
        self._relink()

    def _relink(self) -> None:
        if self._link is None:
            self._slices.unlink()
            return
        link = self._link.through(self._structure)
        pairs = [(slice_node(self.scene, one), slice_node(self.scene, other)) for one, other in VIEWS.items()]

        def there(point: Point) -> Point:
            return to_ras_point(link.to_support(from_ras_point(point)))

        def back(point: Point) -> Point:
            return to_ras_point(link.to_query(from_ras_point(point)))

        self._slices.link([pair for pair in pairs if None not in pair], there, back)

    def _show_in_lower_row(self, ct: Any) -> None:
        for name in VIEWS.values():
            composite = composite_node(self.scene, name)
            if composite is not None:
                composite.SetBackgroundVolumeID(ct.GetID() if ct is not None else None)
                composite.SetForegroundVolumeID(None)
                composite.SetLabelVolumeID(None)

    def _clear(self) -> None:
        """Take the support out of the views and the scene; a CT of the user's stays in the scene."""
        self._slices.unlink()
        self._show_in_lower_row(None)
        self._remove(self._mask)
        if self._ct is not None and self._ct.GetAttribute(LOADED_ATTRIBUTE):
            self._remove(self._ct)
        self._ct = self._mask = self._shown = self._link = None

    def _remove(self, node: Any) -> None:
        if node is not None and node.GetScene() is not None:
            self.scene.RemoveNode(node)


def _leave_out_of_scene_files(node: Any) -> None:
    """It follows from the study: nothing to be saved, chosen or edited."""
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    for one in (node.GetDisplayNode(), node.GetStorageNode()):
        if one is not None:
            one.SetSaveWithScene(False)
