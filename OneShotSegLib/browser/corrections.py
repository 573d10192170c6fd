"""A case that is corrected in the page: strokes that its mask regrows around, voxels painted, and both taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.browser.live import Live
from OneShotSegLib.browser.masks import SentMask
from OneShotSegLib.browser.strokes import Hounsfield, Stroke, nothing_painted, touched
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.case_files import Version, version_of, write_corrected
from OneShotSegLib.interface.live_parts import read_part
from OneShotSegLib.interface.regrowth_sentence import regrowth_sentence
from OneShotSegLib.interface.review_session import ReviewSession
from OneShotSegLib.study.description import StudyDescription

Labels = NDArray[np.uint8]
STEPS_KEPT = 50


@dataclass(eq=False)
class Change:
    """What a correction did to a mask.

    Attributes:
        text: In words.
        box: The part that may have changed; None if nothing did.
        voxels: Its labels.
    """

    text: str
    box: Box | None = None
    voxels: Labels | None = None


@dataclass(eq=False)
class _Step:
    """Something that can be taken back.

    Attributes:
        version: The correction's file after it.
        box: For voxels that were painted: where.
        before: For voxels that were painted: what was there.
        is_first: Whether there was no correction before it: without it, none stays.
    """

    version: Version
    box: Box | None = None
    before: Labels | None = None
    is_first: bool = False


@dataclass(frozen=True, eq=False)
class _Held:
    """The mask that was painted in last: a large one takes a second to read.

    Attributes:
        version: The file that it is.
        labels: On the CT's grid; painting changes it in place.
        segments: What the values mean.
    """

    version: Version
    labels: Labels
    segments: tuple[Segment, ...]


@dataclass(eq=False)
class Corrections:
    """The corrections of a study's cases. Nothing is answered before it is on disk.

    Attributes:
        session: The review.
        live: The worker.
        read: Reads a mask of a case.
        reader: Whose corrections they are; '' for the study's own.
    """

    session: ReviewSession
    live: Live
    read: Callable[[str, Path], Awaitable[SentMask]]
    reader: str = ""
    _held: _Held | None = None
    _steps: dict[str, list[_Step]] = field(default_factory=dict)
    _key: tuple[Any, ...] | None = None

    def can_undo(self, case: str) -> bool:
        """Whether there is a correction of a case to take back."""
        steps = self._steps.get(case)
        if not steps or steps[-1].version != self._version(case):
            return False
        return steps[-1].before is not None or self.live.holds(self._key_of(case))

    async def prepare(self, case: str) -> None:
        """Have the worker read a case, so that the first stroke is fast.

        Raises:
            InputError: If there is no such case.
            WorkerError: If it cannot be read.
        """
        async with self.live.lock:
            await self._open(case)

    async def regrow(self, case: str, stroke: Stroke, grid: Volume, hounsfield: Hounsfield) -> Change:
        """Let the mask of a case regrow around a stroke, and save it as its correction.

        Args:
            case: The case.
            stroke: The stroke; its label is one of the study's, or the background stroke's.
            grid: The CT's grid.
            hounsfield: The CT, for a stroke with a range.

        Raises:
            InputError: If the stroke lies outside, or paints nothing.
            WorkerError: If it cannot be done.
        """
        self._require_known(stroke, with_background=True)
        found = await asyncio.to_thread(stroke.voxels, grid.shape, grid.spacing, hounsfield)
        if found is None:
            raise nothing_painted(stroke)
        box, voxels = found
        async with self.live.lock:
            await self._open(case)
            path = self.live.file("strokes")
            await asyncio.to_thread(np.save, path, voxels.astype(np.uint8) * np.uint8(stroke.value))
            sides = [[part.start, part.stop] for part in box]
            answer = await self.live.ask("regrow", strokes=str(path), box=sides, to=str(self.live.file("regrown")))
            change = await self._save(case, answer, 1)
            self._remember(case, _Step(self._version(case)))
            return change

    async def paint(self, case: str, stroke: Stroke, grid: Volume, hounsfield: Hounsfield) -> Change:
        """Give the voxels of a stroke its label, and save the mask as the case's correction; see `regrow`.

        Raises:
            InputError: If the stroke lies outside or paints nothing, or the mask cannot be read.
            OSError: If it cannot be written.
        """
        self._require_known(stroke, with_background=False)
        async with self.live.lock:
            held = await self._hold(case, grid)
            labels = held.labels
            found = await asyncio.to_thread(touched, labels, stroke, grid.spacing, hounsfield)
            if found is None:
                raise nothing_painted(stroke)
            box, voxels = found
            before = labels[box].copy()
            labels[box][voxels] = stroke.value
            is_first = not self.session.study.case(case).edited_mask.is_file()
            await self._write(case, held, grid)
            self._remember(case, _Step(self._version(case), box, before, is_first))
            count = int(voxels.sum())
            what = "filled between slices" if stroke.kind == "between" else "painted"
            return Change(f"{case}: {what}; saved as its correction. {count:,} voxels.", box, labels[box].copy())

    async def undo(self, case: str, grid: Volume) -> Change:
        """Take the latest correction of a case back; see `can_undo`."""
        async with self.live.lock:
            step = self._steps[case].pop()
            if step.box is None or step.before is None:
                answer = await self.live.ask("undo", to=str(self.live.file("regrown")))
                change = await self._save(case, answer, -1)
            else:
                held = await self._hold(case, grid)
                held.labels[step.box] = step.before
                await self._write(case, held, grid, step.is_first)
                change = Change(f"{case}: the latest stroke is taken back.", step.box, step.before)
            for earlier in self._steps[case][-1:]:
                earlier.version = self._version(case)
            return change

    def _require_known(self, stroke: Stroke, with_background: bool) -> None:
        """Refuse a label that is none of the study's; the background's is that of a stroke, and 0 that of no voxel."""
        description = StudyDescription.read(self.session.study)
        known = {segment.value for segment in description.structures}
        known.add(description.background_label if with_background else 0)
        if stroke.value not in known:
            raise InputError("Expected a stroke of one of the study's structures, found another.")

    async def _hold(self, case: str, grid: Volume) -> _Held:
        """The mask of a case, to be painted in; until it is written, nothing is held."""
        held, self._held = self._held, None
        path = self.session.mask(case)
        version = version_of(path)
        if held is not None and held.version == version:
            return held
        mask = await self.read(case, path)
        labels = np.zeros(grid.shape, np.uint8)
        labels[mask.box] = mask.voxels
        return _Held(version, labels, mask.segments)

    async def _write(self, case: str, held: _Held, grid: Volume, may_be_none: bool = False) -> None:
        study, files = self.session.study, self.session.study.case(case)
        labels = LabelMap(grid.with_array(held.labels), held.segments)
        pseudo_mask = files.pseudo_mask if may_be_none else None
        await asyncio.to_thread(partial(write_corrected, labels, study, files.edited_mask, pseudo_mask))
        self.session.reopen(case)
        self.session.refresh()
        self._held = _Held(version_of(self.session.mask(case)), held.labels, held.segments)

    async def _save(self, case: str, answer: dict[str, Any], step: int) -> Change:
        part = read_part(answer) if answer.get("changed_voxels") else None
        self.session.reopen(case)
        await self.live.ask("save", reopen=True)
        self.session.refresh()
        # What the worker holds is what is on disk now.
        self._key = self._key_of(case)
        self.live.rename(self._key)
        text = regrowth_sentence(case, answer, step)
        return Change(text) if part is None else Change(text, part[1], part[0])

    def _remember(self, case: str, step: _Step) -> None:
        steps = self._steps.setdefault(case, [])
        steps.append(step)
        del steps[:-STEPS_KEPT]

    def _version(self, case: str) -> Version:
        return version_of(self.session.study.case(case).edited_mask)

    def _key_of(self, case: str) -> tuple[Any, ...]:
        row = self.session.row(case)
        return case, self.reader, row.state, version_of(self.session.mask(case))

    async def _open(self, case: str) -> None:
        key = self._key_of(case)
        if self.live.holds(key):
            return
        self._key = key
        fields = {"reader": self.reader} if self.reader else {}
        await self.live.open(key, "open_case", study=str(self.session.study.root), case=case, **fields)
