"""Install PyTorch as this machine needs it: with CUDA where there is an NVIDIA GPU, the small CPU build elsewhere."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_BUILD = ("--requirement", str(ROOT / "requirements-torch-cpu.lock"))
USUAL_BUILD = ("--requirement", str(ROOT / "requirements-torch.lock"))


def main() -> None:
    """Install the pinned version; the CPU build is looked for in the configured index first, then in PyTorch's own."""
    if shutil.which("nvidia-smi") or platform.system() != "Linux":
        # Outside Linux the usual build is the CPU (or Metal) one.
        raise SystemExit(_install(*USUAL_BUILD))
    attempts = [CPU_BUILD, (*CPU_BUILD, "--index-url", CPU_INDEX), USUAL_BUILD]
    raise SystemExit(next((0 for attempt in attempts if _install(*attempt) == 0), 1))


def _install(*arguments: str) -> int:
    """Install files that have the hashes in the lock, and no others."""
    options = ["--quiet", "--retries", "2", "--require-hashes", "--no-deps"]
    return subprocess.run([sys.executable, "-m", "pip", "install", *options, *arguments], check=False).returncode


if __name__ == "__main__":
    main()
