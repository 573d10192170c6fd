"""`oneshotseg browse` whose runs have the quick settings of `tiny_batch`."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from OneShotSegLib.browser import images, runs
from OneShotSegLib.cli import main
from OneShotSegLib.interface.jobs.process import ChildProcess
from OneShotSegLib.interface.jobs.worker import Worker

QUICK = Path(__file__).with_name("quick_commands.py")


def launch(command: Sequence[str], environment: Mapping[str, str]) -> ChildProcess:
    """Start a command with the quick settings."""
    python, _flag, _package, *arguments = command
    return ChildProcess([python, str(QUICK), *arguments], environment)


if __name__ == "__main__":
    vars(runs)["Worker"] = functools.partial(Worker, launch)
    if "LARGE_VOXELS" in os.environ:
        vars(images)["LARGE_VOXELS"] = int(os.environ["LARGE_VOXELS"])
        vars(images)["COARSE_VOXELS"] = images.LARGE_VOXELS // 3
    main()
