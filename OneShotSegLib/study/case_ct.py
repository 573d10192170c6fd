"""A case is its CT: what it was when the case was made, and whether what lies at its path still is that."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import LENGTH
from OneShotSegLib.imaging.detached import voxel_files
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.layout import CasePaths
from OneShotSegLib.study.quality import CTRecord, read_quality, write_quality

log = logging.getLogger(__name__)

GRID_STEP_MM = 0.0073
"""Positions are compared to this; an odd number, so that the usual ones never lie between two steps."""
OTHER_CT = "the CT is another one than the case was made of"


class OtherCTError(InputError):
    """What lies at a case's path is another CT than the case was made of."""


@dataclass(frozen=True)
class FileState:
    """What tells at a glance that a file, or the files of a folder, are the same as before.

    Attributes:
        bytes: Their size.
        modified: When the latest was changed, microseconds since 1970.
    """

    bytes: int
    modified: int


_states: WeakKeyDictionary[Volume, FileState] = WeakKeyDictionary()
_fingerprints: WeakKeyDictionary[Volume, str] = WeakKeyDictionary()


def read_case_ct(source: Path | str, series: str = "") -> Volume:
    """Read a case's CT, and remember for `record_of` what its files looked like before.

    Args:
        source: A file, or a folder with a DICOM series.
        series: Series instance UID, where the folder holds several CT series.

    Raises:
        InputError: As `read_volume`.
    """
    state = file_state(Path(source))
    volume = read_volume(source, series)
    if state is not None:
        _states[volume] = state
    return volume


def record_of(ct: Volume) -> CTRecord:
    """What is kept of a CT with its case; of one that `read_case_ct` did not read, the content alone."""
    state = _states.get(ct, FileState(0, 0))
    size = (ct.shape[0], ct.shape[1], ct.shape[2])
    return CTRecord(fingerprint=fingerprint_of_ct(ct), size=size, bytes=state.bytes, modified=state.modified)


def fingerprint_of_ct(ct: Volume) -> str:
    """The fingerprint of a CT: of its voxels' values, in whatever type, and of their positions."""
    known = _fingerprints.get(ct)
    if known is not None:
        return known
    corners = ct.to_world([(0, 0, 0), *np.diag(np.asarray(ct.shape) - 1)])
    grid = np.rint(corners / GRID_STEP_MM).astype("<i8")
    digest = hashlib.sha256(np.asarray(ct.shape, dtype="<i8").tobytes() + grid.tobytes())
    for plane in ct.array:
        digest.update(np.ascontiguousarray(plane, dtype="<f4").data)
    _fingerprints[ct] = digest.hexdigest()[:LENGTH]
    return _fingerprints[ct]


def file_state(source: Path) -> FileState | None:
    """The state of a CT's file, of the files of its folder, or of a header and its voxels' file; None if it is gone."""
    try:
        states = [path.stat() for path in _files(source)]
    except OSError:
        return None
    return FileState(sum(s.st_size for s in states), max((s.st_mtime_ns for s in states), default=0) // 1000)


def _files(source: Path) -> Iterable[Path]:
    if source.is_dir():
        return [path for path in source.iterdir() if path.is_file() and not path.name.startswith(".")]
    # Of files that the header names and that are not there, nothing can be said.
    return [source, *(path for path in voxel_files(source) if path.is_file())]


def is_at_a_glance(record: CTRecord, source: Path) -> bool:
    """Whether a CT's files have the size and time that they had."""
    state = file_state(source)
    return state is not None and state.bytes > 0 and (state.bytes, state.modified) == (record.bytes, record.modified)


def check_ct(files: CasePaths, ct: Volume, source: Path | str) -> None:
    """Check a CT that was read for a case; a case that has no record of its CT gets one.

    Args:
        files: The case.
        ct: What was read.
        source: Where, for the sentence.

    Raises:
        OtherCTError: If the case was made of another CT.
    """
    try:
        quality = read_quality(files.quality)
    except InputError:
        return  # a correction without measures: nothing is known of its CT
    record = record_of(ct)
    if quality.ct is not None and quality.ct.fingerprint != record.fingerprint:
        raise OtherCTError(f"{source}: expected the CT that the case was made of, found another one.")
    if record.bytes and quality.ct != record:
        with suppress(OSError):  # a study that may only be read
            write_quality(replace(quality, ct=record), files.quality)


def is_other_ct(files: CasePaths, source: Path | str, series: str = "") -> bool:
    """Whether another CT lies at a case's path than it was made of; the CT is read only if its files look changed.

    False where nothing can be said: the CT is gone or cannot be read, or the case has no record of it.
    """
    try:
        record = read_quality(files.quality).ct
        if record is None or is_at_a_glance(record, Path(source)) or not Path(source).exists():
            return False
        check_ct(files, read_case_ct(source, series), source)
    except OtherCTError:
        return True
    except (InputError, OSError):
        return False
    return False


class HasCT(Protocol):
    """A case with its CT."""

    @property
    def case(self) -> str:
        """Its name."""

    @property
    def files(self) -> CasePaths:
        """Its files."""

    @property
    def ct(self) -> Path:
        """Where its CT lies."""

    @property
    def series(self) -> str:
        """The CT's series instance UID, or ''."""


def has_own_ct(result: HasCT) -> bool:
    """Whether the CT of a case is the one that it was made of; if not, a warning says that it is passed over."""
    if is_other_ct(result.files, result.ct, result.series):
        log.warning("%s: %s, passed over.", result.case, OTHER_CT)
        return False
    return True
