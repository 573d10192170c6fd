"""One stroke in a query, and its mask regrows: strokes in their own node, the live worker, the correction."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import Segment, background_segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.case_files import version_of
from OneShotSegLib.interface.jobs.live_worker import Answer, LiveWorker
from OneShotSegLib.interface.live_parts import SentStrokes, grid_of, read_part, write_strokes_part
from OneShotSegLib.interface.regrowth_sentence import regrowth_sentence
from OneShotSegLib.interface.review_session import ReviewSession
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.slicer.mrml.segment_tags import VALUE_TAG, write_tags
from OneShotSegLib.slicer.mrml.segmentations import BINARY_LABELMAP, take_snapshot
from OneShotSegLib.slicer.review.case_nodes import CaseNodes
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.worker.client import WorkerError

STROKES = "OneShotSeg strokes"

Key = tuple[str, str, str, object]


class Regrowing:
    """Strokes in the case that is looked at.

    Args:
        study: The study.
        case_nodes: Its cases in the scene.
        live: The worker.
        background: Where strokes are written.
        session: What was decided of its cases.
    """

    def __init__(
        self,
        study: StudyPaths,
        case_nodes: CaseNodes,
        live: LiveWorker,
        background: Background,
        session: ReviewSession,
    ) -> None:
        self.study, self._case_nodes, self._session = study, case_nodes, session
        self._live, self._background = live, background
        self._grids: dict[str, Volume] = {}
        self._node: Any = None
        self._key: Key | None = None
        self._steps = 0
        self._count = 0
        self._busy = ""
        self._then: list[Callable[[], None]] = []
        self._opened: list[Callable[[], None]] = []
        self._on_done: Callable[[str, str], None] = lambda case, text: None
        self._on_error: Callable[[str], None] = lambda text: None

    def connect(self, on_done: Callable[[str, str], None], on_error: Callable[[str], None]) -> None:
        """Set what gets a case and a sentence when its correction is on disk, and what gets an error's sentence."""
        self._on_done, self._on_error = on_done, on_error

    @property
    def node(self) -> Any:
        """The segmentation with the strokes that are not sent yet; None if there is none."""
        # Not by its name, which a node of the user's may have too.
        return self._node if self._node is not None and self._node.GetScene() is not None else None

    @property
    def busy(self) -> bool:
        """Whether a mask regrows, or is being saved."""
        return bool(self._busy)

    def can_undo(self, case: str) -> bool:
        """Whether there is a stroke of this case to take back."""
        return self._steps > 0 and self._key == self._key_of(case) and self._live.holds(self._key)

    def begin(self, case: str) -> Any:
        """Have a node for strokes in a case, and the worker read it meanwhile; the node.

        Raises:
            InputError: If the study cannot be read.
        """
        self._node = node = self.node or self._made(case)
        self._after_saving(case, lambda: self._open(case))
        return node

    def end(self) -> None:
        """Another case is looked at: strokes that were not sent are gone."""
        if self.node is not None:
            slicer.mrmlScene.RemoveNode(self.node)
        self._node = None

    def after(self, action: Callable[[], None]) -> None:
        """Do something as soon as nothing regrows any more and its correction is on disk."""
        if self._busy:
            self._then.append(action)
        else:
            action()

    def regrow(self, case: str) -> None:
        """Let the mask of a case regrow around the strokes.

        Raises:
            InputError: If there are no strokes.
        """
        node = self.node
        if node is None:
            raise InputError(_("Expected a stroke, found none: press Regrow, paint, and press it again."))
        snapshot = take_snapshot(node)

        def send() -> None:
            self._count += 1
            path = self._live.folder / f"strokes-{self._count % 8}.npy"
            write = functools.partial(write_strokes_part, snapshot, self._grids[case], path)
            self._background.run(write, functools.partial(self._ask, case, node), self._failed)

        def begin() -> None:
            self._busy = case
            self._open(case, send)

        self._after_saving(case, begin)

    def undo(self, case: str) -> None:
        """Take the latest stroke back."""
        self._busy = case
        self._count += 1
        self._live.ask("undo", functools.partial(self._regrown, case, -1), self._failed, to=str(self._mask_file()))

    def _mask_file(self) -> Path:
        return self._live.folder / f"regrown-{self._count % 8}.npy"

    def _after_saving(self, case: str, action: Callable[[], None]) -> None:
        """What was corrected by hand is on disk before the worker reads the case."""
        self._case_nodes.corrections.save(case, action)

    def _key_of(self, case: str) -> Key:
        return case, str(self.study.root), self._session.row(case).state, version_of(self._session.mask(case))

    def _open(self, case: str, then: Callable[[], None] = lambda: None) -> None:
        key = self._key_of(case)
        if self._live.holds(key):
            if case in self._grids:
                then()
            else:
                self._opened.append(then)
            return

        def opened(answer: Answer) -> None:
            self._grids[case] = grid_of(answer)
            waiting, self._opened = self._opened, []
            for action in waiting:
                action()

        self._key, self._steps = key, 0
        self._grids.pop(case, None)
        self._opened = [then]
        self._live.open(key, "open_case", opened, self._failed, study=str(self.study.root), case=case)

    def _ask(self, case: str, node: Any, sent: SentStrokes) -> None:
        if not sent.values:
            self._failed(InputError(_("Expected a stroke, found none: paint one where the mask is wrong.")))
            return

        def regrown(answer: Answer) -> None:
            if node.GetScene() is not None:
                _clear(node)
            self._regrown(case, 1, answer)

        self._live.ask("regrow", regrown, self._failed, strokes=str(sent.path), box=sent.box, to=str(self._mask_file()))

    def _regrown(self, case: str, step: int, answer: Answer) -> None:
        found = read_part(answer) if answer.get("changed_voxels") else None
        if found is not None:
            self._case_nodes.take_part(case, self._grids[case], *found)
        self._steps += step
        if not self._live.holds(self._key) or self._key is None or self._key[0] != case:
            self._finish()  # another case was opened since
            return
        text = regrowth_sentence(case, answer, step)
        try:
            self._session.reopen(case)
        except InputError as error:
            self._failed(error)
            return
        # The worker's file is the correction: the strokes are kept with it.
        self._live.ask("save", functools.partial(self._saved, case, text), self._failed, reopen=True)

    def _saved(self, case: str, text: str, _answer: Answer) -> None:
        self._case_nodes.corrections.saved_elsewhere(case)
        self._on_done(case, text)
        key = self._key_of(case)
        if self._key is not None and self._live.holds(self._key):
            self._live.rename(key)
            self._key = key
        self._finish()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, WorkerError) and error.ended:
            return  # a newer one holds its strokes too
        # What waited for the mask, such as its acceptance, was meant for another one than is there.
        self._opened, self._then = [], []
        self._finish()
        self._on_error(str(error))

    def _finish(self) -> None:
        self._busy = ""
        then, self._then = self._then, []
        for action in then:
            action()

    def _made(self, case: str) -> Any:
        description = StudyDescription.read(self.study)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", STROKES)
        # Strokes are kept by the study.
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
        node.SetReferenceImageGeometryParameterFromVolumeNode(self._case_nodes.ct_node(case))
        for described in (*description.structures, background_segment(description.background_label)):
            _add(node, described)
        return node


def _add(node: Any, described: Segment) -> None:
    segment = slicer.vtkSegment()
    segment.SetName(described.name)
    segment.SetColor(*described.color)
    segment.SetLabelValue(described.value)
    write_tags(segment, described)
    node.GetSegmentation().AddSegment(segment, f"Segment_{described.value}")
    segment.SetTag(VALUE_TAG, str(described.value))


def _clear(node: Any) -> None:
    """Remove the strokes; the segments stay."""
    segmentation = node.GetSegmentation()
    for number in range(segmentation.GetNumberOfSegments()):
        # Each its own: segments may share one.
        segmentation.GetNthSegment(number).AddRepresentation(BINARY_LABELMAP, slicer.vtkOrientedImageData())
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)
