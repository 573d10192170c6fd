"""What the libraries can do here, asked in a process of its own: see `OneShotSegLib.doctor.probe`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from OneShotSegLib.doctor import processor
from OneShotSegLib.doctor.finding import Finding, error, ok, warning

SECONDS = 180
ENOUGH_GPU_GB = 2.0
ILLEGAL_INSTRUCTION = {-getattr(signal, "SIGILL", 4), 128 + 4, 0xC000001D, 0xC000001D - 2**32}
Found = Mapping[str, Any]


def examine_libraries() -> Iterator[Finding]:
    """The findings about PyTorch and its devices, Numba's cache and the weights."""
    parts, status, last_words = ask()
    for part, examine in (("torch", _torch), ("numba", _numba), ("weights", _weights)):
        if part not in parts:
            yield ended(part, status, last_words)
            return
        found = parts[part]
        if "error" in found:
            yield error(f"{part}, loaded", f"does not load: {found['error']}")
        else:
            yield from examine(found)


def ask() -> tuple[dict[str, Found], int | None, str]:
    """What the probe found, part by part, its exit status (None if it took too long), and its last line of errors."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "OneShotSegLib.doctor.probe"]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8:backslashreplace"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return {}, None, ""
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["part"]: line for line in lines}, done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def ended(part: str, status: int | None, last_words: str) -> Finding:
    """The finding that a library ended the process, or took too long."""
    name = f"{part}, loaded"
    if status is None:
        return error(name, f"no answer after {SECONDS} s: an antivirus program may be reading each of its files")
    if status in ILLEGAL_INSTRUCTION:
        return error(name, f"ended by an illegal instruction: {processor.NO_AVX}")
    return error(name, f"ended with status {status}: {last_words or 'without a word'}")


def _torch(found: Found) -> Iterator[Finding]:
    yield ok("torch, loaded", f"{found['version']}, built for {_built_for(found['built_for'])}")
    yield ok("CPU", f"{found['threads']} threads")
    for index, gpu in enumerate(found["gpus"]):
        yield examine_gpu(index, gpu)
    if not found["gpus"]:
        yield _no_gpu(found["built_for"], shutil.which("nvidia-smi") is not None)


def _built_for(text: str) -> str:
    return text if text.startswith("the") else f"CUDA or ROCm {text}"


def examine_gpu(index: int, gpu: Found) -> Finding:
    """A GPU and its memory."""
    text = f"{gpu['name']}, {gpu['free_gb']:.1f} of {gpu['total_gb']:.1f} GB free"
    if gpu["free_gb"] < ENOUGH_GPU_GB:
        return warning(f"GPU {index}", f"{text}: what does not fit runs on the CPU; end other programs that use it")
    return ok(f"GPU {index}", text)


def _no_gpu(built_for: str, has_driver: bool) -> Finding:
    if not has_driver:
        return ok("GPU", "none that can be used; everything runs on the CPU")
    if built_for.startswith("the"):
        return warning("GPU", "NVIDIA's driver is here, but PyTorch is a CPU build: install the one for CUDA")
    return warning("GPU", f"NVIDIA's driver is here, but PyTorch for {built_for} cannot use it: update the driver")


def _numba(found: Found) -> Iterator[Finding]:
    if found["cache"] is None:
        yield warning(
            "Numba's cache",
            "can be written nowhere: each process compiles anew, which takes a minute; set NUMBA_CACHE_DIR to a folder",
        )
    else:
        yield ok("Numba's cache", found["cache"])


def _weights(found: Found) -> Iterator[Finding]:
    if not found["weights"]:
        yield error("Weights", "expected shipped weights, found none: install again, or set ONESHOTSEG_WEIGHTS")
    for name, trouble in found["weights"].items():
        yield ok(f"Weights {name}", "whole") if trouble is None else error(f"Weights {name}", trouble)
