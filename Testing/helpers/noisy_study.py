"""A study of phantom patients whose pseudo masks are references spoilt in a known way.

Of the structures the larynx alone is asked for: what holds air is learnt within the seconds that a test may take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib import phantom
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.phantom import PhantomCase
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality
from OneShotSegLib.study.review import ReviewLedger

STRUCTURES = tuple(s for s in phantom.STRUCTURES if s.name == "Larynx")


@dataclass(frozen=True)
class NoisyStudy:
    """A study on disk, and what is true of it.

    Attributes:
        paths: Its files.
        references: Case name to the true labels, on the CT's grid.
        noisy: Case name to the pseudo masks.
    """

    paths: StudyPaths
    references: dict[str, NDArray[np.uint8]]
    noisy: dict[str, NDArray[np.uint8]]


def write_noisy_study(root: Path, patients: Sequence[PhantomCase], seed: int = 0) -> NoisyStudy:
    """Write CTs and spoilt masks of phantom patients as a study with all cases pending."""
    paths = StudyPaths(root / "study")
    references, noisy, cases, qualities = {}, {}, [], []
    generator = np.random.default_rng(seed)
    for patient in patients:
        source = root / "ct" / f"{patient.name}.nii.gz"
        write_volume(patient.ct, source)
        truth = keep_structures(patient.reference.array, STRUCTURES)
        spoilt = spoil(truth, generator)
        files = paths.case(patient.name)
        write_label_map(LabelMap(patient.ct.with_array(spoilt), STRUCTURES), files.pseudo_mask)
        quality = quality_of(patient.name, spoilt)
        write_quality(quality, files.quality)
        references[patient.name], noisy[patient.name] = truth, spoilt
        cases.append(StudyCase(patient.name, str(source)))
        qualities.append(quality)
    StudyDescription(
        supports=(),
        labels=label_table(STRUCTURES),
        background_label=0,
        settings={},
        weights={},
        cases=tuple(cases),
    ).write(paths)
    ledger = ReviewLedger(paths.review)
    ledger.ensure_cases(qualities)
    ledger.save()
    return NoisyStudy(paths, references, noisy)


def keep_structures(labels: NDArray[np.uint8], structures: Sequence[Segment]) -> NDArray[np.uint8]:
    """The label map without all others."""
    return np.where(np.isin(labels, [s.value for s in structures]), labels, 0).astype(np.uint8)


def quality_of(case: str, labels: NDArray[np.uint8]) -> CaseQuality:
    """As propagation would judge: a structure without a voxel is absent."""
    there = set(np.unique(labels).tolist())
    structures = tuple(
        StructureQuality(
            value=s.value, name=s.name, state="found" if s.value in there else "absent", score=0.5 * (s.value in there)
        )
        for s in STRUCTURES
    )
    return CaseQuality(case=case, score=0.5, structures=structures)


def spoil(labels: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Each structure loses a quarter of itself and gains a ball beside it: each patient has its own errors."""
    result = np.zeros_like(labels)
    for value in np.unique(labels[labels > 0]):
        voxels = np.argwhere(labels == value)
        along = (voxels - voxels.mean(axis=0)) @ generator.normal(size=3)
        result[tuple(voxels[along < np.quantile(along, 0.75)].T)] = value
        aside = generator.normal(size=3)
        centre = voxels.mean(axis=0) + 12 * aside / np.linalg.norm(aside)
        distance = np.linalg.norm(np.indices(labels.shape).T - centre, axis=-1).T
        result[(distance < 4.5) & (result == 0)] = value
    return result


def mean_dice(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean Dice over the structures that the truth has."""
    values = [
        2
        * np.count_nonzero((found == v) & (truth == v))
        / (np.count_nonzero(found == v) + np.count_nonzero(truth == v))
        for v in np.unique(truth[truth > 0])
    ]
    return float(np.mean(values))
