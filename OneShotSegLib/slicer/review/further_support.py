"""Another support for a study: a corrected case carries its structures to the cases that are not accepted.

The round is a study of its own, among the first one's inputs. Each of its results takes the place of the first one's
if its score is better, so that every case ends with the better of both supports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.intensity import BODY_HU
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.method.stroke_simulation import strokes_from_mask
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.jobs.commands import propagate
from OneShotSegLib.slicer.jobs.inputs import Export
from OneShotSegLib.slicer.mrml.structures import background_segment
from OneShotSegLib.slicer.review.case_files import inputs_folder, read_case_volumes
from OneShotSegLib.study.layout import CasePaths, StudyPaths
from OneShotSegLib.study.quality import read_quality


@dataclass(frozen=True, kw_only=True)
class SecondRound:
    """One further support.

    Attributes:
        study: The study that gets better.
        case: Its case that becomes a support.
        ct: That case's CT.
        mask: Its corrected or accepted mask.
        queries: Case name to CT of the cases that are not accepted.
    """

    study: StudyPaths
    case: str
    ct: Path
    mask: Path
    queries: Mapping[str, Path]

    @classmethod
    def of(cls, study: StudyPaths, case: str, mask: Path, open_cases: Sequence[str]) -> SecondRound:
        """Look up the files.

        Raises:
            InputError: If the CT of the case is not known, or nothing is left to propagate to.
        """
        volumes = read_case_volumes(study)
        if case not in volumes:
            raise InputError(_("{case}: the study does not say where its CT is.").format(case=case))
        queries = {name: volumes[name] for name in open_cases if name != case and name in volumes}
        if not queries:
            raise InputError(_("Every other case is accepted: there is nothing to propagate to."))
        return cls(study=study, case=case, ct=volumes[case], mask=mask, queries=queries)

    @property
    def round_study(self) -> StudyPaths:
        """The study of this round."""
        return StudyPaths(inputs_folder(self.study) / f"support {self.case}" / "study")

    @property
    def scribbles(self) -> Path:
        """The strokes made from the mask."""
        return self.round_study.root.parent / "scribbles.seg.nrrd"

    def export(self) -> Export:
        """The strokes to be written before the run; a correction made since the last round begins the round anew."""
        return Export(self.scribbles, lambda: lambda: strokes_of_case(self.mask, self.ct, self.scribbles))

    def arguments(self, weights: str, device: str) -> list[str]:
        """As the command line takes it."""
        request = PropagationRequest(
            supports=[self.ct],
            scribbles=[self.scribbles],
            queries=list(self.queries.values()),
            output=self.round_study.root,
            weights=weights or "auto",
            device=device,
        )
        return propagate(request)

    def adopt(self, round_case: str) -> str:
        """Take over a result of the round if it is better; the name of the study's case, '' if it is not.

        Raises:
            InputError: If a quality file is missing or broken.
            OSError: If nothing can be written.
        """
        source = read_case_volumes(self.round_study).get(round_case)
        own = next((name for name, ct in self.queries.items() if ct == source), "")
        if not own:
            return ""
        new, old = self.round_study.case(round_case), self.study.case(own)
        if old.is_done and read_quality(old.quality).score >= read_quality(new.quality).score:
            return ""
        replace_results(new, old)
        return own


def replace_results(new: CasePaths, old: CasePaths) -> None:
    """Put a case's results in the place of another's; the quality file last, for it says that the case is done."""
    for source, target in (
        (new.pseudo_mask, old.pseudo_mask),
        (new.scribbles, old.scribbles),
        (new.quality, old.quality),
    ):
        if not source.is_file():
            continue
        content = source.read_bytes()
        if source == new.quality:
            content = content.replace(f'"case": "{new.name}"'.encode(), f'"case": "{old.name}"'.encode())
        with atomic_file(target) as beside:
            beside.write_bytes(content)
    old.failure.unlink(missing_ok=True)


def strokes_of_case(mask: Path, ct: Path, target: Path) -> None:
    """Write strokes as a clinician would paint them within a mask, and background around it.

    Raises:
        InputError: If the mask has nothing in it or lies on another grid than the CT.
    """
    volume, labels = read_volume(ct), read_label_map(mask)
    if not labels.volume.same_grid(volume):
        raise InputError(_("{mask}: expected a mask on the grid of its CT, found another grid.").format(mask=mask))
    if not labels.volume.array.any():
        raise InputError(_("{mask}: expected structures to learn from, found an empty mask.").format(mask=mask))
    background = background_segment()
    body = volume.array > BODY_HU
    strokes = strokes_from_mask(labels.volume.array, volume.spacing, background.value, body)
    structures = tuple(segment for segment in labels.segments if not segment.is_background_stroke)
    write_label_map(LabelMap(labels.volume.with_array(strokes), (*structures, background)), target)
