"""The child process of `Background`: carries out one function after another; run with ``python -m``.

It is told the number of a task on standard input, reads the function from a file of that number, and answers with a
file. It ends when its standard input does, that is, with the application.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OneShotSegLib.slicer.jobs import parcels


def task_file(folder: Path, number: int) -> Path:
    """What the child is to do."""
    return folder / f"{number}.task"


def answer_file(folder: Path, number: int) -> Path:
    """What came of it: whether it went well, and the result or the error."""
    return folder / f"{number}.answer"


def outcome(function: Callable[[], Any]) -> tuple[bool, Any]:
    """Whether a function went well, and its result or error."""
    try:
        return True, function()
    except Exception as error:
        return False, _portable(error)


def _portable(error: Exception) -> Exception:
    """The error as it can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(str(error))
    return error


def main(folder: Path) -> None:
    """Carry out the tasks whose numbers come on standard input."""
    for line in sys.stdin:
        number = int(line)
        task = task_file(folder, number)
        answer = outcome(parcels.read(task))
        task.unlink()
        answering = answer_file(folder, number).with_suffix(".part")
        parcels.write(answer, answering)
        answering.replace(answer_file(folder, number))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
