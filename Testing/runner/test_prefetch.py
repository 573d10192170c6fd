"""CTs read ahead: what reading them warns of counts for their own case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from OneShotSegLib.runner.prefetch import prefetch
from OneShotSegLib.runner.warning_events import collected_warnings
from OneShotSegLib.study.description import StudyCase
from Testing.helpers.synthetic_scans import Scan, write_scan


def test_warnings_of_reading_count_for_the_case_that_is_read(tmp_path: Path) -> None:
    tilted = replace(Scan(), drift=(0.0, float(np.tan(np.deg2rad(10)))))
    for name, scan in (("plain", Scan()), ("tilted", tilted), ("last", Scan())):
        write_scan(tmp_path / name, scan)
    found = {}
    for case, ct in prefetch([StudyCase(name, str(tmp_path / name)) for name in ("plain", "tilted", "last")]):
        with collected_warnings() as warnings:
            ct.result()
        found[case.case] = warnings
    said = f"{tmp_path / 'tilted'}: slices are tilted by 10 degrees: read onto a regular grid."
    assert found == {"plain": [], "tilted": [said], "last": []}
