"""Reading the cases of a study in the child process, the one that is likely to be looked at next ahead of time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.interface.case_files import CaseContent, Version, read_case, version_of
from OneShotSegLib.slicer.jobs.background import Background
from OneShotSegLib.study.layout import StudyPaths

Done = Callable[[CaseContent, Version], None]
Failed = Callable[[Exception], None]


@dataclass(frozen=True)
class Wanted:
    """What of a case is to be read.

    Attributes:
        case: Its name.
        counts: The file of the mask that counts now; another version of it makes what was read ahead useless.
        ct: The CT's file; None if the CT is in the scene.
        mask: The mask's file; None if it is in the scene as it is on disk.
    """

    case: str
    counts: Path
    ct: Path | None
    mask: Path | None

    def is_part_of(self, other: Wanted) -> bool:
        """Whether reading the other one reads this, too."""
        return (self.ct is None or other.ct is not None) and (self.mask is None or other.mask is not None)


class CaseReader:
    """Reads cases, one of them ahead.

    Args:
        study: The study.
        background: Where files are read.
    """

    def __init__(self, study: StudyPaths, background: Background) -> None:
        self._study, self._background = study, background
        self._ahead: dict[str, tuple[Wanted, Version, CaseContent | None]] = {}
        self._awaited: tuple[str, Done, Failed] | None = None

    def read(self, wanted: Wanted, done: Done, failed: Failed) -> None:
        """Read a case, or take what was read of it ahead; who waited for another one waits no longer."""
        self._awaited = None
        known = self._ahead_of(wanted)
        if known is None:
            self._read(wanted, done, failed)
            return
        version, content = known
        if content is None:
            self._awaited = (wanted.case, done, failed)  # it is just being read
        else:
            done(content, version)

    def _ahead_of(self, wanted: Wanted) -> tuple[Version, CaseContent | None] | None:
        """What was read of it ahead, or is being read; None if that is of no use now."""
        ahead, version, content = self._ahead.get(wanted.case, (None, None, None))
        if ahead is None or version is None or version != version_of(wanted.counts) or not wanted.is_part_of(ahead):
            return None
        return version, content

    def stop_waiting(self) -> None:
        """Nobody waits for a case that is being read ahead."""
        self._awaited = None

    def read_ahead(self, wanted: Wanted) -> None:
        """Read a case before it is asked for; what was read ahead of other cases is dropped."""
        case, version = wanted.case, version_of(wanted.counts)
        self._ahead = {name: found for name, found in self._ahead.items() if name == case}
        if self._ahead_of(wanted) is not None:
            return
        self._ahead[case] = (wanted, version, None)

        def ready(content: CaseContent, read: Version) -> None:
            if case in self._ahead:
                self._ahead[case] = (wanted, read, content)
            awaited = self._take_awaited(case)
            if awaited is not None:
                awaited[0](content, read)

        def not_read(error: Exception) -> None:
            self._ahead.pop(case, None)
            awaited = self._take_awaited(case)
            if awaited is not None:  # else it is said when the case is looked at
                awaited[1](error)

        self._read(wanted, ready, not_read)

    def _take_awaited(self, case: str) -> tuple[Done, Failed] | None:
        awaited, self._awaited = self._awaited, None
        return awaited[1:] if awaited is not None and awaited[0] == case else None

    def forget(self, case: str) -> None:
        """What was read of a case ahead is in the scene now."""
        self._ahead.pop(case, None)

    def _read(self, wanted: Wanted, done: Done, failed: Failed) -> None:
        version = version_of(wanted.counts)
        read = functools.partial(read_case, self._study, wanted.ct, wanted.mask)
        self._background.run(read, lambda content: done(content, version), failed)
