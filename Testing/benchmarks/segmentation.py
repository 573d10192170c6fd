"""Segmentation networks on the head-and-neck cohort: the supervised upper bound, and how models compare.

    python Testing/benchmarks/segmentation.py reference-study COHORT STUDY

makes a study of the cohort's train cases in which a reviewer corrected every case to the reference labels; training on
it with the same trainer gives the upper bound. Nothing of the cohort is copied but its labels, into STUDY.

    python Testing/benchmarks/segmentation.py compare COHORT WORK --model NAME=FOLDER ... --study pseudo=STUDY

segments the validation cases with each model (and takes studies that are there already, as of pseudo masks), and prints
Dice, HD95 and ASSD of each structure as tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from cohort import HEAD_AND_NECK, cases_of

from OneShotSegLib.cli.batch_progress import BatchProgress
from OneShotSegLib.evaluation import Evaluation, evaluate
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.runner.request import SegmentationRequest
from OneShotSegLib.runner.segmentation import segment_batch
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.review import ReviewLedger

ORGANS = ("Brainstem", "SpinalCord", "RightParotid", "LeftParotid", "Esophagus", "Larynx", "Mandible")

app = typer.Typer(add_completion=False, no_args_is_help=True)


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
    segments = tuple(
        Segment(value=value, name=name, color=Segment.numbered(value).color) for value, name in enumerate(ORGANS, 1)
    )
    paths = StudyPaths(study)
    StudyDescription(
        supports=({"ct": "none", "scribbles": "none", "fingerprint": "reference"},),
        labels=label_table(segments),
        background_label=HEAD_AND_NECK.background,
        settings={"name": "reference labels"},
        weights={"fingerprint": "none"},
        cases=tuple(StudyCase(name, str((cohort / "cases" / name / "ct.nii.gz").resolve())) for name in names),
    ).write(paths)
    ledger = ReviewLedger(paths.review)
    ledger.ensure_cases(CaseQuality(case=name, score=1.0, structures=()) for name in names)
    for name in names:
        labels = read_label_map(cohort / "cases" / name / "seg.nii.gz")
        write_label_map(LabelMap(labels.volume, segments), paths.case(name).edited_mask)
        ledger.decide(name, "edited")
    ledger.save()
    print(f"{len(names)} cases in {study}")


@app.command()
def compare(
    cohort: Annotated[Path, typer.Argument(help="The cohort's folder.")],
    work: Annotated[Path, typer.Argument(help="Where the results go, one study per model.")],
    model: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of a model; may be repeated.")] = None,
    study: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of a study; may be repeated.")] = None,
    structures: Annotated[str, typer.Option(help="Values to evaluate, with commas.")] = "1,2,3,4,7",
    flips: Annotated[bool, typer.Option(help="Average over flips.")] = False,
    skip_uncontoured: Annotated[bool, typer.Option(help="Leave out what nobody contoured.")] = False,
) -> None:
    """Evaluate models and studies on the validation cases."""
    cases = [cohort / "cases" / name / "ct.nii.gz" for name in cases_of(cohort, "validation")]
    results = {}
    for name, folder in map(_named, study or []):
        results[name] = evaluate(cohort / "cases", folder, skip_uncontoured=skip_uncontoured)
    for name, folder in map(_named, model or []):
        output = work / name
        segment_batch(SegmentationRequest(model=folder, volumes=cases, output=output, flips=flips), BatchProgress())
        results[name] = evaluate(cohort / "cases", output, skip_uncontoured=skip_uncontoured)
    values = [int(value) for value in structures.split(",")]
    for measure, places in (("dice", 3), ("hd95_mm", 1), ("assd_mm", 2)):
        _table(results, values, measure, places)


def _named(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    return name, Path(folder)


def _table(results: Mapping[str, Evaluation], values: Sequence[int], measure: str, places: int) -> None:
    """One measure: a row per result, a column per structure; the mean is that of the columns."""
    print(f"\n| {measure} | {' | '.join(ORGANS[value - 1] for value in values)} | mean |")
    print("| --- " * (len(values) + 2) + "|")
    for name, result in results.items():
        of_value = dict(zip(result.labels, result.means(), strict=True))
        found = [getattr(of_value[value], measure) for value in values]
        means = [float("nan") if mean is None else mean for mean in found]
        print("| " + " | ".join([name, *(f"{mean:.{places}f}" for mean in (*means, float(np.nanmean(means))))]) + " |")


if __name__ == "__main__":
    app()
