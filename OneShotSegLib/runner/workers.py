"""How many worker processes this machine has the memory for."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import check_image
from OneShotSegLib.imaging.inputs import FoundCT

log = logging.getLogger(__name__)

WORKER_BYTES = 900 * 2**20
"""What a worker holds besides its query: libraries, networks, a support (docs/performance.md)."""
BYTES_PER_VOXEL = 7
"""Of a query, from its file to its mask."""
USUAL_VOXELS = 512 * 512 * 300
"""Of a DICOM folder, whose headers are not read for this."""
MOST_HEADERS = 100
LEFT_FREE = 2 * 2**30


def workers_that_fit(asked: int, cts: Sequence[FoundCT]) -> int:
    """How many of the worker processes that were asked for have enough memory, at least one; fewer are logged.

    Args:
        asked: Processes on this machine.
        cts: The queries.
    """
    free = _free_bytes()
    if free is None:
        return asked
    each = WORKER_BYTES + BYTES_PER_VOXEL * max(_voxels(cts), default=0)
    fitting = max(min(asked, (free - LEFT_FREE) // each), 1)
    if fitting < asked:
        log.warning("Memory suffices for %d of %d workers: only so many are started.", fitting, asked)
    return fitting


def _voxels(cts: Sequence[FoundCT]) -> Iterator[int]:
    """Voxels of some queries, evenly chosen."""
    for ct in cts[:: max(1, math.ceil(len(cts) / MOST_HEADERS))]:
        if ct.size:
            yield math.prod(ct.size)
        elif ct.path.is_dir():
            yield USUAL_VOXELS
        else:
            with contextlib.suppress(InputError, OSError):  # the case itself says what is wrong with it
                yield math.prod(check_image(ct.path).size[:3])


def _free_bytes() -> int | None:
    """Memory that programs can still take; None if that cannot be told."""
    try:
        import psutil  # comes with Dask
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)
