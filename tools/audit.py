"""Say which pinned packages have known vulnerabilities, as far as the package registry tells them.

Exit status 1 if there are some; 0 if there are none, or if the registry does not tell.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = (
    "requirements.lock",
    "requirements-slicer.lock",
    "requirements-torch.lock",
    "requirements-tools.lock",
    "requirements-docs.lock",
)
KNOWN_TO_BE_VULNERABLE = "setuptools==70.0.0"


def main() -> None:
    """Ask about a version that is known to be vulnerable first: a registry that says nothing of it tells none."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.txt"
        probe.write_text(f"{KNOWN_TO_BE_VULNERABLE}\n")
        if not any(_vulnerabilities(probe)):
            print("The package registry does not tell known vulnerabilities: nothing was checked.")
            return
    found = [line for lock in LOCKS for line in _vulnerabilities(ROOT / lock)]
    print("\n".join(found) or f"No known vulnerabilities in {', '.join(LOCKS)}.")
    raise SystemExit(bool(found))


def _vulnerabilities(lock: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--no-deps",
        "--format",
        "json",
        "--progress-spinner",
    ]
    done = subprocess.run([*command, "off", "--requirement", str(lock)], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print(f"{lock.name} could not be checked: {done.stderr.strip().splitlines()[-1:]}")
        return
    for package in packages:
        for entry in package.get("vulns", ()):
            versions = ", ".join(entry.get("fix_versions", ())) or "none yet"
            yield f"{lock.name}: {package['name']} {package['version']}: {entry['id']}, mended in {versions}"


if __name__ == "__main__":
    main()
