"""Another CT at a case's path, and the CT of a case at another path."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from outcomes import MENDED, REFUSED, USED, Outcome, propagate, run_command, world_dice

from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.phantom import CohortFiles


def replaced_cts(folder: Path, files: CohortFiles) -> list[Outcome]:
    """Another CT at a case's path, and the CT of a case at another path."""
    folder.mkdir()
    ct, study = folder / "cts" / "x.nii.gz", folder / "study"
    ct.parent.mkdir()
    shutil.copy(files.queries[0], ct)
    # By the default settings: the quick ones find another mask where the CT lies otherwise on the networks' grid.
    propagate(files, study, ct.parent, default=True)
    shutil.copy(study / "cases" / "x" / "pseudo.seg.nrrd", folder / "first.seg.nrrd")
    outcomes = []
    other = read_volume(files.queries[0])
    moved = other.with_array(np.roll(other.array, 3, axis=2))
    write_volume(moved, ct)
    exported = run_command("export", "nifti", study, folder / "out", "--all")
    outcomes.append(
        Outcome(
            kind="5 A case is its CT",
            name="replaced, exported",
            expected=REFUSED,
            found=REFUSED if exported.returncode == 2 else USED,
            sentence=exported.stderr,
            is_right=exported.returncode == 2 and "passed over" in exported.stderr,
        )
    )
    said = [str(event.get("text", "")) for event in propagate(files, study, ct.parent, default=True)]
    again = read_label_map(study / "cases" / "x" / "pseudo.seg.nrrd").volume
    place = read_label_map(folder / "first.seg.nrrd").volume
    follows = world_dice(again.with_array(np.roll(again.array, -3, axis=2)), place)
    outcomes.append(
        Outcome(
            kind="5 A case is its CT",
            name="replaced, run again",
            expected=MENDED,
            found=MENDED if any("anew" in text for text in said) else USED,
            sentence=" ".join(text for text in said if "anew" in text),
            dice=follows,
            why="the same voxels elsewhere, on another place of the networks' grid",
            is_right=any("anew" in text for text in said) and follows > 0.85,
        )
    )
    (folder / "elsewhere").mkdir()
    ct.rename(folder / "elsewhere" / "y.nii.gz")
    events = propagate(files, study, folder / "elsewhere", default=True)
    resumed = [event for event in events if event["event"] == "case_done" and event.get("resumed")]
    outcomes.append(
        Outcome(
            kind="5 A case is its CT",
            name="moved",
            expected=USED,
            found=USED if [event["case"] for event in resumed] == ["x"] else REFUSED,
            is_right=[event["case"] for event in resumed] == ["x"],
        )
    )
    return outcomes
