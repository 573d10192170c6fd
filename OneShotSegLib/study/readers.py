"""Several readers of one study: each has decisions and corrections of their own, in ``readers/<name>``.

The study's own ledger and masks stay as they are. A reader's study is the study but for what they decide and correct,
so that everything that reviews a study reviews a reader's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.case_state import check_no_link
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.naming import safe_name

READERS = "readers"


@dataclass(frozen=True)
class ReaderCasePaths(CasePaths):
    """The files of a case as a reader has them.

    Attributes:
        reader: The reader's name.
    """

    reader: str = ""

    @property
    def own_folder(self) -> Path:
        """The folder of what the reader made of the case."""
        return self.folder.parent.parent / READERS / self.reader / "cases" / self.folder.name

    @property
    def edited_mask(self) -> Path:
        """The reader's corrected mask, if there is one."""
        return CasePaths(self.own_folder).edited_mask

    @property
    def strokes(self) -> Path:
        """The strokes that the reader painted in the query."""
        return CasePaths(self.own_folder).strokes

    @property
    def study(self) -> StudyPaths:
        """The reader's study."""
        return ReaderPaths(self.folder.parent.parent, self.reader)

    def _discarded(self, name: str) -> Path:
        return CasePaths(self.own_folder)._discarded(name)


@dataclass(frozen=True)
class ReaderPaths(StudyPaths):
    """The files of a study as a reader has them.

    Attributes:
        reader: The reader's name.
    """

    reader: str = ""

    @property
    def own_folder(self) -> Path:
        """The folder of what the reader made."""
        return self.root / READERS / self.reader

    @property
    def review(self) -> Path:
        """The reader's ledger."""
        return self.own_folder / "review.csv"

    def case(self, name: str) -> CasePaths:
        """The files of a case, there or not."""
        return ReaderCasePaths(self.cases_folder / name, self.reader)


def reader_paths(study: StudyPaths, reader: str) -> StudyPaths:
    """A study as a reader has it; the study itself where there is no name.

    Raises:
        InputError: If the name cannot be that of a folder, or a link lies in its place.
    """
    if not reader:
        return study
    if safe_name(reader) != reader:
        raise InputError(f"Expected a reader's name that can name a folder, found {reader!r}.")
    paths = ReaderPaths(study.root, reader)
    if study.root.is_dir():
        check_no_link(study, paths.own_folder)
    return paths


def readers_of(study: StudyPaths) -> list[str]:
    """The names of a study's readers, sorted."""
    folder = study.root / READERS
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and safe_name(entry.name) == entry.name)
