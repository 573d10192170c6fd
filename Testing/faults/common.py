"""What the fault tests share: the batch, an undisturbed run to compare with, and the counting."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.study.case_state import result_of
from OneShotSegLib.study.layout import StudyPaths, read_json
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.shares import read_shares
from Testing.helpers import tiny_batch
from Testing.helpers.tiny_batch import TinyBatch

CASES = 3


@dataclass(kw_only=True)
class Tally:
    """One row of the table."""

    fault: str
    injected: int = 0
    lost: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def note(self, what: str, count: int = 1) -> None:
        """Count something else that happened."""
        self.notes[what] = self.notes.get(what, 0) + count

    def row(self) -> str:
        """As a row of a Markdown table."""
        notes = ", ".join(f"{count} {what}" for what, count in self.notes.items())
        lost = "nothing" if not self.lost else f"{len(self.lost)}: {'; '.join(self.lost[:5])}"
        return f"| {self.fault} | {self.injected} | {lost} | {notes} | {time.monotonic() - self.began:.0f} s |"


def batch(folder: Path, count: int = CASES) -> TinyBatch:
    """The batch, made if it is not there."""
    return tiny_batch.make(folder / f"batch-{count}", count)


def run_forked(request: Any, emit: Any = None) -> int:
    """Start the batch in a forked process that has everything loaded; returns its process id."""
    from OneShotSegLib.runner.propagation import propagate_batch

    pid = os.fork()
    if pid:
        return pid
    status = 3
    tiny_batch.score_briefly()
    try:
        os.setpgid(0, 0)
        outcome = propagate_batch(request, emit or (lambda event, **fields: None))
        status = 1 if outcome.failed else 0
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        status = 2
    finally:
        os._exit(status)


def undisturbed(tiny: TinyBatch, folder: Path) -> dict[str, str]:
    """The masks of a run that nothing disturbs."""
    study = folder / f"undisturbed-{len(tiny.files.queries)}"
    os.waitpid(run_forked(tiny.request(study)), 0)
    return masks(study)


def masks(study: Path) -> dict[str, str]:
    """A fingerprint of each case's mask and scribbles, for those that count as done."""
    paths = StudyPaths(study)
    done = [paths.case(path.name) for path in paths.cases_folder.glob("*") if result_of(paths.case(path.name))]
    return {
        case.name: hashlib.sha256(case.pseudo_mask.read_bytes() + case.scribbles.read_bytes()).hexdigest()
        for case in done
    }


def broken_files(study: Path) -> list[str]:
    """Visible files of a study that are not whole."""
    broken = []
    for path in study.rglob("*"):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            if path.name.endswith(".json"):
                read_json(path)
            elif path.name == "shares.nrrd":
                read_shares(path)
            elif path.name.endswith(".nrrd"):
                read_label_map(path)
            elif path.name == "review.csv":
                ReviewLedger.load(path)
            elif path.name == "report.html" and not path.read_text().rstrip().endswith("</html>"):
                broken.append(str(path))
        except (InputError, OSError) as error:
            broken.append(str(error))
    return broken


def stamps(study: Path) -> dict[str, int]:
    """When each case that is done was written."""
    paths = StudyPaths(study)
    return {name: paths.case(name).quality.stat().st_mtime_ns for name in masks(study)}


def check_step(tally: Tally, study: Path, before: dict[str, int]) -> dict[str, int]:
    """After a fault: what is there is whole, and what was done is still done and was not done again."""
    tally.lost += broken_files(study)
    now = stamps(study)
    tally.lost += [f"{name} was done and is not any more" for name in before.keys() - now.keys()]
    tally.lost += [f"{name} was done twice" for name in before.keys() & now.keys() if before[name] != now[name]]
    return now


def check_end(tally: Tally, study: Path, expected: dict[str, str]) -> None:
    """In the end every mask is there, byte for byte that of the undisturbed run, and nothing left behind."""
    found = masks(study)
    tally.lost += [f"{name} is missing or differs" for name in expected if found.get(name) != expected[name]]
    left = [p.name for p in study.rglob("*") if p.name.startswith(".") and p.name != ".oneshotseg.lock"]
    tally.lost += [f"{name} was left behind" for name in left]
    tally.lost += [f"{p} was left behind" for p in study.rglob("running.json")]
