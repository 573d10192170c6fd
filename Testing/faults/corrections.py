"""Corrections of one case, written in many ways, accepted in the shell and exported."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from outcomes import MENDED, REFUSED, USED, Outcome, run_command, world_dice

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.study.layout import StudyPaths
from Testing.helpers.named_segments import Painted, write_segmentation


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
    "nameless": (lambda parts: [replace(p, name="") for p in parts], MENDED, "have no names"),
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
