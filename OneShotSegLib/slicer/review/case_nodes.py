"""The case of a study that is looked at, in the scene: its CT and mask."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.case_files import CaseContent, CaseMask, Version
from OneShotSegLib.interface.live_parts import with_part
from OneShotSegLib.interface.support_link import Landmarks
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.slicer.mrml.display import contours_only, take_window
from OneShotSegLib.slicer.mrml.geometry import to_ras_point
from OneShotSegLib.slicer.mrml.hierarchy import into_patient_tree, into_study_folder, place_beside, remove_study_folder
from OneShotSegLib.slicer.mrml.segmentations import add_segmentation_node, fill_segmentation, take_snapshot
from OneShotSegLib.slicer.mrml.storage import stored_in
from OneShotSegLib.slicer.mrml.volumes import add_volume_node
from OneShotSegLib.slicer.review.case_marks import LOADED_ATTRIBUTE, mark, nodes_of
from OneShotSegLib.slicer.review.case_reading import CaseReader, Wanted
from OneShotSegLib.slicer.review.corrections import Corrections
from OneShotSegLib.study.layout import StudyPaths

Point = tuple[float, float, float]
Shown = Callable[[Any, Any], None]


class CaseNodes:
    """The nodes of the case that is looked at; those of other cases leave the scene, and the next case is read ahead.

    Args:
        study: The study.
        background: Where files are read and written.
        volumes: Case name to the file of its CT.
        scene: Slicer's own if it is None.
        clock: Seconds.

    Attributes:
        corrections: What a reviewer changed in the masks.
    """

    def __init__(
        self,
        study: StudyPaths,
        background: Background,
        volumes: Mapping[str, Path],
        scene: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study = study
        self.volumes = dict(volumes)
        self._scene = slicer.mrmlScene if scene is None else scene
        self.corrections = Corrections(study, background, self.mask_node, clock)
        self._reader = CaseReader(study, background)
        self._wanted = ""
        self._masks: dict[str, CaseMask] = {}

    def connect(self, on_saved: Callable[[str], None], on_error: Callable[[str], None]) -> None:
        """Set what is called with the case of a saved correction, and with the sentence of an error."""
        self.corrections.connect(on_saved, on_error, lambda: self._drop_others(self._wanted))

    def mask_node(self, case: str) -> Any:
        """The segmentation of a case; None if it is not in the scene."""
        return nodes_of(self._scene, "vtkMRMLSegmentationNode", self.study).get(case)

    def ct_node(self, case: str) -> Any:
        """The CT of a case; None if it is not in the scene."""
        return nodes_of(self._scene, "vtkMRMLScalarVolumeNode", self.study).get(case)

    def centre(self, case: str, structure: str) -> Point | None:
        """A RAS position within a structure, or within any other if it is absent."""
        mask = self._masks.get(case)
        if mask is None or not mask.centres:
            return None
        found = mask.centres.get(structure)
        return to_ras_point(next(iter(mask.centres.values())) if found is None else found)

    def landmarks(self, case: str) -> Landmarks:
        """Where the structures of a case that is in the scene lay when its mask was read."""
        mask = self._masks.get(case)
        return {} if mask is None else mask.landmarks

    def load(self, case: str, mask: Path, done: Shown, failed: Callable[[], None] = lambda: None) -> None:
        """Have CT and mask of a case in the scene, then call ``done`` with the two nodes.

        Only the case that was asked for last is loaded. A mask that a reviewer is correcting is left as it is.

        Args:
            case: The case's name.
            mask: The mask that counts; see `ReviewSession.mask`.
            done: Gets the CT's node and the mask's.
            failed: Called after the error was shown.
        """
        self._wanted = case
        self._reader.stop_waiting()
        wanted = self._missing(case, mask)
        if wanted.ct is None and wanted.mask is None:
            self._show(case, done)
            return

        def not_read(error: Exception) -> None:
            self.corrections.failed(case, error)
            failed()

        if wanted.ct is not None and case not in self.volumes:
            not_read(InputError(_("{case}: the study does not name its CT.").format(case=case)))
            return
        self._reader.read(wanted, lambda content, version: self._put(case, mask, content, version, done), not_read)

    def prefetch(self, case: str, mask: Path) -> None:
        """Read a case that is likely to be looked at next; what was read ahead before is dropped."""
        if case in self.volumes:
            ct = self.ct_node(case)
            # What the review loaded leaves the scene until then, even if it is still there.
            stays = ct is not None and not ct.GetAttribute(LOADED_ATTRIBUTE)
            self._reader.read_ahead(Wanted(case, mask, None if stays else self.volumes[case], mask))

    def _missing(self, case: str, mask: Path) -> Wanted:
        """What is to be read: what is not in the scene as it should be."""
        is_fresh = self.mask_node(case) is not None and self.corrections.holds(case, mask)
        ct = None if self.ct_node(case) is not None else self.volumes.get(case, Path())
        return Wanted(case, mask, ct, None if is_fresh else mask)

    def _put(self, case: str, mask: Path, content: CaseContent, version: Version, done: Shown) -> None:
        if case != self._wanted:
            return
        if content.ct is not None and self.ct_node(case) is None:
            self._put_ct(case, content.ct)
        if content.mask is not None and not (self.mask_node(case) is not None and self.corrections.is_kept(case)):
            self._put_mask(case, mask, content.mask, version)
        self._reader.forget(case)
        self._show(case, done)

    def _show(self, case: str, done: Shown) -> None:
        ct, mask = self.ct_node(case), self.mask_node(case)
        reference = mask.GetNodeReference(mask.GetReferenceImageGeometryReferenceRole())
        if reference is not ct:
            mask.SetReferenceImageGeometryParameterFromVolumeNode(ct)
        place_beside(mask, ct)
        done(ct, mask)
        self._drop_others(case)

    def take_part(self, case: str, grid: Volume, labels: NDArray[np.uint8], box: Box) -> None:
        """Put a part of a mask that the worker made into the scene; the worker saves it.

        Args:
            case: The case.
            grid: The CT's grid as the worker has it.
            labels: The part.
            box: Where it lies in the grid.
        """
        node = self.mask_node(case)
        if node is not None:  # else it is read when it is looked at
            part = with_part(take_snapshot(node), grid, labels, box)
            self.corrections.replace(case, node, functools.partial(fill_segmentation, node, part))

    def _put_mask(self, case: str, path: Path, mask: CaseMask, version: Version) -> None:
        self.corrections.unwatch(case)
        node = self.mask_node(case)
        if node is None:
            node = add_segmentation_node(mask.labels, case, self._scene)
            mark(node, self.study, case)
            contours_only(node)
            node.GetDisplayNode().SetVisibility(False)
        else:
            fill_segmentation(node, mask.labels)
        self._masks[case] = mask
        self.corrections.put(case, node, path, version, mask.notes)

    def _put_ct(self, case: str, volume: Volume) -> None:
        shown = [node for other, node in self._loaded_cts().items() if other != case]
        node = add_volume_node(volume, f"{case} CT", self._scene)
        mark(node, self.study, case)
        node.SetAttribute(LOADED_ATTRIBUTE, "1")
        if shown:
            take_window(node, shown[0])
        stored_in(node, self.volumes[case])
        if not into_patient_tree(node, self.volumes[case]):
            into_study_folder(node, self.study.root)

    def _loaded_cts(self) -> dict[str, Any]:
        nodes = nodes_of(self._scene, "vtkMRMLScalarVolumeNode", self.study)
        return {case: node for case, node in nodes.items() if node.GetAttribute(LOADED_ATTRIBUTE)}

    def _drop_others(self, case: str) -> None:
        """Remove the nodes of other cases, but for corrections that are not on disk yet."""
        for other, node in nodes_of(self._scene, "vtkMRMLSegmentationNode", self.study).items():
            if other == case:
                continue
            if self.corrections.is_unsaved(other):
                self.corrections.save(other)
            if not self.corrections.is_kept(other):
                self.corrections.forget(other)
                self._masks.pop(other, None)
                self._scene.RemoveNode(node)
        for other, node in self._loaded_cts().items():
            if other != case and self.mask_node(other) is None:
                self._scene.RemoveNode(node)

    def close(self) -> None:
        """Stop watching the nodes; they stay in the scene."""
        self.corrections.close()
        remove_study_folder(self._scene, self.study.root)
