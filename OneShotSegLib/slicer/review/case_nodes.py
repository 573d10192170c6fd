"""The case of a study that is looked at, in the scene: its CT and mask; corrections saved as they are made."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.case_files import CaseContent, CaseMask, Version, read_case, version_of, write_correction
from OneShotSegLib.interface.live_parts import with_part
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.slicer.mrml.display import SHOWN_ATTRIBUTE, contours_only, take_window
from OneShotSegLib.slicer.mrml.geometry import to_ras_point
from OneShotSegLib.slicer.mrml.hierarchy import into_patient_tree, into_study_folder, place_beside, remove_study_folder
from OneShotSegLib.slicer.mrml.segmentations import (
    add_segmentation_node,
    fill_segmentation,
    reference_grid,
    take_snapshot,
)
from OneShotSegLib.slicer.mrml.storage import stored_in
from OneShotSegLib.slicer.mrml.volumes import add_volume_node
from OneShotSegLib.study.layout import StudyPaths

STUDY_ATTRIBUTE = "OneShotSeg.Study"
LOADED_ATTRIBUTE = "OneShotSeg.LoadedByReview"
AUTOSAVE_SECONDS = 1.5

Point = tuple[float, float, float]


def mark(node: Any, study: StudyPaths, case: str) -> None:
    """Note on a node to which case of which study it belongs."""
    node.SetAttribute(SHOWN_ATTRIBUTE, case)
    node.SetAttribute(STUDY_ATTRIBUTE, str(study.root))


def nodes_of(scene: Any, class_name: str, study: StudyPaths) -> dict[str, Any]:
    """Case name to the node of a class, for the cases of a study that have one."""
    found = scene.GetNodesByClass(class_name)
    found.UnRegister(None)
    nodes = [found.GetItemAsObject(number) for number in range(found.GetNumberOfItems())]
    own = [node for node in nodes if node.GetAttribute(STUDY_ATTRIBUTE) == str(study.root)]
    return {node.GetAttribute(SHOWN_ATTRIBUTE): node for node in reversed(own)}


class CaseNodes:
    """The nodes of the case that is looked at; those of other cases leave the scene, and the next case is read ahead.

    Args:
        study: The study.
        background: Where files are read and written.
        volumes: Case name to the file of its CT.
        scene: Slicer's own if it is None.
        clock: Seconds.

    Attributes:
        editing: The case whose mask is being corrected; no new result takes the place of its mask.
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
        self.editing = ""
        self._scene = slicer.mrmlScene if scene is None else scene
        self._background = background
        self._clock = clock
        self._wanted = ""
        self._centres: dict[str, Mapping[str, Point]] = {}
        self._versions: dict[str, Version] = {}
        self._loaded: dict[str, Path] = {}
        self._older: set[str] = set()
        self._ahead: dict[str, tuple[Version, CaseContent | None]] = {}
        self._awaited: tuple[str, Path, Callable[[Any, Any], None], Callable[[], None]] | None = None
        self._watched: dict[str, tuple[Any, list[int]]] = {}
        self._changed_at: dict[str, float] = {}
        self._saving: set[str] = set()
        self._said: set[tuple[str, str]] = set()
        self._on_saved: Callable[[str], None] = lambda case: None
        self._on_error: Callable[[str], None] = lambda text: None

    def connect(self, on_saved: Callable[[str], None], on_error: Callable[[str], None]) -> None:
        """Set what is called with the case of a saved correction, and with the sentence of an error."""
        self._on_saved, self._on_error = on_saved, on_error

    def mask_node(self, case: str) -> Any:
        """The segmentation of a case; None if it is not in the scene."""
        return nodes_of(self._scene, "vtkMRMLSegmentationNode", self.study).get(case)

    def ct_node(self, case: str) -> Any:
        """The CT of a case; None if it is not in the scene."""
        return nodes_of(self._scene, "vtkMRMLScalarVolumeNode", self.study).get(case)

    def centre(self, case: str, structure: str) -> Point | None:
        """A RAS position within a structure, or within any other if it is absent."""
        centres = self._centres.get(case, {})
        return centres.get(structure) or next(iter(centres.values()), None)

    def is_kept(self, case: str) -> bool:
        """Whether the mask in the scene is a reviewer's work that no result may replace."""
        return case in self._changed_at or case in self._saving or (case == self.editing != "")

    def is_current(self, case: str, mask: Path) -> bool:
        """Whether the mask in the scene is what the file holds now, or a reviewer's correction of it."""
        known = (version_of(mask), version_of(self.study.case(case).edited_mask))
        return self.is_kept(case) or self._versions.get(case) in known

    def load(
        self,
        case: str,
        mask: Path,
        done: Callable[[Any, Any], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Have CT and mask of a case in the scene, then call ``done`` with the two nodes.

        Only the case that was asked for last is loaded. A mask that a reviewer is correcting is left as it is.

        Args:
            case: The case's name.
            mask: The mask that counts; see `ReviewSession.mask`.
            done: Gets the CT's node and the mask's.
            failed: Called after the error was shown.
        """
        self._wanted, self._awaited = case, None
        ct_path, mask_path = self._missing(case, mask)
        if ct_path is None and mask_path is None:
            self._show(case, done)
            return
        if ct_path is not None and case not in self.volumes:
            self._failed(case, InputError(_("{case}: the study does not name its CT.").format(case=case)))
            failed()
            return
        version, ahead = self._ahead.get(case, (None, None))
        if version is not None and version == version_of(mask):
            if ahead is not None:
                self._put(case, mask, ahead, version, done)
            else:
                self._awaited = (case, mask, done, failed)
            return

        def not_read(error: Exception) -> None:
            self._failed(case, error)
            failed()

        self._read(ct_path, mask_path, mask, lambda content, read: self._put(case, mask, content, read, done), not_read)

    def prefetch(self, case: str, mask: Path) -> None:
        """Read a case that is likely to be looked at next; what was read ahead before is dropped."""
        self._ahead = {name: found for name, found in self._ahead.items() if name == case}
        ct_path, mask_path = self._missing(case, mask)
        if self._ahead.get(case, (None, None))[0] == version_of(mask) or case not in self.volumes:
            return
        self._ahead[case] = (version_of(mask), None)

        def ready(content: CaseContent, version: Version) -> None:
            if case in self._ahead:
                self._ahead[case] = (version, content)
            awaited, self._awaited = self._awaited, None
            if awaited is not None and awaited[0] == case:
                self._put(case, awaited[1], content, version, awaited[2])

        def not_read(error: Exception) -> None:
            self._ahead.pop(case, None)
            awaited, self._awaited = self._awaited, None
            # What cannot be read is said when the case is looked at.
            if awaited is not None and awaited[0] == case:
                self._failed(case, error)
                awaited[3]()

        self._read(ct_path, mask_path, mask, ready, not_read)

    def _missing(self, case: str, mask: Path) -> tuple[Path | None, Path | None]:
        """The files of CT and mask that are to be read; None for what is in the scene as it should be."""
        ct_path = None if self.ct_node(case) is not None else self.volumes.get(case, Path())
        is_there = self.mask_node(case) is not None
        fresh = is_there and (self.is_kept(case) or self._versions.get(case) == version_of(mask))
        return ct_path, None if fresh else mask

    def _read(
        self,
        ct_path: Path | None,
        mask_path: Path | None,
        mask: Path,
        done: Callable[[CaseContent, Version], None],
        failed: Callable[[Exception], None],
    ) -> None:
        version = version_of(mask)
        read = functools.partial(read_case, self.study, ct_path, mask_path)
        self._background.run(read, lambda content: done(content, version), failed)

    def _put(
        self, case: str, mask: Path, content: CaseContent, version: Version, done: Callable[[Any, Any], None]
    ) -> None:
        if case != self._wanted:
            return
        if content.ct is not None and self.ct_node(case) is None:
            self._put_ct(case, content.ct)
        if content.mask is not None and not (self.mask_node(case) is not None and self.is_kept(case)):
            self._put_mask(case, mask, content.mask, version)
        self._ahead.pop(case, None)
        self._show(case, done)

    def _show(self, case: str, done: Callable[[Any, Any], None]) -> None:
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
        if node is None:
            return  # it is read when it is looked at
        was_changed = case in self._changed_at
        self._unwatch(case)
        fill_segmentation(node, with_part(take_snapshot(node), grid, labels, box))
        self._watch(case, node)
        if was_changed:
            self._changed(case, node)

    def saved_elsewhere(self, case: str) -> None:
        """The correction of a case that is in the scene is on disk, or gone from there."""
        path, node = self._counting(case), self.mask_node(case)
        if node is not None and case not in self._changed_at:
            self._versions[case] = version_of(path)
            stored_in(node, path)

    def _counting(self, case: str) -> Path:
        """The file of what is corrected: the correction, or the mask that it was made of where none is left."""
        edited = self.study.case(case).edited_mask
        return edited if edited.is_file() else self.study.case(case).pseudo_mask

    def nothing_to_save(self, case: str) -> None:
        """What changed in the node of a case's mask is nothing that a file holds, such as its surface."""
        node, version = self.mask_node(case), self._versions.get(case)
        if node is not None and version is not None and not self.is_kept(case):
            stored_in(node, Path(version[0]))

    def give_up(self, case: str, done: Callable[[], None]) -> None:
        """Forget what was corrected since it was last written; then, once nothing is being written, call ``done``."""
        self._changed_at.pop(case, None)

        def given_up() -> None:
            self._versions.pop(case, None)  # what is in the scene is in no file
            done()

        if case in self._saving:
            self._background.run(_nothing, lambda _none: given_up(), keep=True)
        else:
            given_up()

    def _put_mask(self, case: str, path: Path, mask: CaseMask, version: Version) -> None:
        self._unwatch(case)
        node = self.mask_node(case)
        if node is None:
            node = add_segmentation_node(mask.labels, case, self._scene)
            mark(node, self.study, case)
            contours_only(node)
            node.GetDisplayNode().SetVisibility(False)
        else:
            fill_segmentation(node, mask.labels)
        stored_in(node, path)
        self._loaded[case] = path
        # A correction that does not count, for the pseudo mask was accepted: another one must not take its place.
        edited = self.study.case(case).edited_mask
        (self._older.add if path != edited and edited.is_file() else self._older.discard)(case)
        self._centres[case] = {name: to_ras_point(centre) for name, centre in mask.centres.items()}
        self._versions[case] = version
        self._say(case, mask.notes)
        self._watch(case, node)

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
            if other in self._changed_at:
                self.save(other)
            if not self.is_kept(other):
                self._unwatch(other)
                self._versions.pop(other, None)
                self._scene.RemoveNode(node)
        for other, node in self._loaded_cts().items():
            if other != case and self.mask_node(other) is None:
                self._scene.RemoveNode(node)

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
        tags = [node.AddObserver(event, lambda caller, name: self._changed(case, node)) for event in events]
        self._watched[case] = (node, tags)

    def _unwatch(self, case: str) -> None:
        node, tags = self._watched.pop(case, (None, []))
        for tag in tags:
            node.RemoveObserver(tag)

    def _changed(self, case: str, node: Any) -> None:
        self._changed_at[case] = self._clock()
        # Whoever saves the scene now must not write a correction over the result.
        storage = node.GetStorageNode()
        if storage is not None:
            storage.SetFileName(str(self.study.case(case).edited_mask))

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
            if case in self._saving:
                # It is being written: what is asked for comes after that.
                self._background.run(_nothing, lambda _none: done(), keep=True)
                return
            done()
            return
        try:
            snapshot, grid = take_snapshot(node), reference_grid(node)
            if grid is None:
                raise InputError(_("Expected a segmentation that knows its CT's geometry, found one without."))
        except InputError as error:
            self._changed_at[case] = self._clock()
            self._failed(case, error)
            return
        del self._changed_at[case]
        self._saving.add(case)
        files = self.study.case(case)
        path = files.edited_mask
        # A correction, or strokes, that were there before are not taken back by making the mask what it was.
        older = case in self._older
        begun_here = not older and self._loaded.get(case) == files.pseudo_mask and not files.strokes.is_file()

        def not_saved(error: Exception) -> None:
            self._saving.discard(case)
            self._changed_at.setdefault(case, self._clock())
            self._failed(case, error)

        def saved(notes: tuple[str, ...]) -> None:
            self._saving.discard(case)
            self._older.discard(case)
            counting = self._counting(case)
            self._versions[case] = version_of(counting)
            still = self.mask_node(case)
            if still is not None and case not in self._changed_at:
                stored_in(still, counting)
            self._on_saved(case)
            self._say(case, notes)
            if case != self._wanted:
                self._drop_others(self._wanted)
            done()

        self._background.run(
            functools.partial(
                write_correction, snapshot, grid, self.study, path, files.pseudo_mask if begun_here else None, older
            ),
            saved,
            not_saved,
            keep=True,
        )

    def save_changed(self) -> None:
        """Write all corrections that are not written yet."""
        for case in list(self._changed_at):
            self.save(case)

    def save_all(self) -> None:
        """Write all corrections and wait for it; what else was to be read or written is dropped."""
        self.save_changed()
        self._background.keep_only()

    def close(self) -> None:
        """Stop watching the nodes; they stay in the scene."""
        for case in list(self._watched):
            self._unwatch(case)
        remove_study_folder(self._scene, self.study.root)


def _nothing() -> None:
    """Only the order matters."""
