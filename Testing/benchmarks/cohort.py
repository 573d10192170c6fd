"""The head-and-neck cohort as the benchmarks read it: which cases, which structures count, a case's files."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map
from OneShotSegLib.imaging.volume import Volume

ORGANS = {1: "Brainstem", 2: "SpinalCord", 3: "RightParotid", 4: "LeftParotid", 7: "Mandible"}
"""The structures whose contours are dependable."""
BACKGROUND = 8


def cases_of(cohort: Path, split: str, without: Collection[str] = ()) -> list[str]:
    """Names of the cases of a split in the order of the table, without some: a support is no query."""
    with (cohort / "cases.csv").open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file) if row["split"] == split and row["case"] not in without]


def read_ct(cohort: Path, case: str) -> Volume:
    """A case's CT in HU."""
    return read_volume(cohort / "cases" / case / "ct.nii.gz")


def read_reference(cohort: Path, case: str) -> Volume:
    """A case's clinical contours, on the grid of its CT."""
    return read_volume(cohort / "cases" / case / "seg.nii.gz")


def read_scribbles(cohort: Path, case: str) -> LabelMap:
    """A support's scribbles."""
    return read_label_map(cohort / "scribbles" / f"{case}.nii.gz").with_background(BACKGROUND)
