"""A worker that Dask starts keeps what it frees."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from OneShotSegLib.runner.heap import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
np.ones(500_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    np.ones(500_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
DASKS_WAY = {"MALLOC_TRIM_THRESHOLD_": "65536"}


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, env={**os.environ, **DASKS_WAY}, capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library has the setting")
def test_freed_memory_is_used_again_in_a_process_that_dask_started() -> None:
    pages = 50 * 500_000 * 8 // 4096
    assert page_faults("given back") > pages / 2, "nothing to mend: does Dask start its workers so?"
    assert page_faults("kept") < pages / 10


def test_dask_starts_its_workers_so() -> None:
    import dask
    import distributed  # noqa: F401 (its settings)

    assert dask.config.get("distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_") == 65536
