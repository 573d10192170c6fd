"""Every DICOM case exported as a structure set, and read back as a reference."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from outcomes import REFUSED, USED, Outcome, run_command

ROUND_TRIP = 0.98
RTSTRUCT = "8 RTSTRUCT: written and read"


def structure_sets(folder: Path, study: Path) -> list[Outcome]:
    """Every DICOM case exported as RTSTRUCT, and read back as reference."""
    exported = run_command("export", "rtstruct", study, folder, "--all")
    files = sorted(folder.glob("*.dcm")) if folder.is_dir() else []
    evaluated = run_command("evaluate", study, "--reference", folder, "--csv", folder.parent / "rtstruct.csv")
    outcomes = []
    rows: Sequence[dict[str, str]] = []
    if (folder.parent / "rtstruct.csv").is_file():
        with (folder.parent / "rtstruct.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    for path in files:
        dices = [float(row["dice"]) for row in rows if row["case"] == path.stem and row["dice"]]
        least = min(dices, default=0.0)
        outcomes.append(
            Outcome(
                kind=RTSTRUCT,
                name=path.stem,
                expected=USED,
                found=USED if dices else REFUSED,
                sentence="" if dices else evaluated.stderr[-300:],
                dice=float(np.mean(dices)) if dices else None,
                is_right=least >= ROUND_TRIP,
            )
        )
    if not files:
        outcomes.append(
            Outcome(
                kind=RTSTRUCT,
                name="export",
                expected=USED,
                found=REFUSED,
                sentence=exported.stderr,
            )
        )
    return outcomes
