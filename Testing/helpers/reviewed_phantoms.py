"""A study of phantoms as a propagation leaves it, made in a moment: its pseudo masks are the references, shifted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from OneShotSegLib import phantom
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality

FINGERPRINT = "5f0c4d1e9b7a2c38"


def make(folder: Path, count: int, coarseness: float = 4.0) -> StudyPaths:
    """A cohort of a support and ``count`` queries, and a study in which none of these is decided."""
    files = phantom.write_cohort(folder, count + 1, coarseness=coarseness)
    study = StudyPaths(folder / "study")
    study.supports.mkdir(parents=True)
    support = {"kind": "scribbles", "ct": str(files.support), "fingerprint": FINGERPRINT}
    support["scribbles"] = f"supports/{FINGERPRINT}.seg.nrrd"
    shutil.copyfile(files.scribbles, study.root / support["scribbles"])
    scribbles = read_label_map(files.scribbles)
    structures = tuple(s for s in scribbles.segments if not s.is_background_stroke)
    background = next(s.value for s in scribbles.segments if s.is_background_stroke)
    cases = [query.name.removesuffix(".nii.gz") for query in files.queries]
    for number, case in enumerate(cases):
        reference = read_label_map(next(files.references.glob(f"{case}*")))
        shifted = np.roll(reference.volume.array, 1 + number, axis=2)
        mask = reference.volume.with_array(np.where(np.isin(shifted, [s.value for s in structures]), shifted, 0))
        write_label_map(LabelMap(mask, structures), study.case(case).pseudo_mask)
        score = 0.35 + 0.15 * number
        measures = tuple(
            StructureQuality(value=s.value, name=s.name, state="found", score=min(score + 0.03 * s.value, 1.0))
            for s in structures
        )
        write_quality(CaseQuality(case=case, score=score, structures=measures), study.case(case).quality)
    StudyDescription(
        supports=(support,),
        labels=label_table(structures),
        background_label=background,
        settings={},
        weights={},
        cases=tuple(StudyCase(case, str(query)) for case, query in zip(cases, files.queries, strict=True)),
    ).write(study)
    return study
