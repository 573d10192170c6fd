"""Expensive inputs, made once in a test run, whichever worker process asks first."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest
from filelock import FileLock

Made = TypeVar("Made")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """What ``make`` returns for a folder of this name that all workers see; the others wait and read it.

    A test that changes what lies in the folder has to work on a copy.

    Args:
        factory: pytest's; says where the temporary folders of this run are.
        name: Of the folder; one for each kind of input.
        make: Fills the folder; what it returns has to be picklable.
    """
    root = factory.getbasetemp()
    if root.name.startswith("popen-"):  # a worker's own folder lies in that of the run
        root = root.parent
    folder, kept = root / "shared" / name, root / "shared" / f"{name}.pickle"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "shared" / f"{name}.lock"):
        if not kept.exists():
            kept.write_bytes(pickle.dumps(make(folder)))
    return cast(Made, pickle.loads(kept.read_bytes()))
