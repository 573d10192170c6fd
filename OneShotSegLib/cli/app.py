"""The commands of ``oneshotseg``, in the order in which its help lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from OneShotSegLib.cli import batches, installation, studies, training
from OneShotSegLib.cli.environment import app as environment_app
from OneShotSegLib.cli.export import app as export_app

app = typer.Typer(
    help="Scribble one CT, get the same structures segmented in a whole batch of CTs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(batches.demo)
app.command("suggest-support")(batches.suggest_support)
app.command("propagate")(batches.propagate)
app.command("train-prnet")(training.train_prnet)
app.command("train-seg")(training.train_seg)
app.command("segment")(batches.segment)
app.command("import-weights")(training.import_weights)
app.command("regrow")(studies.regrow)
app.command("review")(studies.review)
app.command("revisions")(studies.revisions)
app.command("suggest")(studies.suggest)
app.command("evaluate")(studies.evaluate)
app.command("report")(studies.report)
app.command("browse")(studies.browse)
app.command("worker")(studies.worker)
app.command("doctor")(installation.doctor)
app.add_typer(export_app, name="export")
app.add_typer(environment_app, name="environment")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and the build, and stop.")] = False,
) -> None:
    if version:
        from OneShotSegLib.build_info import version_line

        print(version_line())
        raise typer.Exit
