"""The commands and their options."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from OneShotSegLib.cli.export import app as export_app
from OneShotSegLib.exit_status import ExitStatus

if TYPE_CHECKING:
    from OneShotSegLib.events import Emit
    from OneShotSegLib.runner.batch import BatchResult

app = typer.Typer(
    help="Scribble one CT, get the same structures segmented in a whole batch of CTs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(export_app, name="export")


class Events(StrEnum):
    """How a run tells what it does."""

    text = "text"
    json = "json"


class MethodName(StrEnum):
    """The settings of the steps."""

    default = "default"
    paper = "paper"


class Uncontoured(StrEnum):
    """What it means that a reference lacks a structure."""

    false_positive = "false-positive"
    skip = "skip"


class Correction(StrEnum):
    """What is done about noisy labels."""

    none = "none"
    paper = "paper"
    ensemble = "ensemble"


Weights = Annotated[
    str, typer.Option(help="Shipped weights' name, a weights folder, or 'auto' for what fits the scan.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
EventsOption = Annotated[Events, typer.Option(help="'json' prints one JSON object a line on standard output.")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from OneShotSegLib import __version__

        print(__version__)
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where the phantom cohort, the study and the report go.")] = Path("demo"),
    patients: Annotated[int, typer.Option(min=2, help="Phantom patients; the first is the support.")] = 7,
    device: Device = "auto",
) -> None:
    """Do the whole main job on an embedded phantom cohort: scribbles to pseudo masks, Dice and an HTML report."""
    from OneShotSegLib.cli.demo import run_demo

    run_demo(output, patients, device)


@app.command()
def propagate(
    support: Annotated[
        list[Path],
        typer.Option(
            help="The scribbled CT: NIfTI, NRRD, MetaImage or a DICOM folder. Several are fused: give it again."
        ),
    ],
    scribbles: Annotated[
        list[Path],
        typer.Option(
            help="Its scribbles: a label map, a Slicer segmentation, or the RTSTRUCT of a DICOM folder; one for each "
            "support."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The study folder; a study that is there goes on.")],
    query: Annotated[list[Path], typer.Argument(help="CTs, or folders of them.")],
    weights: Weights = "auto",
    device: Device = "auto",
    background_label: Annotated[
        int | None, typer.Option(min=1, max=255, help="Value of the background stroke, if no segment is so named.")
    ] = None,
    method: Annotated[MethodName, typer.Option(help="'paper' for the paper's settings.")] = MethodName.default,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try each case that fails once more, after all the others.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes on this machine, one a GPU; this process if left out.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, whose workers do the cases; instead of --workers.")
    ] = None,
    events: EventsOption = Events.text,
) -> None:
    """Propagate the scribbles of one CT to others and grow them into pseudo masks."""
    from OneShotSegLib.runner.propagation import propagate_batch
    from OneShotSegLib.runner.request import PropagationRequest

    request = PropagationRequest(
        supports=support,
        scribbles=scribbles,
        queries=query,
        output=output,
        weights=weights,
        device=device,
        background_label=background_label,
        method=method.value,
        retry_failed=retry_failed,
        workers=workers,
        scheduler=scheduler,
    )
    _end(propagate_batch(request, _batch_events(events)))


@app.command("train-prnet")
def train_prnet(
    output: Annotated[Path, typer.Option(help="The weights folder to write; a run that was cut off goes on.")],
    volume: Annotated[list[Path], typer.Argument(help="CTs without labels, or folders of them.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps a stage.")] = 5000,
    fine_steps: Annotated[int | None, typer.Option(min=1, help="Other number of steps for the fine stage.")] = None,
    base_channels: Annotated[int, typer.Option(min=4, max=64, help="Width of the networks.")] = 8,
    hold_out: Annotated[
        int | None, typer.Option(min=1, help="CTs, the last ones, kept out to measure the error on; else a tenth.")
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=1e-6, help="Peak learning rate.")] = 2e-3,
    start_from: Annotated[str | None, typer.Option(help="Weights (folder or shipped name) to go on from.")] = None,
    check_every: Annotated[int, typer.Option(min=1, help="Steps between two checks on the CTs kept out.")] = 250,
    patience: Annotated[int, typer.Option(min=0, help="Checks without gain that end a stage; 0 for never.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Device = "auto",
    events: EventsOption = Events.text,
) -> None:
    """Train both PRNet stages on your own CTs; no labels are needed. On several GPUs: torchrun -m OneShotSegLib ..."""
    from OneShotSegLib.cli.prnet_progress import TrainingProgress
    from OneShotSegLib.events import JsonEvents
    from OneShotSegLib.training.prnet.command import PRNetTrainingRequest, train_weights

    request = PRNetTrainingRequest(
        volumes=volume,
        output=output,
        steps=steps,
        base_channels=base_channels,
        hold_out=hold_out,
        seed=seed,
        device=device,
        learning_rate=learning_rate,
        start_from=start_from,
        fine_steps=fine_steps,
        check_every=check_every,
        patience=patience,
    )
    train_weights(request, JsonEvents() if events is Events.json else TrainingProgress())


@app.command("train-seg")
def train_seg(
    study: Annotated[Path, typer.Argument(help="The study folder; rejected cases are left out.")],
    output: Annotated[Path, typer.Option(help="The model folder to write; a training that was cut off goes on.")],
    correction: Annotated[
        Correction, typer.Option(help="What is done about noisy labels; reviewed cases are never changed.")
    ] = Correction.none,
    network: Annotated[str, typer.Option(help="unet (the paper's), monai-unet, segresnet or dynunet.")] = "unet",
    base_channels: Annotated[int, typer.Option(min=2, max=128, help="Width of the network.")] = 12,
    structures: Annotated[
        str, typer.Option(help="Names or values of the structures to learn, with commas; all if left out.")
    ] = "",
    spacing: Annotated[
        str, typer.Option(help="Working voxel size in mm as z,y,x, or 'auto' for what suits the CTs.")
    ] = "auto",
    patch: Annotated[str, typer.Option(help="Voxels of a patch as z,y,x, multiples of 8.")] = "32,48,48",
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 2000,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches of a step.")] = 2,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds of label correction.")] = 5,
    hold_out: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of the cases whose labels only the choice of the model sees.")
    ] = 0.1,
    learning_rate: Annotated[float, typer.Option(min=1e-6, help="Peak learning rate.")] = 2e-3,
    precision: Annotated[str, typer.Option(help="float32, bfloat16, or 'auto' for what is fast here.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Device = "auto",
    events: EventsOption = Events.text,
) -> None:
    """Train a segmentation network on a study's pseudo masks, all that were not rejected."""
    from OneShotSegLib.cli.segmentation_progress import SegmentationTrainingProgress
    from OneShotSegLib.events import JsonEvents
    from OneShotSegLib.training.segmentation.command import SegmentationTrainingRequest, train_segmentation
    from OneShotSegLib.training.segmentation.label_correction import CorrectionName

    request = SegmentationTrainingRequest(
        study=study,
        output=output,
        correction=CorrectionName(correction.value),
        network=network,
        base_channels=base_channels,
        patch_size=_three_whole(patch, "--patch"),
        spacing=None if spacing == "auto" else _three(spacing, "--spacing"),
        structures=[name for name in structures.split(",") if name.strip()],
        steps=steps,
        batch_size=batch_size,
        rounds=rounds,
        hold_out=hold_out,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
        precision=precision,
    )
    train_segmentation(request, JsonEvents() if events is Events.json else SegmentationTrainingProgress())


@app.command()
def segment(
    model: Annotated[Path, typer.Option(help="The network: the folder that train-seg wrote, or its file.")],
    output: Annotated[Path, typer.Option(help="The study folder to write; a run that was cut off goes on.")],
    volume: Annotated[list[Path], typer.Argument(help="CTs, or folders of them.")],
    overlap: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of a window that the next covers again.")
    ] = 0.5,
    flips: Annotated[
        bool, typer.Option(help="Average over flips along z and y (4 x the time); never left-right.")
    ] = False,
    largest_component: Annotated[
        str, typer.Option(help="Structures of which only the largest part is kept: all, none, or names with commas.")
    ] = "all",
    fill_holes: Annotated[
        str, typer.Option(help="Structures whose holes are filled: all, none, or names with commas.")
    ] = "none",
    device: Device = "auto",
    events: EventsOption = Events.text,
) -> None:
    """Segment CTs with a network that train-seg trained."""
    from OneShotSegLib.runner.request import SegmentationRequest
    from OneShotSegLib.runner.segmentation import segment_batch

    request = SegmentationRequest(
        model=model,
        volumes=volume,
        output=output,
        device=device,
        overlap=overlap,
        flips=flips,
        largest_component=largest_component,
        fill_holes=fill_holes,
    )
    _end(segment_batch(request, _batch_events(events)))


@app.command("import-weights")
def import_weights(
    coarse: Annotated[Path, typer.Option(help="Official coarse checkpoint (.tar).")],
    fine: Annotated[Path, typer.Option(help="Official fine checkpoint (.tar).")],
    output: Annotated[Path, typer.Option(help="The weights folder to write.")],
) -> None:
    """Import checkpoints of the paper's published code; nothing in them is executed."""
    from OneShotSegLib.networks.official_checkpoint import import_official

    import_official(coarse, fine, output)
    _print(f"Weights: {output}")


@app.command()
def review(
    study: Annotated[Path, typer.Argument(help="The study folder.")],
    accept: Annotated[list[str] | None, typer.Option(help="A case to accept; may be repeated.")] = None,
    reject: Annotated[list[str] | None, typer.Option(help="A case to reject; may be repeated.")] = None,
    comment: Annotated[str | None, typer.Option(help="A comment on the cases named.")] = None,
) -> None:
    """Note decisions in the study's ledger, and show where the review stands, the doubtful cases first."""
    from OneShotSegLib.cli.review import show_review

    show_review(study, accept or [], reject or [], comment)


@app.command()
def suggest(
    study: Annotated[Path, typer.Argument(help="The study folder.")],
    count: Annotated[int, typer.Option(help="How many cases.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name the cases whose correction would teach most: doubtful, and unlike what was corrected already."""
    from OneShotSegLib.cli.suggest import show_suggestions

    show_suggestions(study, count, json)


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="A study, or a folder of label maps.")],
    reference: Annotated[
        Path, typer.Option(help="Folder of references by case name: label maps, or RTSTRUCTs of a study.")
    ],
    csv: Annotated[Path | None, typer.Option(help="Where the table goes; beside the predictions if left out.")] = None,
    plot: Annotated[Path | None, typer.Option(help="A box plot, PNG.")] = None,
    edited: Annotated[
        bool, typer.Option(help="Evaluate the masks that count after the review, corrected ones where there are some.")
    ] = False,
    uncontoured: Annotated[
        Uncontoured,
        typer.Option(
            help="A structure that a reference does not have: false-positive counts the prediction's with Dice 0, "
            "skip leaves it out."
        ),
    ] = Uncontoured.false_positive,
) -> None:
    """Dice, HD95, ASSD and volume error per case and structure, as a table and CSV."""
    from rich.console import Console

    from OneShotSegLib.evaluation import evaluate as evaluate_masks

    result = evaluate_masks(reference, predictions, edited, skip_uncontoured=uncontoured is Uncontoured.skip)
    result.to_csv(csv or result.csv_path)
    if plot is not None:
        result.box_plot(plot)
    Console().print(result.render())


@app.command()
def report(study: Annotated[Path, typer.Argument(help="The study folder.")]) -> None:
    """Write the study's HTML report anew."""
    from OneShotSegLib.report.html import write_report

    print(write_report(study))


def _batch_events(events: Events) -> Emit:
    from OneShotSegLib.cli.batch_progress import BatchProgress
    from OneShotSegLib.events import JsonEvents

    return JsonEvents() if events is Events.json else BatchProgress()


def _end(result: BatchResult) -> None:
    """Say how a batch ended, and exit with the status that says so too."""
    report = result.study / "report.html"
    _print(f"{len(result.done)} cases done, {len(result.failed)} failed. Report: {report}")
    if result.failed:
        raise typer.Exit(ExitStatus.SOME_FAILED)


def _three(text: str, option: str) -> tuple[float, float, float]:
    from OneShotSegLib.errors import InputError

    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option}: expected three numbers as z,y,x, found {text!r}.") from error
    return z, y, x


def _three_whole(text: str, option: str) -> tuple[int, int, int]:
    from OneShotSegLib.errors import InputError

    numbers = _three(text, option)
    if not all(number.is_integer() for number in numbers):
        raise InputError(f"{option}: expected three whole numbers as z,y,x, found {text!r}.")
    z, y, x = (int(number) for number in numbers)
    return z, y, x


def _print(text: str) -> None:
    print(text, file=sys.stderr)
