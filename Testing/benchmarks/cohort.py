"""The cohorts as the benchmarks read them: which cases, which structures count, a case's files."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map
from OneShotSegLib.imaging.volume import Volume


@dataclass(frozen=True)
class Region:
    """A region of the body as its cohort has it.

    Attributes:
        organs: The structures that count, by value: those whose contours are dependable and that have scribbles.
        background: Value of the background strokes.
    """

    organs: Mapping[int, str]
    background: int


HEAD_AND_NECK = Region({1: "Brainstem", 2: "SpinalCord", 3: "RightParotid", 4: "LeftParotid", 7: "Mandible"}, 8)
ABDOMEN = Region(
    {
        1: "Spleen",
        2: "RightKidney",
        3: "LeftKidney",
        4: "Gallbladder",
        6: "Liver",
        7: "Stomach",
        8: "Aorta",
        9: "InferiorVenaCava",
        11: "Pancreas",
    },
    14,
)


def region_of(cohort: Path) -> Region:
    """The region that a cohort shows, by the names of its organs.

    Raises:
        ValueError: If it is none of the two.
    """
    with (cohort / "cases.csv").open(newline="") as file:
        names = {name for row in csv.DictReader(file) for name in row["organs"].split()}
    for region in (HEAD_AND_NECK, ABDOMEN):
        if names >= set(region.organs.values()):
            return region
    raise ValueError(f"{cohort}: expected a head-and-neck or abdominal cohort, found {', '.join(sorted(names))}.")


def cases_of(cohort: Path, split: str, without: Collection[str] = ()) -> list[str]:
    """Names of the cases of a split in the order of the table, without some: a support is no query."""
    with (cohort / "cases.csv").open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file) if row["split"] == split and row["case"] not in without]


def drawn_train_cases(cohort: Path, seed: int) -> list[str]:
    """Train cases in which all structures were contoured, without those that have scribbles, in a random order."""
    scribbled = [path.name.removesuffix(".nii.gz") for path in (cohort / "scribbles").iterdir()]
    wanted = set(region_of(cohort).organs)
    cases = cases_of(cohort, "train", scribbled)
    complete = [case for case in cases if wanted <= set(np.unique(read_reference(cohort, case).array).tolist())]
    return [complete[index] for index in np.random.default_rng(seed).permutation(len(complete))]


def read_ct(cohort: Path, case: str) -> Volume:
    """A case's CT in HU."""
    return read_volume(cohort / "cases" / case / "ct.nii.gz")


def read_reference(cohort: Path, case: str) -> Volume:
    """A case's clinical contours, on the grid of its CT."""
    return read_volume(cohort / "cases" / case / "seg.nii.gz")


def read_scribbles(cohort: Path, case: str) -> LabelMap:
    """A support's scribbles."""
    return read_label_map(cohort / "scribbles" / f"{case}.nii.gz").with_background(region_of(cohort).background)
