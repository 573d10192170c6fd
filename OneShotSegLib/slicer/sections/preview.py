"""The support's own mask, shown after each stroke: grown by the live worker, kept in a node of its own."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.growth_sentence import growth_sentence
from OneShotSegLib.interface.jobs.live_worker import Answer, LiveWorker
from OneShotSegLib.interface.live_parts import SentStrokes, grid_of, read_part, write_strokes_part
from OneShotSegLib.interface.snapshots import CroppedLabels, Snapshot
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.mrml.display import SHOWN_ATTRIBUTE, contours_only
from OneShotSegLib.slicer.mrml.segmentations import fill_segmentation, take_snapshot
from OneShotSegLib.slicer.mrml.volumes import volume_from_node
from OneShotSegLib.slicer.sections.context import PanelContext
from OneShotSegLib.slicer.sections.scene_inputs import unchanged_file
from OneShotSegLib.slicer.sections.weights import Settings
from OneShotSegLib.worker.client import WorkerError

SETTING = "OneShotSeg/Preview"
PREVIEW = "OneShotSeg preview"
REST_SECONDS = 0.15
"""A stroke is sent when nothing was painted for this long."""


class SupportPreview:
    """The switch, and what it shows.

    Args:
        context: The panel's.
        live: The worker.
        is_ready: Whether what the worker needs is installed; nobody is asked because of a stroke.
        settings: Where the switch is remembered.
        clock: Seconds.
    """

    def __init__(
        self,
        context: PanelContext,
        live: LiveWorker,
        is_ready: Callable[[], bool],
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = context
        self._live, self._is_ready, self._settings, self._clock = live, is_ready, settings, clock
        self._ct: Any = None
        self._node: Any = None
        self._scribbles: Any = None
        self._tags: list[int] = []
        self._changed_at: float | None = None
        self._generation = 0
        self._grid: Volume | None = None
        self._opening = self._known_ready = False
        box = context.ui.previewBox
        box.setChecked(str(settings.value(SETTING, "true")).lower() != "false")
        box.connect("toggled(bool)", self._on_toggled)
        self._say("")

    @property
    def is_on(self) -> bool:
        """Whether the switch is on."""
        return bool(self.context.ui.previewBox.checked)

    @property
    def node(self) -> Any:
        """The segmentation that shows the mask; None if there is none."""
        # Not by its name, which a node of the user's may have too.
        return self._node if self._node is not None and self._node.GetScene() is not None else None

    def follow(self, ct: Any, scribbles: Any) -> None:
        """Preview these strokes from now on; None for none."""
        if (ct, scribbles) == (self._ct, self._scribbles):
            return
        self._forget()
        self._ct, self._scribbles = ct, scribbles
        if ct is None or scribbles is None:
            return
        kind = slicer.vtkSegmentation
        events = (kind.SourceRepresentationModified, kind.SegmentAdded, kind.SegmentRemoved, kind.SegmentModified)
        self._tags = [scribbles.AddObserver(event, lambda caller, name: self._changed()) for event in events]

    def prepare(self) -> None:
        """Strokes are about to be painted: start the worker, so that the first one is shown soon."""
        if self.is_on and self._is_usable():
            self._open()
            self._changed()

    def close(self) -> None:
        """Stop; for a scene, a panel, an application that is closed."""
        self._forget()
        self._ct = self._scribbles = None

    def poll(self) -> None:
        """Send strokes that have rested for a moment."""
        if self._changed_at is None or self._clock() - self._changed_at < REST_SECONDS or self._opening:
            return
        self._changed_at = None
        if self.is_on and self._is_usable():
            self._send()

    def _changed(self) -> None:
        self._changed_at = self._clock()

    def _on_toggled(self, on: bool) -> None:
        self._settings.setValue(SETTING, "true" if on else "false")
        if on:
            if self._ct is not None and self._scribbles is not None and self._ensured():
                self.prepare()
            return
        self._stop()

    def _ensured(self) -> bool:
        try:
            return self.context.ensure_ready()
        except InputError as error:
            self.context.messages.error(str(error))
            return False

    def _stop(self) -> None:
        """Give up what is computed, and the mask that is shown."""
        self._generation += 1
        self._changed_at, self._opening = None, False
        if self._live.holds(self._key()):
            self._live.close()
        node = self.node
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)
        self._node = None
        self._say("")

    def _forget(self) -> None:
        if self._ct is not None:
            self._stop()
        for tag in self._tags:
            self._scribbles.RemoveObserver(tag)
        self._tags = []

    def _is_usable(self) -> bool:
        there = self._ct is not None and self._scribbles is not None and self._scribbles.GetScene() is not None
        if not there or self._ct.GetImageData() is None:
            return False
        self._known_ready = self._known_ready or self._is_ready()
        if not self._known_ready:
            self._say(_("No preview yet: tick it again to install what it needs."))
            return False
        return True

    def _key(self) -> tuple[str, str, int]:
        image = self._ct.GetImageData() if self._ct is not None else None
        return "support", self._ct.GetID() if self._ct is not None else "", image.GetMTime() if image else 0

    def _open(self) -> None:
        """Have the worker hold the support."""
        if self._live.holds(self._key()) or self._opening:
            return
        self._opening, self._grid = True, None
        self._generation += 1
        generation = self._generation
        source = unchanged_file(self._ct)
        if source is not None:
            self._open_file(source, generation)
            return
        path = self._live.folder / f"support-{generation}.nrrd"
        try:
            volume = volume_from_node(self._ct, copy=False)
        except InputError as error:
            self._failed(generation, error)
            return
        self.context.background.run(
            functools.partial(write_volume, volume, path),
            lambda _none: self._open_file(path, generation),
            functools.partial(self._failed, generation),
        )

    def _open_file(self, path: Path, generation: int) -> None:
        if generation != self._generation:
            return
        key = self._key()
        failed = functools.partial(self._failed, generation)
        self._live.open(key, "open_support", functools.partial(self._opened, generation), failed, ct=str(path))

    def _opened(self, generation: int, answer: Answer) -> None:
        if generation == self._generation:
            self._opening, self._grid = False, grid_of(answer)

    def _send(self) -> None:
        if self._grid is None or not self._live.holds(self._key()):
            self._changed()  # as soon as the support is open
            self._open()
            return
        self._generation += 1
        generation = self._generation
        try:
            snapshot = take_snapshot(self._scribbles)
        except InputError as error:
            self._failed(generation, error)
            return
        path = self._live.folder / f"scribbles-{generation % 8}.npy"
        self.context.background.run(
            functools.partial(write_strokes_part, snapshot, self._grid, path),
            functools.partial(self._grow, generation, snapshot),
            functools.partial(self._failed, generation),
        )

    def _grow(self, generation: int, snapshot: Snapshot, sent: SentStrokes) -> None:
        if generation != self._generation:
            return
        background = {segment.value for segment in snapshot.segments if segment.is_background_stroke}
        if not background & set(sent.values) or not set(sent.values) - background:
            self._say(_("Preview: paint a stroke on a structure, and one on the background around it."))
            self._show(snapshot, None)
            return
        self._live.ask(
            "grow",
            functools.partial(self._grown, generation, snapshot),
            functools.partial(self._failed, generation),
            scribbles=str(sent.path),
            box=sent.box,
            segments=sent.segments,
            to=str(self._live.folder / f"mask-{generation % 8}.npy"),
        )

    def _grown(self, generation: int, snapshot: Snapshot, answer: Answer) -> None:
        if generation != self._generation:
            return
        self._show(snapshot, answer)
        left = ", ".join(answer.get("without_strokes", []))
        said = [
            _("Preview, without strokes yet: {names}").format(names=left) if left else "",
            growth_sentence(answer.get("volumes_ml", {})),
        ]
        self._say("\n".join(filter(None, said)))

    def _failed(self, generation: int, error: Exception) -> None:
        if generation != self._generation or (isinstance(error, WorkerError) and error.ended):
            return
        self._opening = False
        self._say(_("No preview: {reason}").format(reason=error))

    def _show(self, snapshot: Snapshot, answer: Answer | None) -> None:
        assert self._grid is not None
        found = read_part(answer) if answer is not None else None
        self._node = node = self.node or self._made()
        if found is None or not found[0].any():
            node.GetSegmentation().RemoveAllSegments()
            return
        labels, box = found
        empty = self._grid.with_array(np.broadcast_to(np.uint8(0), self._grid.shape))
        segments = tuple(segment for segment in snapshot.segments if not segment.is_background_stroke)
        z, y, x = (side.start for side in box)
        fill_segmentation(node, CroppedLabels(LabelMap(empty, segments), labels, (z, y, x)))
        if self.context.editor.segmentation is self._scribbles:
            node.GetDisplayNode().SetVisibility(True)

    @staticmethod
    def _made() -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", PREVIEW)
        # It follows from the strokes: nothing to be saved, chosen or edited.
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node.SetAttribute(SHOWN_ATTRIBUTE, "preview")
        contours_only(node)
        node.GetDisplayNode().SetSaveWithScene(False)
        return node

    def _say(self, text: str) -> None:
        self.context.ui.previewLabel.text = text
        self.context.ui.previewLabel.setVisible(bool(text))
