"""The command that looks at the installation: `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    folder: Annotated[Path, typer.Argument(help="Where results are to go; its free space is looked at.")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is there of what the computation needs, and what is missing; exit status 1 if it cannot run."""
    from OneShotSegLib.doctor.examination import show

    raise typer.Exit(show(folder, json))
