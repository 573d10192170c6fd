"""Every kind of faulty input through the command line: the table of docs/reliability.md.

    python Testing/faults/inputs.py [--folder DIR] [--only TEXT] [--markdown FILE]

One phantom is stored in each of the ways of `input_variants.py`, all of them are propagated to in one batch, and each
mask is compared in the patient's space with that of the plainly stored case. Then corrections, scribbles, replaced CTs
and structure sets. Prints a line per variant and the table; exit status 1 if one is worse than it is to be. Takes about
five minutes on one core. The method's settings are quick ones, and the default ones where voxels are interpolated.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from further_inputs import further_checks
from input_variants import Variant, variants
from outcomes import LEFT_OUT, MENDED, REFUSED, USED, Outcome, propagate, world_dice

from OneShotSegLib import phantom
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import CohortFiles

COARSENESS = 2.5


@dataclass
class Case:
    """What a run said of one source."""

    case: str = ""
    said: list[str] = field(default_factory=list)
    failed: str = ""
    is_done: bool = False


def by_folder(root: Path, study: Path, events: Sequence[Mapping[str, Any]]) -> dict[str, list[Case]]:
    """What was said of the cases in each variant's folder."""
    cases: dict[str, Case] = {}
    folders: dict[str, list[Case]] = {}
    for entry in json.loads((study / "study.json").read_text(encoding="utf-8"))["cases"]:
        cases[entry["case"]] = case = Case(entry["case"])
        place = os.path.relpath(study / entry["source"], root)
        folders.setdefault(Path(place).parts[0], []).append(case)
    for event in events:
        case_of = cases.get(str(event.get("case")))
        if event["event"] == "left_out":
            parts = Path(os.path.relpath(event["path"], root)).parts
            folders.setdefault(parts[0], []).append(Case(said=[event["text"]]))
        elif case_of is not None and event["event"] == "warning":
            case_of.said.append(event["text"])
        elif case_of is not None and event["event"] == "case_failed":
            case_of.failed = event["error"]
        elif case_of is not None and event["event"] == "case_done":
            case_of.is_done = True
    return folders


def outcome_of(variant: Variant, said: Sequence[Case], study: Path, plain: Volume) -> Outcome:
    """What became of a variant, compared with what was to become of it."""
    outcome = Outcome(kind=variant.kind, name=variant.name, expected=variant.expected, why=variant.why)
    done = [case for case in said if case.is_done]
    failed = [case.failed for case in said if case.failed]
    notes = [text for case in said for text in case.said]
    if done:
        masks = [read_label_map(study / "cases" / case.case / "pseudo.seg.nrrd").volume for case in done]
        outcome.dice = min(world_dice(mask, plain) for mask in masks)
        outcome.found = MENDED if notes else USED
    else:
        outcome.found = REFUSED if failed else LEFT_OUT if notes else "passed over without a word"
    outcome.sentence = " ".join((*failed, *notes))
    outcome.is_right = (
        outcome.found == variant.expected
        and len(done) <= 1
        and variant.says in outcome.sentence
        and (outcome.dice is None or outcome.dice >= variant.least)
    )
    return outcome


def run_variants(
    chosen: Sequence[Variant], folder: Path, files: CohortFiles, default: bool = False
) -> tuple[list[Outcome], Path]:
    """Store, propagate with quick settings or the default ones, compare."""
    root, study = folder / "in", folder / "study"
    ct = thinner(read_volume(files.queries[0]))
    for variant in chosen:
        place = root / variant.name
        place.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's own, on what is to be wrong
            variant.write(place, ct)
    # Each folder is a query of its own, so that what is summed up per query is told per variant.
    events = propagate(files, study, *(root / variant.name for variant in chosen), default=default)
    said = by_folder(root, study, events)
    plain = read_label_map(study / "cases" / said["plain"][0].case / "pseudo.seg.nrrd").volume
    return [outcome_of(variant, said.get(variant.name, []), study, plain) for variant in chosen], study


def thinner(ct: Volume) -> Volume:
    """The CT with twice as many slices, so that a missing one is no gap."""
    grid = Volume.create(np.zeros((2 * ct.shape[0] - 1, *ct.shape[1:]), np.uint8), ct.spacing / (2, 1, 1), ct.origin)
    fine = resample(ct, grid)
    return fine.with_array(np.round(fine.array).astype(np.int16))


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """A row of Markdown per kind."""
    lines = [
        "| kind | variants | used | mended and said | refused | left out and said | least Dice | why under 0.99 |",
        "| --- " * 8 + "|",
    ]
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        of_kind = [outcome for outcome in outcomes if outcome.kind == kind]
        counts = [sum(outcome.found == found for outcome in of_kind) for found in (USED, MENDED, REFUSED, LEFT_OUT)]
        dices = [outcome.dice for outcome in of_kind if outcome.dice is not None]
        least = f"{min(dices):.3f}" if dices else ""
        why = "; ".join(dict.fromkeys(outcome.why for outcome in of_kind if outcome.why))
        lines.append(
            f"| {kind} | {len(of_kind)} | {' | '.join(str(c) if c else '' for c in counts)} | {least} | {why} |"
        )
    return lines


def main() -> int:
    """Run everything; the number of variants that are not as they are to be, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if left out")
    parser.add_argument("--only", default="", help="only variants with this in their kind or name")
    parser.add_argument("--markdown", type=Path, help="write the tables there too")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        files = phantom.write_cohort(folder / "phantoms", 2, coarseness=COARSENESS)
        kinds = list(dict.fromkeys(variant.kind for variant in variants()))
        plain, *others = (v for v in variants() if v.name == "plain" or options.only in f"{v.kind} {v.name}")
        outcomes, study = run_variants([plain, *(v for v in others if not v.why)], folder, files)
        if any(v.why for v in others):
            interpolated = [plain, *(v for v in others if v.why)]
            outcomes += run_variants(interpolated, folder / "interpolated", files, default=True)[0][1:]
            outcomes.sort(key=lambda one: kinds.index(one.kind))
        if not options.only:
            outcomes += further_checks(folder, files, study)
    lines = [
        f"| {o.kind} | {o.name} | {o.found}{'' if o.is_right else f' (expected: {o.expected})'} | "
        f"{'' if o.dice is None else f'{o.dice:.3f}'} | {' '.join(o.sentence.split())[:300]} |"
        for o in outcomes
    ]
    wrong = [outcome for outcome in outcomes if not outcome.is_right]
    last = f"{len(outcomes)} variants, {len(wrong)} not as they are to be, {time.monotonic() - began:.0f} s"
    text = "\n".join([*lines, "", *table(outcomes), "", last])
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
