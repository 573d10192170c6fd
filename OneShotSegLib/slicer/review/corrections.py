"""Corrections of the masks in the scene: noticed as they are painted, written by the child process."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.case_files import Version, version_of, write_correction
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.slicer.mrml.segmentations import reference_grid, take_snapshot
from OneShotSegLib.slicer.mrml.storage import stored_in
from OneShotSegLib.study.layout import StudyPaths

AUTOSAVE_SECONDS = 1.5


class Corrections:
    """What a reviewer changed in the masks that are in the scene.

    Args:
        study: The study.
        background: Where files are written.
        mask_node: Case name to its segmentation; None if that is not in the scene.
        clock: Seconds.

    Attributes:
        editing: The case whose mask is being corrected; no new result takes the place of its mask.
    """

    def __init__(
        self,
        study: StudyPaths,
        background: Background,
        mask_node: Callable[[str], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.editing = ""
        self._study, self._background, self._mask_node, self._clock = study, background, mask_node, clock
        self._versions: dict[str, Version] = {}
        self._loaded: dict[str, Path] = {}
        self._older: set[str] = set()
        self._watched: dict[str, tuple[Any, list[int]]] = {}
        self._changed_at: dict[str, float] = {}
        self._saving: set[str] = set()
        self._said: set[tuple[str, str]] = set()
        self._on_saved: Callable[[str], None] = lambda case: None
        self._on_error: Callable[[str], None] = lambda text: None
        self._on_free: Callable[[], None] = lambda: None

    def connect(
        self, on_saved: Callable[[str], None], on_error: Callable[[str], None], on_free: Callable[[], None]
    ) -> None:
        """Set what is called with the case of a saved correction, with an error's sentence, and when nodes may go."""
        self._on_saved, self._on_error, self._on_free = on_saved, on_error, on_free

    @property
    def has_unsaved(self) -> bool:
        """Whether a correction is not on disk yet."""
        return bool(self._changed_at)

    def is_unsaved(self, case: str) -> bool:
        """Whether a case has a correction that is not on disk yet."""
        return case in self._changed_at

    def is_kept(self, case: str) -> bool:
        """Whether the mask in the scene is a reviewer's work that no result may replace."""
        return case in self._changed_at or case in self._saving or (case == self.editing != "")

    def is_current(self, case: str, mask: Path) -> bool:
        """Whether the mask in the scene is what the file holds now, or a reviewer's correction of it."""
        known = (version_of(mask), version_of(self._study.case(case).edited_mask))
        return self.is_kept(case) or self._versions.get(case) in known

    def holds(self, case: str, mask: Path) -> bool:
        """Whether the mask in the scene need not be read again."""
        return self.is_kept(case) or self._versions.get(case) == version_of(mask)

    def put(self, case: str, node: Any, path: Path, version: Version, notes: Iterable[str]) -> None:
        """A mask was read into the scene: from now on its changes are corrections."""
        stored_in(node, path)
        self._loaded[case] = path
        # A correction that does not count, for the pseudo mask was accepted: another one must not take its place.
        edited = self._study.case(case).edited_mask
        (self._older.add if path != edited and edited.is_file() else self._older.discard)(case)
        self._versions[case] = version
        self._say(case, notes)
        self.watch(case, node)

    def watch(self, case: str, node: Any) -> None:
        """Take changes of a mask as corrections."""
        kind = slicer.vtkSegmentation
        events = (kind.SourceRepresentationModified, kind.SegmentAdded, kind.SegmentRemoved)
        tags = [node.AddObserver(event, lambda caller, name: self.changed(case, node)) for event in events]
        self._watched[case] = (node, tags)

    def unwatch(self, case: str) -> None:
        """What is changed now is no correction."""
        node, tags = self._watched.pop(case, (None, []))
        for tag in tags:
            node.RemoveObserver(tag)

    def forget(self, case: str) -> None:
        """The mask of a case leaves the scene."""
        self.unwatch(case)
        self._versions.pop(case, None)

    def changed(self, case: str, node: Any) -> None:
        """A reviewer changed a mask."""
        self._changed_at[case] = self._clock()
        # Whoever saves the scene now must not write a correction over the result.
        storage = node.GetStorageNode()
        if storage is not None:
            storage.SetFileName(str(self._study.case(case).edited_mask))

    def replace(self, case: str, node: Any, fill: Callable[[], None]) -> None:
        """Change a mask by what is on disk elsewhere: no correction by it, but what was one stays one."""
        was_changed = case in self._changed_at
        self.unwatch(case)
        fill()
        self.watch(case, node)
        if was_changed:
            self.changed(case, node)

    def saved_elsewhere(self, case: str) -> None:
        """The correction of a case that is in the scene is on disk, or gone from there."""
        path, node = self._counting(case), self._mask_node(case)
        if node is not None and case not in self._changed_at:
            self._versions[case] = version_of(path)
            stored_in(node, path)

    def _counting(self, case: str) -> Path:
        """The file of what is corrected: the correction, or the mask that it was made of where none is left."""
        files = self._study.case(case)
        return files.edited_mask if files.edited_mask.is_file() else files.pseudo_mask

    def nothing_to_save(self, case: str) -> None:
        """What changed in the node of a case's mask is nothing that a file holds, such as its surface."""
        node, version = self._mask_node(case), self._versions.get(case)
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

    def poll(self) -> None:
        """Save corrections that have not changed for a moment."""
        due = [case for case, at in self._changed_at.items() if self._clock() - at >= AUTOSAVE_SECONDS]
        for case in due:
            self.save(case)

    def save(self, case: str, done: Callable[[], None] = lambda: None) -> None:
        """Write the correction of a case, if there is one that is not written; then call ``done``."""
        node = self._mask_node(case)
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
            self.failed(case, error)
            return
        del self._changed_at[case]
        self._saving.add(case)
        files, older = self._study.case(case), case in self._older
        # A correction, or strokes, that were there before are not taken back by making the mask what it was.
        begun_here = not older and self._loaded.get(case) == files.pseudo_mask and not files.strokes.is_file()
        write = functools.partial(
            write_correction,
            snapshot,
            grid,
            self._study,
            files.edited_mask,
            files.pseudo_mask if begun_here else None,
            older,
        )
        self._background.run(
            write, functools.partial(self._saved, case, done), functools.partial(self._not_saved, case), keep=True
        )

    def _saved(self, case: str, done: Callable[[], None], notes: tuple[str, ...]) -> None:
        self._saving.discard(case)
        self._older.discard(case)
        counting = self._counting(case)
        self._versions[case] = version_of(counting)
        node = self._mask_node(case)
        if node is not None and case not in self._changed_at:
            stored_in(node, counting)
        self._on_saved(case)
        self._say(case, notes)
        self._on_free()
        done()

    def _not_saved(self, case: str, error: Exception) -> None:
        self._saving.discard(case)
        self._changed_at.setdefault(case, self._clock())
        self.failed(case, error)

    def save_changed(self) -> None:
        """Write all corrections that are not written yet."""
        for case in list(self._changed_at):
            self.save(case)

    def save_all(self) -> None:
        """Write all corrections and wait for it; what else was to be read or written is dropped."""
        self.save_changed()
        self._background.keep_only()

    def close(self) -> None:
        """Stop watching the nodes."""
        for case in list(self._watched):
            self.unwatch(case)

    def failed(self, case: str, error: Exception) -> None:
        """Say that something could not be read or written."""
        self._on_error(str(error) if isinstance(error, InputError) else f"{case}: {error}")

    def _say(self, case: str, notes: Iterable[str]) -> None:
        """Show sentences on a mask, each once: a correction is saved again and again."""
        for note in notes:
            if (case, note) not in self._said:
                self._said.add((case, note))
                self._on_error(f"{case}: {note}")


def _nothing() -> None:
    """Only the order matters."""
