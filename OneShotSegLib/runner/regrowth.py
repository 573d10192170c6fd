"""A case under review, whose mask regrows from its reviewer's strokes: one command, or a worker that holds the case."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box, grown, union
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.label_grids import map_on_ct
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.method.regrowth import DEFAULT_REGROWTH, RegrowthSettings, ReviewedCT, regrow
from OneShotSegLib.study.case_ct import FileState, check_ct, file_state, read_case_ct
from OneShotSegLib.study.case_state import check_is_there
from OneShotSegLib.study.correction import store_correction
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import counting_mask, read_mask
from OneShotSegLib.study.review import ReviewLedger, ReviewState
from OneShotSegLib.study.shares import read_shares
from OneShotSegLib.study.strokes import match_strokes, read_strokes, stroke_segments, write_strokes
from OneShotSegLib.study.structure_table import read_named_label_map

log = logging.getLogger(__name__)

Labels = NDArray[np.uint8]
BoolMask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class RegrownCase:
    """What strokes did to a case's mask.

    Attributes:
        mask: The mask, on the CT's own grid.
        box: The part of the grid that was worked on; None if nothing had to be done.
        changed_ml: How many ml each structure gained, or lost where it is negative, by name; those that changed.
        changed_voxels: How many voxels have another label.
        seconds: Time spent on it, files not included.
    """

    mask: LabelMap
    box: Box | None
    changed_ml: Mapping[str, float]
    changed_voxels: int
    seconds: float


class CaseUnderReview:
    """A case of a study in memory: its CT, the mask that counts, and its reviewer's strokes.

    Attributes:
        files: The case's files.
        state: What was decided of it.
        ct: The CT in HU.
        structures: The study's.
        segments: What strokes may be.
        mask: Its mask as it is now, shape (D, H, W).
        strokes: Its strokes as they are now, shape (D, H, W).
    """

    def __init__(self, study: StudyPaths, case: str, settings: RegrowthSettings = DEFAULT_REGROWTH) -> None:
        """Read the case.

        Raises:
            InputError: If there is no such case, it has no mask, its CT is another one, or a file cannot be read.
        """
        description = StudyDescription.read(study)
        entry = next((one for one in description.cases if one.case == case), None)
        if entry is None:
            raise InputError(f"{case}: expected a case of the study in {study.root}, found none of that name.")
        self.files, self.settings = study.case(case), settings
        self.structures, self.segments = description.structures, stroke_segments(description)
        self.state: ReviewState = ReviewLedger.load(study.review).state_of(case)
        source = counting_mask(self.files, self.state)
        if not source.is_file():
            raise InputError(f"{case}: expected a case with a mask, found none: propagate to it first.")
        volume = read_case_ct(entry.source, entry.series)
        check_ct(self.files, volume, entry.source)
        self.ct = as_hounsfield(volume, entry.source)
        self.mask = self._read_mask(source)
        self.strokes = read_strokes(self.files, self.segments, self.ct)
        # What is saved before anything was corrected by others goes again when its last stroke is taken back.
        untouched = source == self.files.pseudo_mask and not self.files.edited_mask.exists() and not self.strokes.any()
        self._untouched: Labels = self.mask if untouched else np.zeros(0, np.uint8)
        self._written: FileState | None = None
        self._reviewed = ReviewedCT(ct=self.ct, background=description.background_label, prior=self._shares())

    @property
    def background(self) -> int:
        """Value of the background stroke."""
        return self._reviewed.background

    def strokes_of(self, labels: LabelMap, source: Path) -> Labels:
        """Strokes of a label map, matched by name, on the CT's grid; what is not used of it is logged as a warning.

        Returns:
            With the study's values, shape (D, H, W); 0 where nothing is painted.

        Raises:
            InputError: If it cannot be matched, or does not fit the CT.
        """
        found = match_strokes(labels, self.segments, source, self.ct)
        for note in found.notes:
            log.warning("%s: %s", self.files.name, note)
        return found.labels.volume.array

    def add(self, strokes: Labels, check: Callable[[], None] = lambda: None) -> RegrownCase:
        """Add strokes, and let the mask regrow around those that are new; a later one wins where they overlap.

        Args:
            strokes: With the study's values, shape (D, H, W); 0 where nothing is painted.
            check: Called between the steps; what it raises ends it, and nothing is changed.
        """
        box = bounding_box(strokes > 0)
        if box is None:
            return self._result(self.mask, None, 0.0)
        merged, new = self.strokes.copy(), np.zeros(strokes.shape, dtype=bool)
        part = strokes[box]
        merged[box][part > 0] = part[part > 0]
        # What is painted and is not so in the mask is to be so, even if the same stroke was there before.
        painted = np.where(part == self.background, 0, part)
        new[box] = (part > 0) & ((part != self.strokes[box]) | (painted != self.mask[box]))
        return self._regrow(self.mask, merged, new, check)

    def replace(self, strokes: Labels, check: Callable[[], None] = lambda: None) -> RegrownCase:
        """Let these strokes take the place of all that are there.

        Around strokes that are gone the mask becomes the pseudo mask again, and regrows from the strokes that stay.

        Args:
            strokes: As for `add`.
            check: As for `add`.
        """
        gone = (self.strokes > 0) & (strokes != self.strokes)
        box = bounding_box(gone)
        base, again = self.mask, (strokes > 0) & (strokes != self.strokes)
        if box is not None:
            limit = self.settings.limit_mm
            box = grown(box, np.ceil(limit / self.ct.spacing).astype(int) + 1, self.ct.shape)
            near = distance_transform_edt(~gone[box], sampling=self.ct.spacing) <= limit
            base = self.mask.copy()
            base[box][near] = self._read_mask(self.files.pseudo_mask)[box][near] if self._has_pseudo_mask else 0
            again[box] |= near & (strokes[box] > 0)
        found = self._regrow(base, strokes.copy(), again, check)
        if box is None:
            return found
        return self._result(found.mask.volume.array, box if found.box is None else union([box, found.box]), 0.0)

    def take(self, result: RegrownCase, strokes: Labels) -> None:
        """Take a result over: from now on it is the case's mask, and these, shape (D, H, W), are its strokes."""
        self.mask, self.strokes = result.mask.volume.array, strokes

    def merged(self, strokes: Labels) -> Labels:
        """The case's strokes with more of them on top; all have shape (D, H, W)."""
        return np.where(strokes > 0, strokes, self.strokes)

    def save(self, reopen: bool = False) -> Path:
        """Write the mask as the case's correction, and its strokes; the path of the mask that counts then.

        A correction that was there before is kept under another name, but for one that was written here. If no stroke
        is left of a case that had no correction, none stays.

        Args:
            reopen: Open a case again that is decided.

        Raises:
            InputError: If the case is decided, or the study is gone.
            OSError: If it could not be written.
        """
        self.check_open(reopen)
        check_is_there(self.files.study)
        path = self._write()
        if self.state != "pending":
            ledger = ReviewLedger.load(self.files.study.review)
            ledger.decide(self.files.name, "pending")
            ledger.save()
            self.state = "pending"
        return path

    def _write(self) -> Path:
        edited = self.files.edited_mask
        own = self._written is not None and file_state(edited) == self._written
        if own and not self.strokes.any() and np.array_equal(self.mask, self._untouched):
            edited.unlink()
            self.files.strokes.unlink(missing_ok=True)
            self._written = None
            return self.files.pseudo_mask
        # The mask first: what is missing after a sudden end is then done again by the same strokes.
        if own:
            write_label_map(self._label_map(self.mask), edited)
        else:
            store_correction(self.files, self._label_map(self.mask))
        self._written = file_state(edited)
        write_strokes(self.files, self.strokes, self.segments, self.ct)
        return edited

    def check_open(self, reopen: bool = False) -> None:
        """Refuse a case that is decided.

        Raises:
            InputError: If it is, and is not to be opened again.
        """
        if self.state != "pending" and not reopen:
            raise InputError(
                f"{self.files.name}: expected a case that is open, found one that is {self.state}; --reopen opens it "
                "again."
            )

    def _regrow(self, mask: Labels, strokes: Labels, new: BoolMask, check: Callable[[], None]) -> RegrownCase:
        started = time.perf_counter()
        found = regrow(self._reviewed, mask, strokes, new, self.settings, check)
        return self._result(found.mask, found.box, time.perf_counter() - started)

    def _result(self, mask: Labels, box: Box | None, seconds: float) -> RegrownCase:
        changed_ml: dict[str, float] = {}
        changed = 0
        if box is not None:
            before, after = self.mask[box], mask[box]
            changed = int((before != after).sum())
            voxel_ml = float(np.prod(self.ct.spacing)) / 1000
            for segment in self.structures:
                gain = int((after == segment.value).sum()) - int((before == segment.value).sum())
                if gain:
                    changed_ml[segment.name] = round(gain * voxel_ml, 3)
        return RegrownCase(
            mask=self._label_map(mask), box=box, changed_ml=changed_ml, changed_voxels=changed, seconds=seconds
        )

    def _label_map(self, mask: Labels) -> LabelMap:
        return LabelMap(self.ct.with_array(mask), self.structures)

    @property
    def _has_pseudo_mask(self) -> bool:
        return self.files.pseudo_mask.is_file()

    def _read_mask(self, source: Path) -> Labels:
        found = read_mask(source, self.structures)
        for note in found.notes:
            log.warning("%s: %s", self.files.name, note)
        return map_on_ct(found.labels, self.ct, source).volume.array

    def _shares(self) -> SoftLabels | None:
        try:
            return read_shares(self.files.shares)
        except InputError as error:
            log.warning("%s: its shares are left out: %s", self.files.name, error)
            return None


def regrow_case(
    study: StudyPaths,
    case: str,
    strokes: LabelMap | None,
    source: Path,
    *,
    replace: bool = False,
    reopen: bool = False,
) -> RegrownCase:
    """Add strokes to a case of a study, and write the regrown mask as its correction.

    Args:
        study: The study.
        case: The case's name.
        strokes: The strokes; read from the source if left out.
        source: Their file.
        replace: Let them take the place of all strokes that the case has.
        reopen: Open a case again that is decided.

    Raises:
        InputError: If there is no such case, it is decided, has no mask, or the strokes cannot be used; then nothing
            was written.
        OSError: If it could not be written.
    """
    labels = strokes if strokes is not None else read_named_label_map(source)
    held = CaseUnderReview(study, case)
    held.check_open(reopen)
    painted = held.strokes_of(labels, source)
    if not painted.any() and not (replace and held.strokes.any()):
        raise InputError(f"{source}: expected at least one stroke, found none.")
    result = held.replace(painted) if replace else held.add(painted)
    merged = painted if replace else held.merged(painted)
    if result.changed_voxels or not np.array_equal(merged, held.strokes):
        held.take(result, merged)
        held.save(reopen)
    return result
