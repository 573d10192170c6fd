"""Keeping freed memory in a Dask worker: Dask starts its workers so that the C library gives it back at once.

With that (``MALLOC_TRIM_THRESHOLD_=65536`` in the worker's environment) every array of a case is memory that the system
has to clear anew, which takes as long as the case itself (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_ON_HEAP = 32 * 2**20
"""What the C library goes up to by itself where nothing is set."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, as processes do that Dask did not start; whether that could be set.

    Only the GNU C library has the setting.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_ON_HEAP)) and bool(mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_ON_HEAP))
