"""The commands for a study that is there: `regrow`, `review`, `suggest`, `evaluate`, `report`, `browse`; the worker."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from OneShotSegLib.cli.options import Device, Study


class Uncontoured(StrEnum):
    """How a structure counts that only the prediction has."""

    false_positive = "false-positive"
    skip = "skip"


def review(
    study: Study,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="A case to accept, with its saved correction where it has one; may be repeated."),
    ] = None,
    reject: Annotated[list[str] | None, typer.Option(help="A case to reject; may be repeated.")] = None,
    edited: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CASE=FILE",
            help="Store a label map, .seg.nrrd or RTSTRUCT as a case's correction, and accept that; may be repeated.",
        ),
    ] = None,
    discard_correction: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CASE",
            help="Set a case's saved correction aside, kept under another name; may be repeated.",
        ),
    ] = None,
    structure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CASE/STRUCTURE=DECISION",
            help="Decide on one structure of a case: accepted, doubtful (no support), rejected (not used anywhere), or "
            "open for what is decided of the case; may be repeated.",
        ),
    ] = None,
    comment: Annotated[str | None, typer.Option(help="A comment on the cases named.")] = None,
) -> None:
    """Note decisions in the study's ledger, and show where the review stands, the doubtful cases first."""
    from OneShotSegLib.cli.review import parse_edited, parse_structures, show_review
    from OneShotSegLib.study.decisions import Decisions

    decisions = Decisions(
        accept=accept or (),
        reject=reject or (),
        edited=parse_edited(edited or ()),
        discard=discard_correction or (),
        structures=parse_structures(structure or ()),
        comment=comment,
    )
    show_review(study, decisions)


def revisions(
    study: Study,
    take_back: Annotated[
        bool,
        typer.Option(
            "--take-back", help="Return to the revision before; the results that the last one replaced come back."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what the study's results were computed from, or take the last run's changes back."""
    from OneShotSegLib.cli.revisions import show_revisions, take_back_revision

    if take_back:
        take_back_revision(study)
    show_revisions(study, json)


def regrow(
    study: Study,
    case: Annotated[str, typer.Argument(help="The case.")],
    strokes: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A label map of the new strokes, matched by name: what is missing painted as its structure, what is "
            "too much as Background, or as what it is.",
        ),
    ],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Let these take the place of all strokes that the case has, instead of adding."),
    ] = False,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Open the case again if it is accepted, corrected or rejected.")
    ] = False,
) -> None:
    """Let a case's mask regrow from strokes painted in it; the result is a correction, still to be accepted."""
    from OneShotSegLib.cli.regrow import show_regrowth

    show_regrowth(study, case, strokes, replace, reopen)


def suggest(
    study: Study,
    count: Annotated[int, typer.Option(help="How many cases.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name the cases whose correction would teach most: doubtful, and unlike what was corrected already."""
    from OneShotSegLib.cli.suggest import show_suggestions

    show_suggestions(study, count, json)


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="A study, or a folder of label maps.")],
    reference: Annotated[
        Path, typer.Option(help="Folder of references by case name: label maps, or RTSTRUCTs of a study.")
    ],
    csv: Annotated[Path | None, typer.Option(help="Where the table goes; next to the predictions if left out.")] = None,
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
    # First what needs no place to write to: the study may be one that can only be read.
    Console().print(result.render())
    result.to_csv(csv)
    if plot is not None:
        result.box_plot(plot)


def report(study: Study) -> None:
    """Write the study's HTML report anew."""
    from OneShotSegLib.report.html import write_report

    print(write_report(study))


def browse(
    path: Annotated[Path, typer.Argument(help="A study; or a folder with CTs, to begin one.")],
    study: Annotated[
        Path | None, typer.Option(help="The study folder for these CTs; next to them, with -study, if left out.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")] = False,
    reader: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="A further reader: their decisions and corrections are kept apart, and compared with the others'.",
        ),
    ] = "",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port; 8731 or a free one if left out.")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    weights: Annotated[str, typer.Option(help="The weights of runs, as for propagate.")] = "auto",
    device: Device = "auto",
) -> None:
    """Show a study in the browser, on this machine alone: paint, propagate, review, export; Ctrl+C ends it."""
    from OneShotSegLib.browser.server import browse as serve_page
    from OneShotSegLib.browser.server import request_of

    serve_page(request_of(path, study, read_only, reader, device, weights), port, show)


def worker() -> None:
    """Hold one case or one support in memory, and answer requests on standard input, as JSON lines; for programs."""
    from OneShotSegLib.worker.server import serve

    serve()
