"""The kernels do in machine code what their Python says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from OneShotSegLib.geodesic import nearest_two, raster_scan_distance

SPACING = (3.0, 0.8, 1.1)


def results() -> dict[str, NDArray[Any]]:
    """What the kernels find in a small noisy image, within a region."""
    rng = np.random.default_rng(3)
    image = rng.random((3, 5, 6)).astype(np.float32)
    seeds = np.zeros(image.shape, np.uint8)
    seeds[0, 1, 1], seeds[2, 3, 4], seeds[1, 4, 5] = 1, 2, 3
    region = rng.random(image.shape) < 0.8
    region |= seeds > 0
    two = nearest_two(image, seeds, SPACING, region=region)
    return {"raster scan": raster_scan_distance(image, seeds, SPACING), **two._asdict()}


def test_compiled_and_interpreted_kernels_find_the_same(tmp_path: Path) -> None:
    code = (
        "import sys, numpy; from Testing.geodesic.test_kernels import results;"
        "from OneShotSegLib.geodesic import kernels; assert not hasattr(kernels.lower_to_exact, 'py_func');"
        "numpy.savez(sys.argv[1], **results())"
    )
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "interpreted.npz")],
        cwd=root,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        check=True,
    )
    with np.load(tmp_path / "interpreted.npz") as interpreted:
        compiled = results()
        assert set(interpreted) == set(compiled)
        for name, values in compiled.items():
            assert interpreted[name] == pytest.approx(values, rel=1e-6), name
