"""What comes in besides queries: corrections, scribbles, CTs that were replaced, structure sets."""

from __future__ import annotations

from pathlib import Path

from corrections import structures
from outcomes import Outcome
from replaced_cts import replaced_cts
from rtstruct_round_trips import structure_sets
from scribble_grids import scribble_grids

from OneShotSegLib.phantom import CohortFiles


def further_checks(folder: Path, files: CohortFiles, study: Path) -> list[Outcome]:
    """All of them, on copies of a study that the variants were propagated in."""
    return [
        *structures(folder / "structures", files, study),
        *replaced_cts(folder / "replaced", files),
        *scribble_grids(folder / "scribbles", files),
        *structure_sets(folder / "rtstruct", study),
    ]
