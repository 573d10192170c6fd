"""What can be done with an environment, as commands: show, plan, install, repair, remove."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OneShotSegLib import __version__
from OneShotSegLib.backend import installation, record
from OneShotSegLib.backend.host import this_host, with_package
from OneShotSegLib.backend.pip import Source
from OneShotSegLib.backend.plan import Plan, own_plan
from OneShotSegLib.backend.record import Layout, State
from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit
from OneShotSegLib.exit_status import ExitStatus

SECONDS = 300
SHOWN = ("Python", "torch, loaded", "CPU", "GPU", "Memory")
"""The findings that are shown even if they are well: what the environment can do."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        root: The environment's folder; None for the usual one.
        wheels: A folder of wheels, for a machine without a network.
        base: A Python to make the environment of; None for the best one found.
        slicer: Slicer's version; None outside Slicer.
    """

    root: Path | None = None
    wheels: Path | None = None
    base: Path | None = None
    slicer: tuple[int, int] | None = None

    @property
    def layout(self) -> Layout:
        """Where the environment is."""
        return Layout((self.root or record.default_root()).expanduser().absolute())

    @property
    def source(self) -> Source:
        """Where packages come from.

        Raises:
            InputError: If that is no folder.
        """
        folder = None if self.wheels is None else self.wheels.expanduser().absolute()
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: expected a folder of wheels, found none.")
        return Source(folder=folder)

    @property
    def said(self) -> tuple[Path, ...]:
        """The Python to take."""
        return () if self.base is None else (self.base.expanduser().absolute(),)

    def plan(self) -> Plan:
        """The environment for this machine."""
        return own_plan(this_host(self.slicer))


def describe(wish: Wish, emit: Emit) -> ExitStatus:
    """Say what an installation would download and need; nothing but the empty environment is made."""
    plan, layout, source = wish.plan(), wish.layout, wish.source
    with record.exclusive(layout):
        work = installation.prepare(plan, layout, source, emit, wish.said)
    _planned(emit, plan, layout, work)
    emit("finished", done=0, failed=0)
    return ExitStatus.DONE


def install(wish: Wish, emit: Emit, is_repair: bool = False) -> ExitStatus:
    """Install an environment, or go on with it, or repair it.

    Raises:
        InputError: If that is not possible, with the reason.
        OSError: If something cannot be written.
    """
    plan, layout, source = wish.plan(), wish.layout, wish.source
    emit("started", cases=["environment"], study=str(layout.root))
    with record.exclusive(layout):
        prepare = installation.repair if is_repair else installation.prepare
        work = prepare(plan, layout, source, emit, wish.said)
        _planned(emit, plan, layout, work)
        installation.install(plan, layout, work, emit)
    emit("finished", done=1, failed=0)
    return ExitStatus.DONE


def _planned(emit: Emit, plan: Plan, layout: Layout, work: installation.Work) -> None:
    for note in work.notes:
        emit("warning", text=note)
    emit(
        "planned",
        text=work.sentence(layout),
        reason=plan.reason,
        packages=len(work.missing),
        download_bytes=work.download_bytes,
        disk_bytes=work.disk_bytes,
        unknown=work.unknown,
    )


def remove(wish: Wish) -> int:
    """Remove an environment; how many bytes that freed.

    Raises:
        InputError: If something is being installed there.
        OSError: If something cannot be removed.
    """
    layout = wish.layout
    if not layout.root.is_dir():
        return 0
    with record.exclusive(layout):
        freed = installation.remove(layout)
    if not any(layout.root.iterdir()):
        layout.root.rmdir()
    return freed


def show(wish: Wish, python: Sequence[str] = ()) -> dict[str, Any]:
    """What an environment is and can do; starts its Python and loads the libraries in it, which takes seconds.

    Args:
        wish: Where it is.
        python: Another Python to look at, in place of the environment's.
    """
    layout = wish.layout
    found = record.look(layout)
    command = list(python) or (record.command(layout) if found.state in (State.READY, State.OUTDATED) else [])
    shown: dict[str, Any] = {
        "version": __version__,
        "folder": str(layout.root),
        "state": found.state.value,
        "sentence": found.sentence(),
        "reason": found.record.reason if found.record else wish.plan().reason,
        "python": command,
        "findings": [],
    }
    if command:
        shown |= examine(command)
    return shown


def examine(command: Sequence[str]) -> dict[str, Any]:
    """What a Python can do, by `OneShotSegLib.doctor` run in it: "can_run", and "findings" worth showing."""
    try:
        done = subprocess.run(
            [*command, "-m", "OneShotSegLib.doctor", "--json"],
            env=with_package(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
        )
        answer = json.loads(done.stdout)
        can_run, all_findings = bool(answer["can_run"]), answer["findings"]
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError) as error:
        text = f"expected a Python 3.11 or newer, found one that does not answer ({type(error).__name__})"
        return {"can_run": False, "findings": [{"name": command[-1], "state": "error", "text": text}]}
    findings = [each for each in all_findings if each["state"] != "ok" or each["name"].startswith(SHOWN)]
    return {"can_run": can_run, "findings": findings}


def lines(shown: Mapping[str, Any]) -> list[str]:
    """What `show` found, as lines for people."""
    found = [str(shown["sentence"]), f"Folder: {shown['folder']}", f"Why: {shown['reason']}"]
    return [*found, *(f"{each['state']:<8} {each['name']}: {each['text']}" for each in shown["findings"])]


def own_python() -> list[str]:
    """The Python that runs this."""
    return [sys.executable]
