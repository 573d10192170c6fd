"""The whole examination, as lines or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from OneShotSegLib import __version__
from OneShotSegLib.build_info import build, version_line
from OneShotSegLib.doctor.finding import Finding, State, ok
from OneShotSegLib.doctor.libraries import examine_libraries
from OneShotSegLib.doctor.machine import examine_machine
from OneShotSegLib.doctor.packages import PACKAGE, examine_packages
from OneShotSegLib.exit_status import ExitStatus


def examine(folder: Path) -> Iterator[Finding]:
    """All findings, as they come; loading the libraries takes seconds.

    Args:
        folder: Where results are to go.
    """
    yield ok("OneShotSeg", f"{version_line()} in {PACKAGE}")
    yield from examine_machine(folder)
    yield from examine_packages()
    yield from examine_libraries()


def show(folder: Path, as_json: bool = False) -> ExitStatus:
    """Print the findings on standard output.

    Args:
        folder: Where results are to go.
        as_json: One JSON object instead of a line per finding.

    Returns:
        DONE if the computation can run, else SOME_FAILED.
    """
    findings = []
    for finding in examine(folder):
        findings.append(finding)
        if not as_json:
            print(finding.line(), flush=True)
    errors = sum(finding.state is State.ERROR for finding in findings)
    warnings = sum(finding.state is State.WARNING for finding in findings)
    if as_json:
        print(json.dumps(_as_json(findings, errors == 0), indent=2))
    elif errors:
        print(f"{errors} of this must be mended before OneShotSeg can run, {warnings} should be looked at.")
    else:
        print(f"OneShotSeg can run here; {warnings} should be looked at." if warnings else "OneShotSeg can run here.")
    return ExitStatus.SOME_FAILED if errors else ExitStatus.DONE


def _as_json(findings: list[Finding], can_run: bool) -> dict[str, object]:
    return {
        "version": __version__,
        "build": build(),
        "can_run": can_run,
        "findings": [{"name": each.name, "state": each.state.value, "text": each.text} for each in findings],
    }
