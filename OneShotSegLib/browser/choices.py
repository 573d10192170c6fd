"""The CTs to choose from: those that were found, and the series of folders with several of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OneShotSegLib.browser.drafts import draft_file
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.input_search import look, search, series_to_choose
from OneShotSegLib.imaging.inputs import Found, FoundCT, Kind, LeftOut, lines
from OneShotSegLib.study.layout import StudyPaths, read_json, write_json

FILE = "series.json"
LEFT_OUT_SHOWN = 40


@dataclass(frozen=True, eq=False)
class Offer:
    """What there is.

    Attributes:
        cts: The CTs that can be used.
        folders: Folder with several CT series to these.
        left_out: What is not used, a line for each, and why.
    """

    cts: tuple[FoundCT, ...]
    folders: dict[Path, tuple[FoundCT, ...]]
    left_out: tuple[str, ...]


class Choices:
    """The CTs of the paths that the page was opened with, and which series were chosen; the choice is on disk.

    Args:
        study: The study that they are for.
        paths: Files and folders.
    """

    def __init__(self, study: StudyPaths, paths: Sequence[Path]) -> None:
        self._paths, self._file = tuple(paths), draft_file(study).with_name(FILE)
        self._series = _read(self._file)
        self._offer: Offer | None = None

    @property
    def series(self) -> tuple[str, ...]:
        """The UIDs of the series that were chosen."""
        return self._series

    async def offer(self) -> Offer:
        """What there is to choose from.

        Raises:
            InputError: If there is no CT at all.
        """
        if self._offer is None:
            self._offer = await asyncio.to_thread(self._look)
        return self._offer

    async def choose(self, folder: int, series: int) -> Offer:
        """Choose a series of a folder with several; the same is chosen in folders of which nothing was chosen yet.

        Args:
            folder: Its number.
            series: The series' number; -1 uses none of that folder.

        Raises:
            InputError: If there is none of that number.
            OSError: If the choice cannot be kept.
        """
        folders = list((await self.offer()).folders.values())
        if not 0 <= folder < len(folders) or not -1 <= series < len(folders[folder]):
            raise InputError("Expected a series of the list, found another.")
        here = folders[folder]
        chosen = [uid for uid in self._series if uid not in {one.series for one in here}]
        if series >= 0:
            chosen.append(here[series].series)
            for other in folders:
                alike = [one.series for one in other if _words(one) == _words(here[series])]
                if other is not here and len(alike) == 1 and not any(one.series in chosen for one in other):
                    chosen += alike
        await asyncio.to_thread(write_json, self._file, {"series": chosen})
        self._series, self._offer = tuple(chosen), None
        return await self.offer()

    def _look(self) -> Offer:
        found = look(self._paths, series=self._series)
        several = (Kind.SEVERAL_SERIES, Kind.NOT_CHOSEN)
        candidates = [entry.path for entry in found.left_out if entry.kind in several]
        folders = {path: series_to_choose(path) for path in dict.fromkeys((*candidates, *self._divided(found)))}
        folders = {path: series for path, series in sorted(folders.items()) if series}
        if not found.cts and not folders:
            search(self._paths)  # says what there is instead
        # What may be chosen is not named once more.
        rest = [self._relative(entry) for entry in found.left_out if entry.kind not in several]
        return Offer(found.cts, folders, tuple(lines(rest)[:LEFT_OUT_SHOWN]))

    @staticmethod
    def _divided(found: Found) -> list[Path]:
        return [ct.path for ct in found.cts if ct.series]

    def _relative(self, entry: LeftOut) -> LeftOut:
        """The same without where the folder lies: paths stay here."""
        for root in self._paths:
            if entry.path.is_relative_to(root):
                path = Path(root.name) / entry.path.relative_to(root)
                return LeftOut(path=path, kind=entry.kind, reason=entry.reason, count=entry.count)
        return entry


def _words(ct: FoundCT) -> str:
    return " ".join(ct.description.split()).casefold()


def _read(file: Path) -> tuple[str, ...]:
    try:
        content: Any = read_json(file)
    except InputError:
        return ()
    series = content.get("series") if isinstance(content, dict) else None
    return tuple(uid for uid in series if isinstance(uid, str)) if isinstance(series, list) else ()
