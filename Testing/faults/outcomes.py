"""Runs of the command line on faulty inputs, and what becomes of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.phantom import CohortFiles

USED, MENDED, REFUSED, LEFT_OUT = "used", "mended and said", "refused", "left out and said"
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("quick_cli.py")


@dataclass(kw_only=True)
class Outcome:
    """What became of a variant.

    Attributes:
        kind: What the table counts it under.
        name: Its name.
        expected: What was to become of it.
        found: What did.
        sentence: What was said of it.
        dice: World-space Dice with the plainly stored case, for one that has a mask.
        why: Why that may be under 0.99.
        is_right: Whether all is as it is to be.
    """

    kind: str
    name: str
    expected: str
    found: str = ""
    sentence: str = ""
    dice: float | None = None
    why: str = ""
    is_right: bool = False


def run_command(*words: object, default: bool = False) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own, with quick settings or the default ones."""
    program = ("-m", "OneShotSegLib") if default else (str(PROGRAM),)
    command = [sys.executable, *program, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False, env=environment
    )


def events_of(done: subprocess.CompletedProcess[str]) -> list[Mapping[str, Any]]:
    """The events of its standard output."""
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"event"')]


def propagate(files: CohortFiles, study: Path, *queries: object, default: bool = False) -> list[Mapping[str, Any]]:
    """A run of the command line, as events."""
    support = ("--support", files.support, "--scribbles", files.scribbles, "--weights", "phantom", "--device", "cpu")
    done = run_command("propagate", *support, "--output", study, "--events", "json", *queries, default=default)
    events = events_of(done)
    if not any(event["event"] == "finished" for event in events):
        raise SystemExit(f"The run did not end by itself: {done.stderr[-2000:]}")
    return events


def world_dice(mask: Volume, plain: Volume) -> float:
    """Mean Dice over the plain mask's structures, by voxels of its grid, the other mask read at their places."""
    index = np.moveaxis(np.indices(plain.shape), 0, -1).reshape(-1, 3)
    places = np.rint(mask.to_index(plain.to_world(index))).astype(int)
    inside = ((places >= 0) & (places < mask.shape)).all(axis=1)
    found = np.zeros(len(places), dtype=np.uint8)
    found[inside] = mask.array[tuple(places[inside].T)]
    truth = plain.array.ravel()
    values = [value for value in np.unique(truth) if value]
    return float(
        np.mean([2 * ((found == v) & (truth == v)).sum() / ((found == v).sum() + (truth == v).sum()) for v in values])
    )
