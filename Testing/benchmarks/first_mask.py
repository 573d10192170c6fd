"""From `pip install` to the first mask: what is downloaded, CPU seconds and space, for a wheel in an empty environment.

    python Testing/benchmarks/first_mask.py WHEEL [WHEEL ...] [-- REQUIREMENT ...]

Linux alone. Nothing is taken from pip's cache. What pip takes of PyTorch is the usual build, unless a requirement says
otherwise. The mask is the demo's first one, with the phantoms made and Numba's cache empty. The clock depends on what
else the machine does and on the network; CPU seconds hardly do.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

MB = 1e6
POLL_SECONDS = 0.02


def main(wheels: list[str], requirements: list[str]) -> None:
    """Print a line of JSON for each wheel."""
    for wheel in wheels:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(wheel).resolve(), requirements, Path(folder))
            print(json.dumps({"wheel": wheel, **found}), flush=True)


def measure(wheel: Path, requirements: list[str], folder: Path) -> dict[str, Any]:
    """Install a wheel in a new environment and run the demo until its first mask is there."""
    env, report = folder / "env", folder / "report.json"
    python = env / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(env)], check=True)
    before, began = _children_cpu(), time.monotonic()
    options = ["--quiet", "--no-cache-dir", "--only-binary=:all:", "--report", str(report)]
    subprocess.run([str(python), "-m", "pip", "install", *options, str(wheel), *requirements], check=True)
    install_cpu, install_clock = _children_cpu() - before, time.monotonic() - began
    packages = json.loads(report.read_text(encoding="utf-8"))["install"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    began = time.monotonic()
    demo = subprocess.Popen(
        [str(env / "bin" / "oneshotseg"), "demo", "--output", str(folder / "demo")],
        env={**variables, "NUMBA_CACHE_DIR": str(folder / "numba"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mask_cpu = 0.0
    while demo.poll() is None and not list((folder / "demo").glob("study/cases/*/pseudo.seg.nrrd")):
        time.sleep(POLL_SECONDS)
    if demo.poll() is None:
        mask_cpu = _cpu_of(demo.pid)
    mask_clock = time.monotonic() - began
    demo.terminate()
    demo.wait()
    if not mask_cpu:
        raise RuntimeError("the demo ended without a mask")
    space = subprocess.run(["du", "-sk", str(env)], capture_output=True, encoding="utf-8", check=True)
    return {
        "packages": len(packages),
        "download_mb": round(sum(_size(one["download_info"]["url"]) for one in packages) / MB),
        "disk_mb": round(int(space.stdout.split()[0]) * 1024 / MB),
        "install_cpu_s": round(install_cpu, 1),
        "install_clock_s": round(install_clock, 1),
        "mask_cpu_s": round(mask_cpu, 1),
        "mask_clock_s": round(mask_clock, 1),
    }


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_of(pid: int) -> float:
    """CPU seconds of a process so far, with those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _size(url: str) -> int:
    """Bytes of a file that pip took, as its server says."""
    parts = urlparse(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).stat().st_size
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
        return int(answer.headers["Content-Length"])


if __name__ == "__main__":
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    main(sys.argv[1:cut], sys.argv[cut + 1 :])
