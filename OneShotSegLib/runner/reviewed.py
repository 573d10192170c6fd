"""Reviewed cases as supports with their whole masks: which ones, what they were, and reading them when needed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.atomic import copy_file
from OneShotSegLib.imaging.label_grids import map_on_ct
from OneShotSegLib.imaging.label_matching import match_labels
from OneShotSegLib.imaging.labelmaps import Segment, name_key, read_label_map
from OneShotSegLib.method.support import MaskedCT
from OneShotSegLib.runner.known_cases import KnownCases
from OneShotSegLib.runner.request import NONE, REVIEWED
from OneShotSegLib.study.case_ct import OtherCTError, fingerprint_of_ct, read_case_ct
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import StudyResult, study_results
from OneShotSegLib.study.revisions import MASK

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MaskSupport:
    """A reviewed case as a support, by its files.

    Attributes:
        case: Its name.
        ct: Where its CT lies.
        series: Series instance UID of the CT, where its folder holds several CT series; else ''.
        ct_fingerprint: The CT's fingerprint; '' if it is not known.
        mask: The mask that counts.
        structures: What the mask was reviewed for of the structures to segment: names as `name_key` has them.
        fingerprint: Of the mask's file, of the reviewer's strokes and of the CT.
    """

    case: str
    ct: Path
    series: str
    ct_fingerprint: str
    mask: Path
    structures: frozenset[str]
    fingerprint: str

    def as_json(self, paths: StudyPaths) -> dict[str, str]:
        """Its entry among the supports of a revision."""
        file = paths.mask_support(self.case, self.fingerprint).relative_to(paths.root).as_posix()
        return {"kind": MASK, "case": self.case, "mask": file, "fingerprint": self.fingerprint}


def choose_reviewed(
    paths: StudyPaths, chosen: str, structures: Iterable[Segment], known: KnownCases
) -> tuple[MaskSupport, ...]:
    """The accepted and corrected cases of a study that are supports of its next revision, in the study's order.

    One whose mask or CT cannot be used is left out, with a warning logged.

    Args:
        paths: The study; there may be none yet.
        chosen: "reviewed" for all, "none", or names with commas.
        structures: The structures to segment.
        known: The study's cases, with the places of their CTs by now.

    Raises:
        InputError: If a case that is named was not accepted or corrected, or a file of the study is broken.
    """
    if chosen.strip().casefold() == NONE:
        return ()
    results = _reviewed(paths, known)
    if chosen.strip().casefold() != REVIEWED:
        names = [name.strip() for name in chosen.split(",") if name.strip()]
        missing = next((name for name in names if name not in results), None)
        if missing is not None:
            raise InputError(
                f"{missing}: expected an accepted or corrected case of the study as a support "
                f"({', '.join(results) or 'there is none'}), or reviewed or none; found none of that name."
            )
        results = {name: result for name, result in results.items() if name in names}
    wanted = tuple(structures)
    found = (_mask_support(result, wanted) for result in results.values())
    return tuple(one for one in found if one is not None)


def _reviewed(paths: StudyPaths, known: KnownCases) -> dict[str, StudyResult]:
    """The reviewed cases by name, each with its CT where that is by now, without those whose CT is another one."""
    if not paths.description.exists():
        return {}
    cases = {case.case: case for case in known.cases if case.case not in known.failed}
    return {
        one.case: replace(one, ct=Path(cases[one.case].source), series=cases[one.case].series)
        for one in study_results(paths, without_broken_measures=True)
        if one.trusted and one.case in cases
    }


def _mask_support(result: StudyResult, structures: Sequence[Segment]) -> MaskSupport | None:
    if not result.ct.exists():
        log.warning("%s: its CT is gone: not used as a support.", result.case)
        return None
    try:
        known = _reviewed_structures(result, structures)
        content = result.mask.read_bytes()
        strokes = result.files.strokes.read_bytes() if result.files.strokes.is_file() else b""
    except (InputError, OSError) as error:
        log.warning("%s: not used as a support: %s", result.case, error)
        return None
    if not known:
        log.warning("%s: its mask has none of the structures: not used as a support.", result.case)
        return None
    record = result.quality.ct if result.quality is not None else None
    ct = record.fingerprint if record is not None else ""
    return MaskSupport(
        case=result.case,
        ct=result.ct,
        series=result.series,
        ct_fingerprint=ct,
        mask=result.mask,
        structures=known,
        fingerprint=fingerprint_of(content, strokes, ct, *sorted(result.keys_of("rejected", "doubtful"))),
    )


def _reviewed_structures(result: StudyResult, structures: Sequence[Segment]) -> frozenset[str]:
    """What a case was reviewed for: the names of a correction, or the structures that the pseudo mask was made for.

    Structures that the reviewer rejected, or is in doubt of, are left out. What a correction has of other structures is
    logged as a warning.

    Raises:
        InputError: If a correction cannot be read, has a structure twice, or does not fit its CT.
    """
    structures = [one for one in structures if one.key not in result.keys_of("rejected", "doubtful")]
    keys = {segment.key for segment in structures}
    if result.mask == result.files.pseudo_mask and result.quality is not None:
        return frozenset(keys.intersection(name_key(structure.name) for structure in result.quality.structures))
    labels = read_label_map(result.mask)
    if result.files.pseudo_mask.is_file():  # it has the CT's grid: rather an error now than in every query
        map_on_ct(labels, read_label_map(result.files.pseudo_mask).volume, result.mask)
    named = {segment.key for segment in labels.named} or keys  # without any name, values count
    known = [segment for segment in structures if segment.key in named]
    if known and not labels.volume.array.any():
        raise InputError("expected a mask with a structure, found an empty one.")
    if known:
        for note in match_labels(labels, known, result.mask).notes:
            log.warning("%s: %s", result.case, note)
    return frozenset(segment.key for segment in known)


def keep_masks(paths: StudyPaths, supports: Sequence[MaskSupport]) -> None:
    """Keep the masks of a revision as they are now, for its run and its workers; others are removed.

    Raises:
        OSError: If a file cannot be written.
    """
    wanted = {paths.mask_support(one.case, one.fingerprint): one.mask for one in supports}
    if paths.mask_supports.is_dir():
        for file in paths.mask_supports.iterdir():
            if file not in wanted:
                with contextlib.suppress(OSError):
                    file.unlink()
    for kept, mask in wanted.items():
        if not kept.is_file():
            # A copy: other programs may write into a reviewer's file, where the study's own are replaced.
            copy_file(mask, kept)
    with contextlib.suppress(OSError):
        paths.mask_supports.rmdir()  # it is empty


@dataclass(frozen=True, eq=False)
class ReviewedMask:
    """A reviewed case with its whole mask, read from disk whenever it is asked for: nothing stays in memory here.

    Attributes:
        paths: The study.
        support: Which case it is.
        structures: The structures to segment, with the study's values.
    """

    paths: StudyPaths
    support: MaskSupport
    structures: tuple[Segment, ...]

    @property
    def name(self) -> str:
        """The case's name."""
        return self.support.case

    @property
    def fingerprint(self) -> str:
        """Of its mask, the reviewer's strokes and its CT; '' if the CT's is not known."""
        if not self.support.ct_fingerprint:
            return ""
        return fingerprint_of(self.support.fingerprint, *sorted(self.support.structures))

    @property
    def ct_fingerprint(self) -> str:
        """Of its CT alone; '' if that is not known."""
        return self.support.ct_fingerprint

    def read(self) -> MaskedCT:
        """Read its CT and its mask as it was when the revision was begun.

        Raises:
            InputError: If CT or mask cannot be read, or the CT is another one by now.
        """
        support = self.support
        ct = read_case_ct(support.ct, support.series)
        if support.ct_fingerprint and fingerprint_of_ct(ct) != support.ct_fingerprint:
            raise OtherCTError(f"{support.ct}: expected the CT that the case was made of, found another one.")
        kept = self.paths.mask_support(support.case, support.fingerprint)
        known = [segment for segment in self.structures if segment.key in support.structures]
        file = kept if kept.is_file() else support.mask
        mask = map_on_ct(match_labels(read_label_map(file), known, file).labels, ct, file)
        strokes = self.paths.case(support.case).strokes
        # The reviewer's strokes as they are on disk: painted by the study's own values and names.
        painted = read_label_map(strokes) if strokes.is_file() else None
        return MaskedCT(name=support.case, ct=ct, mask=mask, strokes=painted)


def reviewed_masks(
    paths: StudyPaths, supports: Iterable[MaskSupport], structures: Iterable[Segment]
) -> tuple[ReviewedMask, ...]:
    """The reviewed cases of a study as sources of an engine's supports."""
    wanted = tuple(structures)
    return tuple(ReviewedMask(paths, support, wanted) for support in supports)
