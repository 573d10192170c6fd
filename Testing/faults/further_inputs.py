"""What comes in besides queries: corrections, scribbles, CTs that were replaced, structure sets."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from outcomes import MENDED, REFUSED, USED, Outcome, events_of, propagate, run_command, world_dice

from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.study.layout import StudyPaths
from Testing.helpers.named_segments import Painted, write_segmentation

ROUND_TRIP = 0.98
RTSTRUCT = "8 RTSTRUCT: written and read"


def further_checks(folder: Path, files: CohortFiles, study: Path) -> list[Outcome]:
    """All of them, on copies of a study that the variants were propagated in."""
    return [
        *structures(folder / "structures", files, study),
        *replaced_cts(folder / "replaced", files),
        *scribble_grids(folder / "scribbles", files),
        *structure_sets(folder / "rtstruct", study),
    ]


# Structures by name


def segments_of(mask: LabelMap) -> list[Painted]:
    """The mask's segments as they are."""
    return [Painted(s.name, s.value, mask.volume.array == s.value) for s in mask.segments]


def renumbered(parts: list[Painted]) -> list[Painted]:
    values = [part.value for part in parts]
    return [replace(part, value=value) for part, value in zip(parts, [*values[1:], values[0]], strict=True)]


def shifted_name(parts: list[Painted]) -> list[Painted]:
    return [replace(parts[0], name=f" {parts[0].name.upper()} "), *parts[1:]]


def with_another(parts: list[Painted]) -> list[Painted]:
    taken = np.any([part.mask for part in parts], axis=0)
    return [*parts, Painted("Tumour", 77, np.roll(parts[0].mask, 9, 2) & ~taken)]


CORRECTIONS: dict[str, tuple[Callable[[list[Painted]], list[Painted]], str, str]] = {
    "as_it_is": (lambda parts: parts, USED, ""),
    "renumbered": (renumbered, USED, ""),
    "reordered": (lambda parts: parts[::-1], USED, ""),
    "deleted_and_painted_anew": (lambda parts: [*parts[1:], replace(parts[0], value=99)], USED, ""),
    "layers": (lambda parts: [replace(p, value=1, layer=k) for k, p in enumerate(parts)], USED, ""),
    "letter_case_and_blanks": (shifted_name, USED, ""),
    "added": (with_another, MENDED, "not asked for"),
    "missing": (lambda parts: parts[1:], MENDED, "no structure of these names"),
    "renamed": (lambda parts: [replace(parts[0], name="Stem"), *parts[1:]], MENDED, "no structure of these names"),
    "empty": (lambda parts: [replace(parts[0], mask=np.zeros_like(parts[0].mask)), *parts[1:]], USED, ""),
    "twice": (lambda parts: [*parts, replace(parts[1], name=parts[0].name, value=88)], REFUSED, "each structure once"),
    "other_names": (lambda parts: [replace(p, name=f"x{p.value}") for p in parts], REFUSED, "expected structures"),
}
LACKS_THE_FIRST = ("missing", "renamed", "empty")


def structures(folder: Path, files: CohortFiles, study: Path) -> list[Outcome]:
    """A correction of one case, written in many ways, accepted in the shell and exported; each is a case of a study."""
    copy, out = folder / "study", folder / "masks"
    study_of_copies(study, copy, list(CORRECTIONS))
    plain = StudyPaths(study).case("plain").pseudo_mask
    truth = read_label_map(plain)
    for name, (change, _, _) in CORRECTIONS.items():
        write_segmentation(StudyPaths(copy).case(name).edited_mask, change(segments_of(truth)), like=plain)
    fine = [name for name, (_, expected, _) in CORRECTIONS.items() if expected != REFUSED]
    printed = run_command("review", copy, *(part for name in fine for part in ("--accept", name))).stdout
    refused = {n: run_command("review", copy, "--accept", n) for n in CORRECTIONS if n not in fine}
    exported = run_command("export", "nifti", copy, out, "--all")
    said = " ".join((printed, exported.stderr)).replace("\n", " ")
    return [_corrected(name, truth, out / f"{name}.nii.gz", said, refused.get(name)) for name in CORRECTIONS]


def _corrected(
    name: str, truth: LabelMap, file: Path, said: str, refused: subprocess.CompletedProcess[str] | None
) -> Outcome:
    _, expected, says = CORRECTIONS[name]
    outcome = Outcome(kind="1 Structures: corrections", name=name, expected=expected)
    if refused is not None:
        outcome.sentence = " ".join(refused.stderr.split())
        outcome.found = REFUSED if refused.returncode == 2 and not file.exists() else USED
        outcome.is_right = outcome.found == REFUSED and says in outcome.sentence
        return outcome
    outcome.sentence = " ".join(part for part in said.split(f"{name}: ")[1:2])[:200]
    wanted = truth.volume
    if name in LACKS_THE_FIRST:
        kept = np.where(wanted.array == truth.segments[0].value, 0, wanted.array)
        wanted = wanted.with_array(kept.astype(np.uint8))
    if file.is_file():
        outcome.dice = world_dice(read_volume(file), wanted)
    is_said = bool(says) and f"{name}: edited.seg.nrrd: " in said and says in said
    outcome.found = "not exported" if outcome.dice is None else MENDED if is_said else USED
    outcome.is_right = outcome.found == expected and outcome.dice == 1
    return outcome


def study_of_copies(study: Path, copy: Path, names: Sequence[str]) -> None:
    """A study whose cases are all the plain case under these names."""
    (copy / "cases").mkdir(parents=True)
    content = json.loads((study / "study.json").read_text(encoding="utf-8"))
    source = next(entry["source"] for entry in content["cases"] if entry["case"] == "plain")
    for name in names:
        shutil.copytree(study / "cases" / "plain", copy / "cases" / name)
        quality = copy / "cases" / name / "quality.json"
        measures = json.loads(quality.read_text(encoding="utf-8")) | {"case": name}
        quality.write_text(json.dumps(measures), encoding="utf-8")
    content["cases"] = [{"case": name, "source": source} for name in names]
    (copy / "study.json").write_text(json.dumps(content), encoding="utf-8")
    ledger = "case,state,score,comment,time\n" + "".join(f"{name},pending,0.5,,\n" for name in names)
    (copy / "review.csv").write_text(ledger, encoding="utf-8")


# A case is its CT


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


# Scribbles on other grids


def cropped_to_strokes(strokes: LabelMap) -> Volume:
    index = np.argwhere(strokes.volume.array)
    low, high = index.min(axis=0), index.max(axis=0) + 1
    volume = strokes.volume
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Volume(
        array=volume.array[part], spacing=volume.spacing, origin=volume.to_world(low), direction=volume.direction
    )


def flipped(strokes: LabelMap) -> Volume:
    from OneShotSegLib.imaging.itk import from_itk, to_itk

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


# Structure sets


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
