"""A study folder as a run leaves it, of any number and size of cases, made in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality

SEGMENTS = (
    Segment(value=1, name="Brainstem", color=(0.9, 0.8, 0.6)),
    Segment(value=2, name="Mandible", color=(0.2, 0.8, 0.6)),
)


def make_study(root: Path, count: int, shape: tuple[int, int, int] = (16, 32, 32)) -> StudyPaths:
    """A study whose cases were propagated; empty CTs are small on disk whatever their size."""
    study = StudyPaths(root)
    ct = Volume.create(np.zeros(shape, dtype=np.int16), (3, 1, 1))
    labels = np.zeros(shape, dtype=np.uint8)
    z, y, x = (size // 2 for size in shape)
    labels[z - 3 : z, y - 3 : y, x - 3 : x], labels[z : z + 3, y : y + 3, x : x + 3] = 1, 2
    names = [f"case_{number:02d}" for number in range(count)]
    first = root.parent / "cts" / "first.nii.gz"
    write_volume(ct, first)
    write_label_map(LabelMap(ct.with_array(labels), SEGMENTS), study.root / "mask.seg.nrrd")
    for number, name in enumerate(names):
        (root.parent / "cts" / f"{name}.nii.gz").write_bytes(first.read_bytes())
        study.case(name).pseudo_mask.parent.mkdir(parents=True)
        study.case(name).pseudo_mask.write_bytes((study.root / "mask.seg.nrrd").read_bytes())
        score = 0.2 + 0.5 * number / count
        structures = tuple(
            StructureQuality(value=s.value, name=s.name, state="found", score=score - 0.1 * (s.value == 2))
            for s in SEGMENTS
        )
        write_quality(CaseQuality(case=name, score=score, structures=structures, warnings=()), study.case(name).quality)
    cases = tuple(StudyCase(name, str(root.parent / "cts" / f"{name}.nii.gz")) for name in names)
    StudyDescription(
        supports=(), labels=label_table(SEGMENTS), background_label=255, settings={}, weights={}, cases=cases
    ).write(study)
    return study


def name_support(study: StudyPaths, case: int) -> None:
    """Have a study name the CT of one of its cases as its support."""
    description = StudyDescription.read(study)
    support = {"kind": "scribbles", "ct": description.cases[case].source, "fingerprint": "0" * 16}
    object.__setattr__(description, "supports", (support,))
    description.__post_init__()
    description.write(study)
