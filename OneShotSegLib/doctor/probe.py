"""``python -m OneShotSegLib.doctor.probe``: loads the libraries in a process of its own, for one of them may end it.

Prints a JSON object per line: "part" and what was found, or "error".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

GB = 1e9


def probe_torch() -> dict[str, Any]:
    """PyTorch, and each GPU with its memory in GB."""
    import torch

    torch.zeros(1).numpy()  # an old PyTorch does not share arrays with a new numpy
    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        gpus.append({"name": torch.cuda.get_device_name(index), "free_gb": free / GB, "total_gb": total / GB})
    return {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "built_for": torch.version.cuda or torch.version.hip or "the CPU",
        "gpus": gpus,
    }


def probe_numba() -> dict[str, Any]:
    """Numba, and the folder that keeps what it compiles; None if there is none."""
    from OneShotSegLib.geodesic import kernels
    from OneShotSegLib.geodesic.compiled import cache_folder

    return {"cache": cache_folder(kernels)}


def probe_weights() -> dict[str, Any]:
    """Whether the shipped weights load: what is wrong with each, by name; None if nothing is."""
    from OneShotSegLib.errors import InputError
    from OneShotSegLib.networks.weights import load_weights, shipped_folders

    found: dict[str, str | None] = {}
    for name, folder in shipped_folders().items():
        try:
            load_weights(folder)
        except (InputError, OSError) as error:
            found[name] = str(error)
        else:
            found[name] = None
    return {"weights": found}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "torch": probe_torch,
    "numba": probe_numba,
    "weights": probe_weights,
}


def main() -> None:
    """Try each part; what one prints by the way goes to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    for part, probe in PARTS.items():
        try:
            found = probe()
        except Exception as error:  # whatever it is, it is what was found
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"part": part, **found}), file=out, flush=True)


if __name__ == "__main__":
    main()
