"""Install PyTorch as this machine needs it: with CUDA where there is an NVIDIA GPU, the small CPU build elsewhere."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys

VERSION = "2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main() -> None:
    """Install the pinned version; the CPU build is looked for in the configured index first, then in PyTorch's own."""
    if shutil.which("nvidia-smi") or platform.system() != "Linux":
        # Outside Linux the build on PyPI is the CPU (or Metal) one.
        raise SystemExit(_install(f"torch=={VERSION}"))
    attempts = [
        (f"torch=={VERSION}+cpu",),
        (f"torch=={VERSION}", "--index-url", CPU_INDEX),
        (f"torch=={VERSION}",),
    ]
    raise SystemExit(next((0 for attempt in attempts if _install(*attempt) == 0), 1))


def _install(*arguments: str) -> int:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--retries", "2", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    main()
