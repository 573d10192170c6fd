"""The commands for the environment that the Slicer module computes in: `environment show`, `install`, ..."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from OneShotSegLib.cli.options import Events, EventsOption
from OneShotSegLib.events import Emit, JsonEvents

app = typer.Typer(
    help="The environment of its own that the Slicer module computes in, where Slicer's Python lacks packages.",
    no_args_is_help=True,
)
Folder = Annotated[Path | None, typer.Option(help="Where it is; by default in the user's own data folder.")]
Wheels = Annotated[Path | None, typer.Option(help="A folder of wheels, for a machine without a network.")]
Base = Annotated[Path | None, typer.Option(help="The Python to make it of; by default the best one found, or fetched.")]


@app.command("show")
def show(
    folder: Folder = None,
    python: Annotated[Path | None, typer.Option(help="Another Python to look at instead.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is there and what it can do; exit status 1 if OneShotSeg cannot run in it."""
    from json import dumps

    from OneShotSegLib.backend import commands
    from OneShotSegLib.exit_status import ExitStatus

    shown = commands.show(commands.Wish(root=folder), [] if python is None else [str(python)])
    print(dumps(shown, indent=2) if json else "\n".join(commands.lines(shown)))
    raise typer.Exit(ExitStatus.DONE if shown.get("can_run") else ExitStatus.SOME_FAILED)


@app.command("install")
def install(
    folder: Folder = None,
    wheels: Wheels = None,
    base: Base = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is downloaded, and its size.")] = False,
    events: EventsOption = Events.text,
) -> None:
    """Install it, or go on with an installation that was stopped; the size is said before anything is downloaded."""
    from OneShotSegLib.backend import commands

    wish = commands.Wish(root=folder, wheels=wheels, base=base)
    raise typer.Exit(commands.describe(wish, _emit(events)) if dry_run else commands.install(wish, _emit(events)))


@app.command("repair")
def repair(folder: Folder = None, wheels: Wheels = None, base: Base = None, events: EventsOption = Events.text) -> None:
    """Look at each of its files, and install anew what is damaged, missing or too old."""
    from OneShotSegLib.backend import commands

    wish = commands.Wish(root=folder, wheels=wheels, base=base)
    raise typer.Exit(commands.install(wish, _emit(events), is_repair=True))


@app.command("remove")
def remove(folder: Folder = None) -> None:
    """Remove it, with what was downloaded for it."""
    from OneShotSegLib.backend import commands

    freed = commands.remove(commands.Wish(root=folder))
    print(f"Removed; {freed / 1e6:.0f} MB are free again.", file=sys.stderr)


def _emit(events: Events) -> Emit:
    from OneShotSegLib.backend.progress import TextEvents

    return JsonEvents() if events is Events.json else TextEvents()
