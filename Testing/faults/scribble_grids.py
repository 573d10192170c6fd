"""The support's scribbles on other grids than its CT's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from outcomes import MENDED, REFUSED, USED, Outcome, events_of, run_command, world_dice

from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import CohortFiles


def cropped_to_strokes(strokes: LabelMap) -> Volume:
    index = np.argwhere(strokes.volume.array)
    low, high = index.min(axis=0), index.max(axis=0) + 1
    volume = strokes.volume
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Volume(
        array=volume.array[part], spacing=volume.spacing, origin=volume.to_world(low), direction=volume.direction
    )


def flipped(strokes: LabelMap) -> Volume:
    return from_itk(sitk.DICOMOrient(to_itk(strokes.volume), "RAS"))


def oversampled(strokes: LabelMap) -> Volume:
    volume = strokes.volume
    array = np.repeat(np.repeat(volume.array, 2, axis=1), 2, axis=2)
    spacing = volume.spacing / (1, 2, 2)
    return Volume(array=array, spacing=spacing, origin=volume.to_world((0, -0.25, -0.25)), direction=volume.direction)


def moved_by(millimetres: float) -> Callable[[LabelMap], Volume]:
    return lambda strokes: replace(strokes.volume, origin=strokes.volume.origin + millimetres)


def on_another_grid(strokes: LabelMap) -> Volume:
    volume = strokes.volume
    other = Volume.create(np.zeros((20, 20, 20), np.uint8), volume.spacing * 1.37, volume.origin + 11.3)
    return resample_labels(volume, other)


SCRIBBLES: dict[str, tuple[Callable[[LabelMap], Volume], str, str]] = {
    "cropped": (cropped_to_strokes, USED, ""),
    "other axes": (flipped, USED, ""),
    "0.004 mm off": (moved_by(0.004), MENDED, "beside the CT's voxels"),
    "oversampled": (oversampled, MENDED, "resampled"),
    "another grid": (on_another_grid, REFUSED, "Expected scribbles on the support's grid"),
}


def scribble_grids(folder: Path, files: CohortFiles) -> list[Outcome]:
    """The support's scribbles on other grids."""
    folder.mkdir()
    strokes = read_label_map(files.scribbles)
    outcomes, plain = [], None
    for name, (change, expected, says) in {"as they are": (lambda s: s.volume, USED, ""), **SCRIBBLES}.items():
        file, study = folder / f"{name}.seg.nrrd", folder / name
        write_label_map(LabelMap(change(strokes), strokes.segments), file)
        support = ("--support", files.support, "--scribbles", file, "--weights", "phantom", "--device", "cpu")
        done = run_command("propagate", *support, "--output", study, "--events", "json", files.queries[0])
        mask = next(iter(study.glob("cases/*/pseudo.seg.nrrd")), None)
        warnings = [str(event["text"]) for event in events_of(done) if event["event"] == "warning"]
        said = " ".join((*warnings, *([done.stderr] if done.returncode == 2 else [])))
        outcome = Outcome(kind="7 Surroundings: scribbles on other grids", name=name, expected=expected, sentence=said)
        if mask is not None:
            found = read_label_map(mask).volume
            plain = plain or found
            outcome.dice = world_dice(found, plain)
        outcome.found = REFUSED if mask is None and done.returncode == 2 else MENDED if warnings else USED
        outcome.is_right = outcome.found == expected and says in said and (outcome.dice is None or outcome.dice > 0.99)
        outcomes.append(outcome)
    return outcomes
