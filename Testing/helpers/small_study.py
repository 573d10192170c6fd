"""A study of small made CTs and masks, for what comes after the masks: exports and suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality
from OneShotSegLib.study.review import ReviewLedger, ReviewState

CORD, GLAND, BACKGROUND = 3, 7, 9
BRAINSTEM_TAGS = (
    "TerminologyEntry:Segmentation category and type - DICOM master list"
    "~SCT^123037004^Anatomical Structure~SCT^2748008^Spinal cord~^^~Anatomic codes~^^~^^|"
)
STRUCTURES = (
    Segment(value=CORD, name="Cord", color=(0.9, 0.6, 0.0), tags=BRAINSTEM_TAGS),
    Segment(value=GLAND, name="Drüse links", color=(0.3, 0.7, 0.9)),
)
STROKE = Segment(value=BACKGROUND, name="Background", color=(0.5, 0.5, 0.5))


def small_ct(seed: int = 0, direction: np.ndarray | None = None) -> Volume:
    """A CT of 6 x 9 x 8 voxels with a grid that no axis of which is like another."""
    array = np.random.default_rng(seed).integers(-900, 900, (6, 9, 8)).astype(np.int16)
    return Volume.create(array, (3.0, 1.5, 1.25), (-40.0 + seed, 12.5, 7.25), direction)


def small_mask(ct: Volume, shift: int = 0) -> LabelMap:
    """Both structures in that CT; a shift makes another mask."""
    labels = np.zeros(ct.shape, dtype=np.uint8)
    labels[1:4, 2 + shift : 5 + shift, 1:3] = CORD
    labels[2:6, 4:8, 4:7] = GLAND
    return LabelMap(ct.with_array(labels), STRUCTURES)


def write_small_study(
    root: Path,
    sources: dict[str, Path],
    states: Sequence[ReviewState],
    qualities: Sequence[CaseQuality] | None = None,
) -> StudyPaths:
    """A study of these CTs, that were written before, in `root`; an edited case has a corrected mask too.

    Args:
        root: The study folder.
        sources: Case name to CT.
        states: What the reviewer decided of each.
        qualities: The measures of each; some in the middle if left out.
    """
    from OneShotSegLib.imaging.files import read_volume

    paths = StudyPaths(root)
    found = qualities or [middling_quality(name) for name in sources]
    for (name, source), state, quality in zip(sources.items(), states, found, strict=True):
        ct, files = read_volume(source), paths.case(name)
        write_label_map(small_mask(ct), files.pseudo_mask)
        if state == "edited":
            write_label_map(small_mask(ct, shift=1), files.edited_mask)
        write_quality(quality, files.quality)
    _describe(paths, sources)
    ledger = ReviewLedger(paths.review)
    ledger.ensure_cases(found)
    for name, state in zip(sources, states, strict=True):
        if state != "pending":
            ledger.decide(name, state)
    ledger.save()
    return paths


def _describe(paths: StudyPaths, sources: dict[str, Path]) -> None:
    StudyDescription(
        supports=({"ct": str(paths.root.parent / "private" / "support.nii.gz"), "scribbles": "scribbles.seg.nrrd"},),
        labels=label_table((*STRUCTURES, STROKE)),
        background_label=BACKGROUND,
        settings={},
        weights={},
        cases=tuple(StudyCase(name, str(source)) for name, source in sources.items()),
    ).write(paths)


def middling_quality(case: str, score: float = 0.5, **measures: Any) -> CaseQuality:
    """Measures of a case that all its structures have in common."""
    usual = StructureQuality(
        value=0,
        name="",
        state="found",
        score=score,
        similarity=0.5,
        kept=0.9,
        cycle_mm=5.0,
        volume_ml=10.0,
        volume_ratio=1.0,
        in_view=1.0,
        agreement=0.7,
        core_dice=0.6,
        certainty=0.4,
    )
    structures = tuple(replace(usual, value=s.value, name=s.name, **measures) for s in STRUCTURES)
    return CaseQuality(case=case, score=score, structures=structures)


def write_cts(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """A NIfTI CT for each name."""
    found = {}
    for seed, name in enumerate(names):
        found[name] = folder / f"{name}.nii.gz"
        write_volume(small_ct(seed), found[name])
    return found
