"""Regrowing a case's mask from the shell."""

from __future__ import annotations

from pathlib import Path

from OneShotSegLib.runner.regrowth import regrow_case
from OneShotSegLib.study.layout import StudyPaths


def show_regrowth(study: Path, case: str, strokes: Path, replace: bool, reopen: bool) -> None:
    """Regrow a case's mask and print what changed.

    Raises:
        InputError: As `regrow_case`; then nothing is written.
    """
    result = regrow_case(StudyPaths(study), case, None, strokes, replace=replace, reopen=reopen)
    if not result.changed_voxels:
        print(f"{case}: nothing changed, the mask agrees with the strokes already.")
        return
    changes = ", ".join(f"{name} {ml:+.2f} ml" for name, ml in result.changed_ml.items()) or "no volume changed"
    print(f"{case}: {changes}; saved as its correction (edited.seg.nrrd), which waits for a decision.")
