"""Whether there are wheels of all that is needed, for each platform and Python, and how many MB they are.

Usage: python tools/resolve.py UV

A Markdown table on standard output; exit status 1 if something that should resolve does not. The extra ``slicer`` has
no solution for Python 3.14: pyjpegls, which highdicom needs, has no wheels for it yet.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from OneShotSegLib.backend.plan import INTEL_MAC, INTEL_MAC_PYTHONS, PYTHONS  # noqa: E402

INTEL = "x86_64-apple-darwin"
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "x86_64-pc-windows-msvc", "aarch64-apple-darwin")
NEWEST = "3.14"
MB = 1e6


def main() -> None:
    """Resolve all, print the table."""
    uv = sys.argv[1]
    print("| platform | Python | MB | with the extra slicer |\n| --- | --- | ---: | ---: |")
    failed = False
    for platform in (*PLATFORMS, INTEL):
        for python in sorted(INTEL_MAC_PYTHONS if platform == INTEL else (*PYTHONS, NEWEST)):
            plain = size(uv, platform, python)
            extra = size(uv, platform, python, "--extra", "slicer", "--extra", "cluster")
            failed |= plain is None or (extra is None and python != NEWEST)
            print(f"| {platform} | {python} | {in_mb(plain)} | {in_mb(extra)} |", flush=True)
    raise SystemExit(failed)


def in_mb(size: int | None) -> str:
    """A size as the table has it."""
    return "no solution" if size is None else f"{size / MB:.0f}"


def size(uv: str, platform: str, python: str, *options: str) -> int | None:
    """Bytes of the wheels that the resolver takes; None if there is no solution."""
    with tempfile.TemporaryDirectory() as folder:
        lock, constraints = Path(folder) / "pylock.toml", Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(INTEL_MAC if platform == INTEL else ()), encoding="utf-8")
        words: Sequence[str] = ("--python-platform", platform, "--python-version", python, *options)
        command = [uv, "pip", "compile", "--quiet", "--only-binary=:all:", "--format", "pylock.toml", *words]
        command += ["--constraint", str(constraints), "--output-file", str(lock), str(ROOT / "pyproject.toml")]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return None
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
    return sum(max(wheel.get("size") or 0 for wheel in package["wheels"]) for package in packages)


if __name__ == "__main__":
    main()
