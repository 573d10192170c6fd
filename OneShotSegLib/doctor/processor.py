"""The processor: what PyTorch's builds need of it, found out without a package."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

X86 = {"x86_64", "amd64", "i386", "i686"}
WINDOWS_AVX, WINDOWS_AVX2 = 39, 40
CPU_INFO = Path("/proc/cpuinfo")
NO_AVX = (
    "this processor has no AVX, for which the libraries are built: a run may end without a word (illegal instruction); "
    "use a newer machine, or, in a virtual machine, pass the host's processor through"
)


def is_x86() -> bool:
    """Whether this Python runs on an Intel or AMD processor, or is translated for one."""
    return platform.machine().lower() in X86


def avx() -> Mapping[str, bool] | None:
    """Whether the processor has "avx" and "avx2"; None where it is no x86, or cannot be found out."""
    if not is_x86():
        return None
    try:
        if sys.platform == "win32":
            return _of_windows()
        return _of_flags(_mac_flags() if sys.platform == "darwin" else linux_flags(CPU_INFO))
    except (OSError, subprocess.SubprocessError, AttributeError):
        return None


def lacks_avx() -> bool:
    """Whether the processor is known to have no AVX."""
    return (avx() or {}).get("avx") is False


def linux_flags(path: Path) -> set[str]:
    """The flags of the first processor; empty if the file has none.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("flags"):
                return set(line.partition(":")[2].lower().split())
    return set()


def is_translated() -> bool:
    """Whether this is an Intel Python on a Mac with an Apple processor (Rosetta)."""
    if sys.platform != "darwin":
        return False
    try:
        return _sysctl("sysctl.proc_translated") == "1"
    except (OSError, subprocess.SubprocessError):
        return False


def _of_flags(flags: set[str]) -> Mapping[str, bool] | None:
    if not flags:
        return None
    return {"avx": bool({"avx", "avx1.0"} & flags), "avx2": "avx2" in flags}


def _of_windows() -> Mapping[str, bool]:
    import ctypes

    has = ctypes.windll.kernel32.IsProcessorFeaturePresent  # type: ignore[attr-defined,unused-ignore]
    return {"avx": bool(has(WINDOWS_AVX)), "avx2": bool(has(WINDOWS_AVX2))}


def _mac_flags() -> set[str]:
    return set(f"{_sysctl('machdep.cpu.features')} {_sysctl('machdep.cpu.leaf7_features')}".lower().split())


def _sysctl(name: str) -> str:
    done = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, encoding="utf-8", timeout=5)
    return done.stdout.strip() if done.returncode == 0 else ""
