"""The loops are compiled as the last step of an installation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from OneShotSegLib.backend import commands, compiling, record
from OneShotSegLib.backend.commands import Wish
from OneShotSegLib.backend.record import State


def test_the_loops_are_compiled_in_the_environments_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    stub = tmp_path / "stub.py"
    stub.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        "Path(__file__).with_name('called').write_text(' '.join([os.environ['PYTHONPATH'], *sys.argv[1:]]))\n",
        encoding="utf-8",
    )
    assert compiling.compile_ahead([sys.executable, str(stub)])
    called = (tmp_path / "called").read_text(encoding="utf-8")
    assert called == f"{Path(compiling.__file__).parents[2]} -m OneShotSegLib.method.compiling"
    assert importlib.util.find_spec("OneShotSegLib.method.compiling")


def test_loops_that_do_not_compile_fail_no_installation(ready: Wish) -> None:
    assert not compiling.compile_ahead([str(ready.layout.python)]), "its PyTorch is made up"
    assert not compiling.compile_ahead([str(ready.layout.root / "none")])
    steps: list[str] = []
    commands.install(ready, lambda event, **fields: steps.append(fields["step"]) if event == "step" else None)
    assert steps[-2:] == ["compile", "done"]
    assert record.look(ready.layout).state is State.READY
