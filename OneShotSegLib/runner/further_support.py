"""A further support for a study: a corrected case propagates its structures to the cases that are not accepted.

Its propagation is a study of its own. Each of its results takes the place of the first one's if its score is better, so
that every case ends with the better of both supports.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.fingerprint import fingerprint_of
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.hounsfield import as_hounsfield
from OneShotSegLib.imaging.intensity import BODY_HU
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, background_segment, read_label_map, write_label_map
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.study.case_ct import is_other_ct
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.quality import read_quality, write_quality
from OneShotSegLib.study.results import read_mask

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FurtherSupport:
    """One further support.

    Attributes:
        study: The study that gets better.
        case: Its case that becomes a support.
        ct: That case's CT.
        mask: Its corrected or accepted mask.
        queries: Case name to CT of the cases that are not accepted.
        folder: Where the strokes and the results of this support are kept; another correction has another folder.
        series: Case name to the series instance UID of its CT, for those whose folder holds several CT series.
    """

    study: StudyPaths
    case: str
    ct: Path
    mask: Path
    queries: Mapping[str, Path]
    folder: Path
    series: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, study: StudyPaths, case: str, mask: Path, open_cases: Sequence[str], folder: Path) -> FurtherSupport:
        """Look up the CTs.

        Args:
            study: The study that gets better.
            case: Its case that becomes a support.
            mask: The mask of that case that counts; see `OneShotSegLib.study.results.counting_mask`.
            open_cases: The cases that are not accepted.
            folder: Where the folder of this support is made: one for each version of the mask, because a study
                cannot go on with other strokes.

        Raises:
            InputError: If the folder is no study, the CT of the case is not known, its mask cannot be read, or nothing
                is left to propagate to.
        """
        cases = {entry.case: entry for entry in StudyDescription.read(study).cases}
        volumes = {name: Path(entry.source) for name, entry in cases.items()}
        if case not in volumes:
            raise InputError(f"{case}: expected a case whose CT the study names, found none of that name.")
        own = cases[case]
        if is_other_ct(study.case(case), own.source, own.series):
            raise InputError(f"{own.source}: expected the CT that the case was made of, found another one.")
        queries = {
            name: volumes[name]
            for name in open_cases
            if name != case and name in volumes and not is_other_ct(study.case(name), volumes[name], cases[name].series)
        }
        if not queries:
            raise InputError("Expected cases that are not accepted, found none: there is nothing to propagate to.")
        try:
            version = fingerprint_of(mask.read_bytes())
        except OSError as error:
            raise InputError(f"{mask}: expected a mask, found none that can be read.") from error
        series = {name: entry.series for name, entry in cases.items() if entry.series}
        return cls(
            study=study,
            case=case,
            ct=volumes[case],
            mask=mask,
            queries=queries,
            folder=folder / version,
            series={name: uid for name, uid in series.items() if name == case or name in queries},
        )

    @property
    def results(self) -> StudyPaths:
        """The study that the propagation of this support makes."""
        return StudyPaths(self.folder / "study")

    @property
    def scribbles(self) -> Path:
        """The strokes made from the mask."""
        return self.folder / "scribbles.seg.nrrd"

    def write_scribbles(self) -> None:
        """Write the strokes; to be done before the run.

        Raises:
            InputError: If the mask has nothing in it, cannot be matched with the study's structures by name, or does
                not fit the CT.
            OSError: If nothing can be written.
        """
        structures = StudyDescription.read(self.study).structures
        series, painted = self.series.get(self.case, ""), self.study.case(self.case).strokes
        write_strokes(self.mask, self.ct, self.scribbles, structures, series, painted)

    def request(self, weights: str = "auto", device: str = "auto") -> PropagationRequest:
        """The propagation of this support."""
        return PropagationRequest(
            supports=[self.ct],
            scribbles=[self.scribbles],
            queries=list(self.queries.values()),
            output=self.results.root,
            weights=weights,
            device=device,
            series=tuple(self.series.values()),
        )

    def adopt(self, result: str) -> str:
        """Take over a result of this support if it is better.

        Args:
            result: The case's name in `results`.

        Returns:
            The name of the study's case that was replaced; '' if the study's own result stays.

        Raises:
            InputError: If a description or quality file is missing or broken.
            OSError: If nothing can be written.
        """
        cases = {entry.case: entry for entry in StudyDescription.read(self.results).cases}
        found = cases.get(result)
        place = (Path(found.source), found.series) if found is not None else None
        own = next((name for name, ct in self.queries.items() if (ct, self.series.get(name, "")) == place), "")
        if not own:
            return ""
        new, old = self.results.case(result), self.study.case(own)
        if old.is_done and read_quality(old.quality).score >= read_quality(new.quality).score:
            return ""
        replace_results(new, old, StudyDescription.read(self.study).revision)
        return own


def replace_results(new: CasePaths, old: CasePaths, revision: int) -> None:
    """Put a case's results in the place of another's; the quality file last: its presence says that the case is done.

    Args:
        new: The results.
        old: The case that gets them.
        revision: The present revision of its study, so that a run on that leaves them.

    Raises:
        InputError: If the new quality is broken.
        OSError: If nothing can be written.
    """
    quality = replace(read_quality(new.quality), case=old.name, revision=revision)
    for source, target in zip(new.results, old.results, strict=True):
        if source == new.quality:
            continue
        if source.is_file():
            with atomic_file(target) as temporary:
                temporary.write_bytes(source.read_bytes())
        else:
            target.unlink(missing_ok=True)
    write_quality(quality, old.quality)
    old.failure.unlink(missing_ok=True)


def write_strokes(
    mask: Path,
    ct: Path,
    target: Path,
    structures: Sequence[Segment] = (),
    series: str = "",
    painted: Path | None = None,
) -> None:
    """Write strokes as a clinician would paint them within a mask, and background around it.

    Args:
        mask: A label map of the CT, on its grid or one that fits it (`map_on_ct`).
        ct: The CT, HU.
        target: The file to write, ``.seg.nrrd``.
        structures: Those of the study, with which the mask is matched by name; the mask's own if left out.
        series: Series instance UID, where the CT's folder holds several CT series.
        painted: Strokes that a reviewer painted in this CT, if there are any: they are the most certain ones.

    Raises:
        InputError: If the mask has nothing in it or does not fit the CT.
        OSError: If nothing can be written.
    """
    # Only now: Slicer's own process imports this module, and must not import SciPy at start-up.
    from OneShotSegLib.imaging.label_grids import map_on_ct
    from OneShotSegLib.method.stroke_simulation import strokes_from_mask
    from OneShotSegLib.study.strokes import match_strokes

    volume = read_volume(ct, series)
    labels, notes = read_mask(mask, structures) if structures else (read_label_map(mask), ())
    for note in notes:
        log.warning("%s", note)
    labels = map_on_ct(labels, volume, mask)
    if not labels.volume.array.any():
        raise InputError(f"{mask}: expected structures to learn from, found an empty mask.")
    background = background_segment()
    body = as_hounsfield(volume, str(ct)).array > BODY_HU
    strokes = strokes_from_mask(labels.volume.array, volume.spacing, background.value, body)
    segments = (*(segment for segment in labels.segments if not segment.is_background_stroke), background)
    if painted is not None and painted.is_file():
        own = match_strokes(read_label_map(painted), segments, painted, volume).labels.volume.array
        strokes = np.where(own > 0, own, strokes)
    write_label_map(LabelMap(labels.volume.with_array(strokes), segments), target)
