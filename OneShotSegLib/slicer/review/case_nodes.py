"""Cases of a study in the scene: CTs and masks read in the background, corrections saved as they are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.label_matching import match_labels, with_values_of
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.slicer.background import Background
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.display import SHOWN_ATTRIBUTE, contours_only
from OneShotSegLib.slicer.mrml.geometry import to_ras_point
from OneShotSegLib.slicer.mrml.segmentations import (
    CroppedLabels,
    Snapshot,
    add_segmentation_node,
    fill_segmentation,
    reference_grid,
)
from OneShotSegLib.slicer.mrml.volumes import add_volume_node
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths

STUDY_ATTRIBUTE = "OneShotSeg.Study"
LOADED_ATTRIBUTE = "OneShotSeg.LoadedByReview"
MAX_LOADED_CTS = 3
AUTOSAVE_SECONDS = 1.5
MANY_VOXELS = 1_000_000
PSEUDO_MASK = CasePaths(Path()).pseudo_mask.name

Point = tuple[float, float, float]


def mark(node: Any, study: StudyPaths, case: str) -> None:
    """Note on a node to which case of which study it belongs."""
    node.SetAttribute(SHOWN_ATTRIBUTE, case)
    node.SetAttribute(STUDY_ATTRIBUTE, str(study.root))


def find_node(scene: Any, class_name: str, study: StudyPaths, case: str) -> Any:
    """The node of a class that belongs to a case; None if there is none."""
    for number in range(scene.GetNumberOfNodesByClass(class_name)):
        node = scene.GetNthNodeByClass(number, class_name)
        if node.GetAttribute(SHOWN_ATTRIBUTE) == case and node.GetAttribute(STUDY_ATTRIBUTE) == str(study.root):
            return node
    return None


@dataclass(frozen=True, eq=False)
class _ReadMask:
    labels: CroppedLabels
    centres: Mapping[str, Point]
    notes: tuple[str, ...]


def _read_mask(path: Path, study: StudyPaths) -> _ReadMask:
    label_map, notes = _with_study_values(read_label_map(path), study, path, path.name == PSEUDO_MASK)
    cropped = CroppedLabels.of(label_map)
    return _ReadMask(cropped, {segment.name: centre for segment, centre in _centres(cropped)}, notes)


def _with_study_values(
    label_map: LabelMap, study: StudyPaths, path: Path, is_pseudo_mask: bool = False
) -> tuple[LabelMap, tuple[str, ...]]:
    """A mask whose segments have the study's values, matched by name, and what of it exports will not use.

    Segments that are none of the study's are kept: it is the reviewer's work, and what is edited is written again. A
    pseudo mask is the study's own.
    """
    try:
        structures = StudyDescription.read(study).structures
    except InputError:
        return label_map, ()  # a study that is still being made
    if not structures:
        return label_map, ()
    label_map = label_map if is_pseudo_mask else with_values_of(label_map, structures)
    try:
        matched = match_labels(label_map, structures, path, same_values=is_pseudo_mask)
        return matched.labels if is_pseudo_mask else label_map, matched.notes
    except InputError as error:
        return label_map, (str(error),)


def _centres(cropped: CroppedLabels) -> Iterator[tuple[Segment, Point]]:
    # Looking at every voxel of a large map holds Python's lock for longer than the panel should wait.
    step = max(1, round((cropped.array.size / MANY_VOXELS) ** (1 / 3)))
    for segment in cropped.label_map.segments:
        at = np.argwhere(cropped.array[::step, ::step, ::step] == segment.value) * step
        if not len(at):
            at = np.argwhere(cropped.array == segment.value)
        if len(at):
            # The structure's own voxel nearest to its middle: a hollow one is shown where it is.
            middle = np.median(at, axis=0)
            nearest = at[np.argmin(((at - middle) ** 2).sum(axis=1))]
            yield segment, to_ras_point(cropped.label_map.volume.to_world(nearest + np.array(cropped.start)))


class CaseNodes:
    """The nodes of a study's cases.

    Args:
        study: The study.
        background: Where files are read and written.
        volumes: Case name to the file of its CT.
        scene: Slicer's own if it is None.
        clock: Seconds.
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
        self._background = background
        self._clock = clock
        self._centres: dict[str, Mapping[str, Point]] = {}
        self._loaded_cts: list[str] = []
        self._watched: dict[str, tuple[Any, list[int]]] = {}
        self._changed_at: dict[str, float] = {}
        self._said: set[tuple[str, str]] = set()
        self._on_saved: Callable[[str], None] = lambda case: None
        self._on_error: Callable[[str], None] = lambda text: None

    def connect(self, on_saved: Callable[[str], None], on_error: Callable[[str], None]) -> None:
        """Set what is called with the case of a saved correction, and with the sentence of an error."""
        self._on_saved, self._on_error = on_saved, on_error

    def mask_node(self, case: str) -> Any:
        """The segmentation of a case; None if it is not loaded."""
        return find_node(self._scene, "vtkMRMLSegmentationNode", self.study, case)

    def ct_node(self, case: str) -> Any:
        """The CT of a case; None if it is not in the scene."""
        return find_node(self._scene, "vtkMRMLScalarVolumeNode", self.study, case)

    def centre(self, case: str, structure: str) -> Point | None:
        """A RAS position within a structure, or within any other if it is absent."""
        centres = self._centres.get(case, {})
        return centres.get(structure) or next(iter(centres.values()), None)

    def load_mask(self, case: str, mask: Path, done: Callable[[Any], None] = lambda node: None) -> None:
        """Read the mask of a case into a segmentation node, then call ``done`` with it.

        A node with a correction that is not saved yet is left as it is.

        Args:
            case: The case's name.
            mask: The mask that counts; see `ReviewSession.mask`.
            done: Called with the node.
        """
        if case in self._changed_at:
            done(self.mask_node(case))
            return
        self._background.run(
            lambda: _read_mask(mask, self.study),
            lambda read: done(self._put_mask(case, read)),
            lambda e: self._failed(case, e),
        )

    def _put_mask(self, case: str, read: _ReadMask) -> Any:
        self._unwatch(case)
        node = self.mask_node(case)
        if node is None:
            node = add_segmentation_node(read.labels, case, self._scene)
            mark(node, self.study, case)
            contours_only(node)
            node.GetDisplayNode().SetVisibility(False)
        else:
            fill_segmentation(node, read.labels)
        self._centres[case] = read.centres
        self._say(case, read.notes)
        ct = self.ct_node(case)
        if ct is not None:
            node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
        self._watch(case, node)
        return node

    def load_ct(self, case: str, done: Callable[[Any], None] = lambda node: None) -> None:
        """Have the CT of a case in the scene, then call ``done``; those shown longest ago are removed."""
        node = self.ct_node(case)
        if node is not None:
            self._use(case)
            done(node)
            return
        path = self.volumes.get(case)
        if path is None:
            self._failed(case, InputError(_("{case}: the study does not name its CT.").format(case=case)))
            return
        self._background.run(
            lambda: read_volume(path), lambda ct: done(self._put_ct(case, ct)), lambda e: self._failed(case, e)
        )

    def _put_ct(self, case: str, volume: Volume) -> Any:
        node = self.ct_node(case)
        if node is None:
            node = add_volume_node(volume, f"{case} CT", self._scene)
            mark(node, self.study, case)
            node.SetAttribute(LOADED_ATTRIBUTE, "1")
        self._use(case)
        mask = self.mask_node(case)
        if mask is not None:
            mask.SetReferenceImageGeometryParameterFromVolumeNode(node)
        return node

    def _use(self, case: str) -> None:
        self._loaded_cts = [other for other in self._loaded_cts if other != case] + [case]
        while len(self._loaded_cts) > MAX_LOADED_CTS:
            oldest = self.ct_node(self._loaded_cts.pop(0))
            if oldest is not None and oldest.GetAttribute(LOADED_ATTRIBUTE):
                self._scene.RemoveNode(oldest)

    def _failed(self, case: str, error: Exception) -> None:
        text = str(error) if isinstance(error, InputError) else f"{case}: {error}"
        self._on_error(text)

    def _say(self, case: str, notes: Iterable[str]) -> None:
        """Show sentences on a mask, each once: a correction is saved again and again."""
        for note in notes:
            if (case, note) not in self._said:
                self._said.add((case, note))
                self._on_error(f"{case}: {note}")

    def _watch(self, case: str, node: Any) -> None:
        kind = slicer.vtkSegmentation
        events = (kind.SourceRepresentationModified, kind.SegmentAdded, kind.SegmentRemoved)
        tags = [node.AddObserver(event, lambda caller, name: self._changed(case)) for event in events]
        self._watched[case] = (node, tags)

    def _unwatch(self, case: str) -> None:
        node, tags = self._watched.pop(case, (None, []))
        for tag in tags:
            node.RemoveObserver(tag)

    def _changed(self, case: str) -> None:
        self._changed_at[case] = self._clock()

    @property
    def has_unsaved(self) -> bool:
        """Whether a correction is not on disk yet."""
        return bool(self._changed_at)

    def is_unsaved(self, case: str) -> bool:
        """Whether a case has a correction that is not on disk yet."""
        return case in self._changed_at

    def poll(self) -> None:
        """Save corrections that have not changed for a moment."""
        due = [case for case, at in self._changed_at.items() if self._clock() - at >= AUTOSAVE_SECONDS]
        for case in due:
            self.save(case)

    def save(self, case: str, done: Callable[[], None] = lambda: None) -> None:
        """Write the correction of a case, if there is one that is not written; then call ``done``."""
        node = self.mask_node(case)
        if case not in self._changed_at or node is None:
            self._changed_at.pop(case, None)
            done()
            return
        try:
            snapshot, grid = Snapshot.of(node), reference_grid(node)
        except InputError as error:
            self._changed_at[case] = self._clock()
            self._failed(case, error)
            return
        del self._changed_at[case]
        path = self.study.case(case).edited_mask

        def write() -> tuple[str, ...]:
            if not path.parent.is_dir():
                raise InputError(_("{path}: the folder is no longer there.").format(path=path.parent))
            label_map, notes = _with_study_values(_on(snapshot, grid), self.study, path)
            write_label_map(label_map, path)
            return notes

        def not_saved(error: Exception) -> None:
            self._changed_at.setdefault(case, self._clock())
            self._failed(case, error)

        def saved(notes: tuple[str, ...]) -> None:
            self._on_saved(case)
            self._say(case, notes)
            done()

        self._background.run(write, saved, not_saved)

    def save_all(self) -> None:
        """Write all corrections and wait for it; for closing a scene or the application."""
        for case in list(self._changed_at):
            self.save(case)
        self._background.finish()

    def close(self) -> None:
        """Stop watching the nodes; they stay in the scene."""
        for case in list(self._watched):
            self._unwatch(case)


def _on(snapshot: Snapshot, grid: Volume | None) -> LabelMap:
    if grid is None:
        raise InputError(_("Expected a segmentation that knows its CT's geometry, found one without."))
    return snapshot.merged(grid)
