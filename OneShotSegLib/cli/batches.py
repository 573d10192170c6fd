"""The commands that make a study of a batch of CTs: `demo`, `propagate`, `segment`; and `suggest-support` before."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from OneShotSegLib.cli.options import Device, Events, EventsOption, SeriesOption, print_error
from OneShotSegLib.exit_status import ExitStatus
from OneShotSegLib.runner.request import PropagationRequest, SegmentationRequest

if TYPE_CHECKING:
    from OneShotSegLib.events import Emit
    from OneShotSegLib.runner.batch import BatchResult


class MethodName(StrEnum):
    """The settings of the steps."""

    default = "default"
    paper = "paper"


DEFAULT_METHOD = MethodName(str(PropagationRequest.method))


def demo(
    output: Annotated[Path, typer.Option(help="Where the phantom cohort, the study and the report go.")] = Path("demo"),
    patients: Annotated[int, typer.Option(min=2, help="Phantom patients; the first is the support.")] = 7,
    device: Device = PropagationRequest.device,
    show: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Do the whole main job on an embedded phantom cohort: scribbles to pseudo masks, Dice and an HTML report."""
    from OneShotSegLib.cli.demo import run_demo

    report = run_demo(output, patients, device)
    if show:
        import webbrowser

        if not webbrowser.open(report.resolve().as_uri()):
            print_error("No browser could be started: open the report by hand.")


def suggest_support(
    volume: Annotated[list[Path], typer.Argument(help="CTs, or folders of them.")],
    count: Annotated[
        int, typer.Option(min=1, help="How many CTs to list, the best first; outliers are named too.")
    ] = 10,
    series: SeriesOption = None,
    events: EventsOption = Events.text,
) -> None:
    """Say which CT of a batch would be the best one to scribble, and which ones are outliers; needs no labels."""
    from OneShotSegLib.cli.support_advice import show_support_advice

    if not show_support_advice(volume, series or (), count, events is Events.json):
        raise typer.Exit(ExitStatus.SOME_FAILED)


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
    weights: Annotated[
        str, typer.Option(help="Shipped weights' name, a weights folder, or 'auto' for what fits the scan.")
    ] = PropagationRequest.weights,
    device: Device = PropagationRequest.device,
    background_label: Annotated[
        int | None, typer.Option(min=1, max=255, help="Value of the background stroke, if no segment is so named.")
    ] = PropagationRequest.background_label,
    method: Annotated[MethodName, typer.Option(help="'paper' for the paper's settings.")] = DEFAULT_METHOD,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try each case that fails once more, after all the others.")
    ] = PropagationRequest.retry_failed,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes on this machine, one per GPU; this process if left out.")
    ] = PropagationRequest.workers,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, whose workers do the cases; instead of --workers.")
    ] = PropagationRequest.scheduler,
    series: SeriesOption = None,
    reviewed: Annotated[
        str,
        typer.Option(
            "--supports",
            help="Which accepted and corrected cases of the study are supports too, with their whole masks: reviewed "
            "(all of them), none, or names with commas.",
        ),
    ] = PropagationRequest.reviewed,
    support_cases: Annotated[
        bool,
        typer.Option(
            "--support-cases",
            help="Make each support a case of the study too, with the mask that its strokes grew into: to be reviewed "
            "and corrected as any other.",
        ),
    ] = PropagationRequest.support_cases,
    network: Annotated[
        Path | None,
        typer.Option(
            help="A trained network (the folder that train-seg wrote, or its file) whose masks are one more candidate."
        ),
    ] = PropagationRequest.network,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the cases, what would be recomputed, and what is not used; write nothing."
        ),
    ] = False,
    events: EventsOption = Events.text,
) -> None:
    """Propagate the scribbles of one CT to others and grow them into pseudo masks."""
    from OneShotSegLib.runner.propagation import propagate_batch

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
        series=tuple(series or ()),
        reviewed=reviewed,
        support_cases=support_cases,
        network=network,
    )
    if dry_run:
        _plan(request, events)
        return
    _end(propagate_batch(request, _emit_to(events)))


def segment(
    model: Annotated[Path, typer.Option(help="The network: the folder that train-seg wrote, or its file.")],
    output: Annotated[Path, typer.Option(help="The study folder to write; a run that was cut off goes on.")],
    volume: Annotated[list[Path], typer.Argument(help="CTs, or folders of them.")],
    overlap: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of a window that the next covers again.")
    ] = SegmentationRequest.overlap,
    flips: Annotated[
        bool, typer.Option(help="Average over flips along z and y (4 x the time); never left-right.")
    ] = SegmentationRequest.flips,
    largest_component: Annotated[
        str, typer.Option(help="Structures of which only the largest part is kept: all, none, or names with commas.")
    ] = SegmentationRequest.largest_component,
    fill_holes: Annotated[
        str, typer.Option(help="Structures whose holes are filled: all, none, or names with commas.")
    ] = SegmentationRequest.fill_holes,
    device: Device = SegmentationRequest.device,
    series: SeriesOption = None,
    check_region: Annotated[
        bool,
        typer.Option(
            "--check-region/--any-region",
            help="Whether a CT of another part of the body than the network learnt fails.",
        ),
    ] = SegmentationRequest.check_region,
    events: EventsOption = Events.text,
) -> None:
    """Segment CTs with a network that train-seg trained."""
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
        series=tuple(series or ()),
        check_region=check_region,
    )
    _end(segment_batch(request, _emit_to(events)))


def _plan(request: PropagationRequest, events: Events) -> None:
    from OneShotSegLib.cli.plan import print_plan
    from OneShotSegLib.events import JsonEvents
    from OneShotSegLib.runner.planning import plan_batch

    if events is Events.json:
        plan_batch(request, JsonEvents())
    else:
        print_plan(plan_batch(request))


def _emit_to(events: Events) -> Emit:
    from OneShotSegLib.cli.batch_progress import BatchProgress
    from OneShotSegLib.events import JsonEvents

    return JsonEvents() if events is Events.json else BatchProgress()


def _end(result: BatchResult) -> None:
    """Print how a batch ended, and exit with the status that belongs to it."""
    from OneShotSegLib.study.layout import StudyPaths

    report = StudyPaths(result.study).report
    print_error(f"{len(result.done)} cases done, {len(result.failed)} failed. Report: {report}")
    if result.failed:
        raise typer.Exit(ExitStatus.SOME_FAILED)
