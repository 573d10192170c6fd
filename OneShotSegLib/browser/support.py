"""The support in the page: which CT, its strokes, what they grow into, and what is missing before they propagate."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from OneShotSegLib.browser.drafts import Draft, DraftText, read_draft
from OneShotSegLib.browser.images import Images, SentImage
from OneShotSegLib.browser.live import Live
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.imaging.labelmaps import Segment, read_label_map
from OneShotSegLib.interface.known_inputs import known_supports
from OneShotSegLib.interface.live_parts import read_part
from OneShotSegLib.interface.scribble_checks import Finding, check_scribbles
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.worker.client import WorkerError


@dataclass(eq=False)
class Grown:
    """A support's own mask.

    Attributes:
        volumes_ml: Of each structure.
        box: Where its part lies in the CT.
        voxels: The part.
        segments: What the values mean.
        without_strokes: Structures that have none yet.
    """

    volumes_ml: dict[str, float]
    box: Box | None
    voxels: Any
    segments: tuple[Segment, ...]
    without_strokes: tuple[str, ...]


@dataclass(eq=False)
class Support:
    """The support that is being painted.

    Attributes:
        study: The study that it is for.
        images: The CTs that are sent.
        live: The worker.
        draft: Its strokes; None while no CT is chosen.
        image: Its CT; None while none is chosen.
    """

    study: StudyPaths
    images: Images
    live: Live
    draft: Draft | None = None
    image: SentImage | None = None
    _asked: int = 0

    async def load(self) -> None:
        """Go on with what was painted before, in the page or for the study.

        Raises:
            InputError: If the CT or its strokes cannot be read.
        """
        if self.draft is not None:
            return
        text = await asyncio.to_thread(self._kept)
        if text is not None:
            await self._take(text)

    async def choose(self, ct: FoundCT) -> None:
        """Paint in this CT from now on; what was painted in it before is taken up again.

        Raises:
            InputError: If it cannot be read.
        """
        if self.draft is not None and self._is(self.draft.text, ct):
            return
        text = await asyncio.to_thread(self._begun, ct)
        await self._take(text)

    def known_structures(self) -> tuple[Segment, ...]:
        """The study's structures, whose values and colours stay."""
        try:
            return StudyDescription.read(self.study).structures
        except InputError:
            return ()

    def require(self) -> tuple[Draft, SentImage]:
        """The strokes and the CT.

        Raises:
            InputError: If no CT is chosen.
        """
        if self.draft is None or self.image is None:
            raise InputError("Expected a CT that is chosen, found none: choose the CT of the support first.")
        return self.draft, self.image

    async def grow(self) -> Grown | None:
        """What the strokes grow into; None if newer strokes came meanwhile.

        Raises:
            InputError: If no CT is chosen.
            WorkerError: If it cannot be grown.
        """
        draft, _image = self.require()
        self._asked += 1
        asked = self._asked
        async with self.live.lock:
            if asked != self._asked:
                return None
            await self._open(draft)
            labels, segments = draft.labels, draft.text.segments
            box = await asyncio.to_thread(lambda: bounding_box(labels > 0))
            if box is None:
                raise InputError("Expected strokes, found none: paint one on a structure and one on the background.")
            path, target = self.live.file("scribbles"), self.live.file("grown")
            await asyncio.to_thread(np.save, path, labels[box])
            try:
                answer = await self.live.ask(
                    "grow",
                    scribbles=str(path),
                    box=[[part.start, part.stop] for part in box],
                    segments=[{"value": segment.value, "name": segment.name} for segment in segments],
                    to=str(target),
                )
            except WorkerError as error:
                if error.ended:
                    return None
                raise
            part = read_part(answer)
            voxels, where = part if part is not None else (None, None)
            return Grown(answer["volumes_ml"], where, voxels, draft.structures, tuple(answer["without_strokes"]))

    async def check(self) -> list[Finding]:
        """What is missing before the strokes can be propagated.

        Raises:
            InputError: If no CT is chosen, or it cannot be read.
        """
        draft, _image = self.require()
        return list(await asyncio.to_thread(partial(_checked, draft)))

    async def _open(self, draft: Draft) -> None:
        key = ("support", draft.text.ct, draft.text.series)
        if not self.live.holds(key):
            await self.live.open(key, "open_support", ct=draft.text.ct, series=draft.text.series)

    async def _take(self, text: DraftText) -> None:
        image = await asyncio.to_thread(self.images.image, Path(text.ct), text.series)
        hounsfield = partial(self.images.hounsfield, Path(text.ct), text.series)
        draft = await asyncio.to_thread(Draft, self.study, text, image.grid, hounsfield)
        self.draft, self.image = draft, image

    def _kept(self) -> DraftText | None:
        kept = read_draft(self.study)
        if kept is not None and Path(kept.ct).exists():
            return kept
        supports = known_supports(self.study)
        return _from_study(*supports[0]) if supports and supports[0][0].exists() else None

    def _begun(self, ct: FoundCT) -> DraftText:
        kept = read_draft(self.study)
        if kept is not None and self._is(kept, ct):
            return kept
        for source, scribbles in known_supports(self.study):
            if source.resolve() == ct.path.resolve():
                return _from_study(source, scribbles, ct.series)
        known = self.known_structures()
        return DraftText(str(ct.path), ct.series, segments=(*DraftText("").segments, *known))

    @staticmethod
    def _is(text: DraftText, ct: FoundCT) -> bool:
        return (Path(text.ct).resolve(), text.series) == (ct.path.resolve(), ct.series)


def _from_study(ct: Path, scribbles: Path, series: str = "") -> DraftText:
    return DraftText(str(ct), series, str(scribbles), read_label_map(scribbles).segments)


def _checked(draft: Draft) -> tuple[Finding, ...]:
    ct = as_hounsfield(read_volume(Path(draft.text.ct), draft.text.series), "The support")
    return check_scribbles(draft.label_map, ct)
