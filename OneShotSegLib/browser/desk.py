"""What all pages that are open share: the study, its review, the support, the live worker, the run."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from OneShotSegLib.browser.children import Children
from OneShotSegLib.browser.corrections import Corrections
from OneShotSegLib.browser.events import Events
from OneShotSegLib.browser.images import Images, SentImage, is_heavy
from OneShotSegLib.browser.live import Live
from OneShotSegLib.browser.masks import ReadMask, SentMask, mask_of, read_sent
from OneShotSegLib.browser.runs import Runs
from OneShotSegLib.browser.strokes import Hounsfield
from OneShotSegLib.browser.support import Support
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.input_search import search
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.interface.case_files import Version, version_of
from OneShotSegLib.interface.known_inputs import known_queries, known_supports
from OneShotSegLib.interface.review_keys import REVIEW_KEYS
from OneShotSegLib.interface.review_session import ReviewRow, ReviewSession
from OneShotSegLib.study.description import StudyCase, StudyDescription
from OneShotSegLib.study.inputs import is_study
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.readers import reader_paths, readers_of

WATCH_SECONDS = 2.0
STROKES_KNOWN = 1000


@dataclass(frozen=True, kw_only=True)
class BrowseRequest:
    """What `oneshotseg browse` is asked to show.

    Attributes:
        study: The study folder; it need not be there yet.
        cts: Files and folders with the CTs, to begin a study with; empty where the study knows its own.
        read_only: Whether nothing may be changed.
        reader: Whose decisions and corrections are shown and made; '' for the study's own.
        device: Where runs compute.
        weights: The weights of runs.
    """

    study: Path
    cts: Sequence[Path] = ()
    read_only: bool = False
    reader: str = ""
    device: str = "auto"
    weights: str = "auto"


class ForbiddenError(InputError):
    """Something that this page may not do."""


@dataclass(eq=False)
class Desk:
    """Made in the event loop's thread, and used there.

    Attributes:
        request: What to show.
        study: The study, as the reader has it.
        folder: For files on their way; removed in the end.
        exports: What was exported, by name.
    """

    request: BrowseRequest
    study: StudyPaths = field(init=False)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="OneShotSeg-browse-")))
    exports: dict[str, Path] = field(default_factory=dict)
    _sent: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _session: ReviewSession | None = None
    _corrections: Corrections | None = None
    _cts: list[FoundCT] | None = None
    _seen: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        """Open what is there.

        Raises:
            InputError: If the reader's name is none, or the ledger is broken.
        """
        self.study = reader_paths(StudyPaths(self.request.study), self.request.reader)
        self.events = Events()
        self.children = Children()
        self.images = Images(self.folder / "images", self.children)
        self.live = Live()
        self.support = Support(StudyPaths(self.request.study), self.images, self.live)
        self.runs = Runs(self.events, self._case_done)
        self._open()

    @property
    def whole_study(self) -> StudyPaths:
        """The study, whoever reads it."""
        return StudyPaths(self.request.study)

    @property
    def session(self) -> ReviewSession:
        """The review.

        Raises:
            InputError: If there is no study yet.
        """
        self._open()
        if self._session is None:
            raise InputError("Expected a study with cases, found none: propagate first.")
        return self._session

    @property
    def corrections(self) -> Corrections:
        """The corrections; see `session`."""
        session = self.session
        if self._corrections is None:
            self._corrections = Corrections(session, self.live, self.mask_of, self.request.reader)
        return self._corrections

    def _open(self) -> None:
        if self._session is None and self.study.root.is_dir():
            self._session = ReviewSession(self.study)

    def is_new(self, number: str) -> bool:
        """Whether a stroke of this number was not sent before: pages send again what they got no answer to."""
        is_new = not number or number not in self._sent
        self._sent[number] = None
        while len(self._sent) > STROKES_KNOWN:
            self._sent.popitem(last=False)
        return is_new

    def require_writable(self) -> None:
        """Refuse to change anything where the page is for reading alone.

        Raises:
            ForbiddenError: If so.
        """
        if self.request.read_only:
            raise ForbiddenError("This page is read-only: it was started with --read-only.")

    def require_author(self) -> None:
        """Refuse what is no reader's affair: strokes of the support, runs, exports.

        Raises:
            ForbiddenError: If so.
        """
        self.require_writable()
        if self.request.reader:
            raise ForbiddenError("A reader decides and corrects; the rest is done without --reader.")

    def rows(self) -> list[dict[str, Any]]:
        """All cases as the page shows them, the doubtful first; none while there is no study."""
        self._open()
        if self._session is None:
            return []
        self._session.refresh()
        return [self._row_json(self._session, row) for row in self._session.rows]

    @staticmethod
    def _row_json(session: ReviewSession, row: ReviewRow) -> dict[str, Any]:
        version = "" if row.failed else version_text(version_of(session.mask(row.case)))
        return {**row_json(row), "version": version}

    def state(self) -> dict[str, Any]:
        """What a page needs to begin."""
        session = self._session
        return {
            "study": {
                "name": self.request.study.name,
                "path": str(self.request.study),
                "there": is_study(self.whole_study),
            },
            "read_only": self.request.read_only,
            "reader": self.request.reader,
            "readers": readers_of(self.whole_study),
            "keys": REVIEW_KEYS,
            "rows": self.rows(),
            "can_undo": session.can_undo if session is not None else False,
            "strokes": self._stroke_segments(),
            "run": self.runs.as_json(),
            "log": self.runs.log,
        }

    def _stroke_segments(self) -> list[dict[str, Any]]:
        """What may be painted in a query: its structures, and the background stroke last."""
        try:
            table = StudyDescription.read(self.whole_study).table
        except InputError:
            return []
        return [
            {"value": s.value, "name": s.name, "color": list(s.color), "background": s.is_background_stroke}
            for s in table
        ]

    def case(self, name: str) -> StudyCase:
        """A case of the study by its name; no path comes from the page.

        Raises:
            InputError: If there is none.
        """
        cases = StudyDescription.read(self.whole_study).cases
        found = next((case for case in cases if case.case == name), None)
        if found is None:
            raise InputError(f"{name}: expected a case of this study, found none of that name.")
        return found

    async def image_of(self, case: str) -> SentImage:
        """A case's CT.

        Raises:
            InputError: If there is no such case, or its CT cannot be read.
        """
        found = self.case(case)
        return await asyncio.to_thread(self.images.image, Path(found.source), found.series)

    def hounsfield_of(self, case: str) -> Hounsfield:
        """The HU of parts of a case's CT.

        Raises:
            InputError: If there is no such case.
        """
        found = self.case(case)
        return partial(self.images.hounsfield, Path(found.source), found.series)

    async def mask_of(self, case: str, path: Path) -> SentMask:
        """A mask of a case; it is read while its CT is.

        Args:
            case: The case.
            path: Its mask.

        Raises:
            InputError: If there is no such case, or its CT or mask cannot be read.
        """
        source = Path(self.case(case).source)

        def read() -> ReadMask:
            heavy = is_heavy(source)
            return self.children.run(read_sent, path, self.whole_study) if heavy else read_sent(path, self.whole_study)

        image, found = await asyncio.gather(self.image_of(case), asyncio.to_thread(read))
        if found.fits(image.grid):
            return found.mask
        return await asyncio.to_thread(mask_of, path, self.whole_study, image.grid)

    async def begin(self) -> None:
        """Read the case that the page will begin with while the browser starts, if that takes long."""
        first = next((row for row in self.rows() if row["open"]), None)
        with contextlib.suppress(InputError, OSError):  # what is wrong is said when the case is looked at
            found = self.case(first["case"]) if first is not None else None
            if found is not None and await asyncio.to_thread(is_heavy, Path(found.source)):
                self.children.warm()
                await self.image_of(found.case)

    async def cts(self) -> list[FoundCT]:
        """The CTs to choose a support from: those given, or those of the study.

        Raises:
            InputError: If there is none.
        """
        if self._cts is None:
            if self.request.cts:
                found = await asyncio.to_thread(lambda: search(self.request.cts).cts)
                self._cts = list(found)
            else:
                queries, series = known_queries(self.whole_study)
                supports = [ct for ct, _scribbles in known_supports(self.whole_study)]
                self._cts = [FoundCT(path=path) for path in dict.fromkeys((*supports, *queries)) if path.exists()]
                self._cts = [ct for ct in self._cts if not (series and ct.path.is_dir())] or self._cts
        return self._cts

    def tell_rows(self) -> None:
        """Tell all pages how the cases stand."""
        session = self._session
        self.events.send(
            "rows",
            rows=self.rows(),
            can_undo=session.can_undo if session is not None else False,
            strokes=self._stroke_segments(),
        )

    def _case_done(self, _case: str) -> None:
        try:
            self.tell_rows()
        except InputError as error:
            self.events.send("error", text=str(error))

    async def watch(self) -> None:
        """Tell the pages what the panel, a shell or another reader changed, as long as the server runs."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not self.events.has_listeners:
                continue
            seen = await asyncio.to_thread(self._look)
            if seen != self._seen:
                self._seen = seen
                self._case_done("")

    def _look(self) -> tuple[Any, ...]:
        files = [self.study.review, self.study.description]
        if self.study.cases_folder.is_dir():
            for folder in sorted(self.study.cases_folder.iterdir()):
                case = self.study.case(folder.name)
                files += [case.quality, case.edited_mask]
        return tuple(version_of(path)[1:] for path in files)

    def close(self) -> None:
        """End everything that was started."""
        self.runs.stop_now()
        self.live.close()
        self.images.close()
        self.children.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def row_json(row: ReviewRow) -> dict[str, Any]:
    """A case as the page shows it."""
    return {
        "case": row.case,
        "state": row.state,
        "score": row.score,
        "level": row.level,
        "failed": row.failed,
        "open": row.is_open,
        "structures": row.structures,
        "order": row.doubtful_first,
        "decisions": {one.name: one.decision for one in row.details},
        "worst": row.worst,
        "comment": row.comment,
        "details": row.described,
        "has_edit": row.has_edit,
        "suggested": row.suggested,
    }


def version_text(version: Version) -> str:
    """A mask's version, for the page: without its path."""
    return f"{Path(version[0]).name}:{version[1]}:{version[2]}"
