"""The phantom cohort as files, for the demo and for use in Slicer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.phantom.cohort import DEFAULT_SEED, make_cohort, scribbles
from OneShotSegLib.phantom.structures import BACKGROUND


@dataclass(frozen=True, kw_only=True)
class CohortFiles:
    """The files of a written cohort.

    Attributes:
        support: CT that the scribbles are painted on.
        scribbles: Scribbles of the support, a Slicer segmentation.
        queries: The other CTs.
        references: Folder of reference segmentations, named like the CTs, the support's included.
    """

    support: Path
    scribbles: Path
    queries: tuple[Path, ...]
    references: Path


def write_cohort(folder: Path | str, count: int = 12, seed: int = DEFAULT_SEED, coarseness: float = 1.0) -> CohortFiles:
    """Write ``count`` patients; patient 0 is the support.

    The folder gets ``ct/<name>.nii.gz``, ``reference/<name>.seg.nrrd`` and the support's ``scribbles.seg.nrrd``.
    """
    root = Path(folder)
    strokes = root / "scribbles.seg.nrrd"
    written: list[Path] = []
    for case in make_cohort(count, seed, coarseness):
        path = root / "ct" / f"{case.name}.nii.gz"
        write_volume(case.ct, path)
        write_label_map(LabelMap(case.reference, case.present), root / "reference" / f"{case.name}.seg.nrrd")
        if not written:
            write_label_map(LabelMap(scribbles(case), (*case.present, BACKGROUND)), strokes)
        written.append(path)
    return CohortFiles(support=written[0], scribbles=strokes, queries=tuple(written[1:]), references=root / "reference")
