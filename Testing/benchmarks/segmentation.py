"""Segmentation networks on the head-and-neck cohort: the supervised upper bound, and how models compare.

    python Testing/benchmarks/segmentation.py reference-study COHORT STUDY

makes a study of the cohort's train cases in which a reviewer corrected every case to the reference labels; training on
it with the same trainer gives the upper bound. Nothing of the cohort is copied but its labels, into STUDY.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.review import ReviewLedger

ORGANS = ("Brainstem", "SpinalCord", "RightParotid", "LeftParotid", "Esophagus", "Larynx", "Mandible")
BACKGROUND = 8

app = typer.Typer(add_completion=False, no_args_is_help=True)


def cases_of(cohort: Path, split: str) -> list[str]:
    """Names of the cohort's cases of a split."""
    with (cohort / "cases.csv").open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file) if row["split"] == split]


@app.callback()
def _commands() -> None:
    """Segmentation networks on the cohort."""


@app.command("reference-study")
def reference_study(
    cohort: Annotated[Path, typer.Argument(help="The cohort's folder.")],
    study: Annotated[Path, typer.Argument(help="The study folder to write.")],
    leave_out: Annotated[str, typer.Option(help="Cases to leave out, with commas.")] = "",
) -> None:
    """Make a study whose cases were all corrected to the reference labels."""
    left_out = leave_out.split(",")
    names = [name for name in cases_of(cohort, "train") if name not in left_out]
    segments = tuple(Segment(value, name, Segment.numbered(value).color) for value, name in enumerate(ORGANS, 1))
    paths = StudyPaths(study)
    StudyDescription(
        supports=({"ct": "none", "scribbles": "none", "fingerprint": "reference"},),
        labels=label_table(segments),
        background_label=BACKGROUND,
        settings={"name": "reference labels"},
        weights={"fingerprint": "none"},
        cases=tuple(StudyCase(name, str((cohort / "cases" / name / "ct.nii.gz").resolve())) for name in names),
    ).write(paths)
    ledger = ReviewLedger(paths.review)
    ledger.ensure_cases(CaseQuality(name, 1.0, ()) for name in names)
    for name in names:
        labels = read_label_map(cohort / "cases" / name / "seg.nii.gz")
        write_label_map(LabelMap(labels.volume, segments), paths.case(name).edited_mask)
        ledger.decide(name, "edited")
    ledger.save()
    print(f"{len(names)} cases in {study}")


if __name__ == "__main__":
    app()
