"""What `make` installs is pinned by hash, and complete."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^ ;\\]+)(?P<marker> ;[^\\]*)? \\\n(?P<hashes>(?: {4}--hash=.*\n?)+)", re.M
)


def pins(name: str) -> dict[str, str]:
    """The packages of a lock and their versions."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = list(PIN.finditer(text))
    rest = PIN.sub("", text)
    assert all(line.startswith("#") for line in rest.splitlines() if line.strip()), rest
    for match in found:
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in match["hashes"].splitlines())
    return {match["name"].lower().replace("_", "-"): match["version"] for match in found}


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_a_lock_holds_nothing_but_exact_versions_with_their_hashes(lock: str) -> None:
    assert pins(lock)


def test_every_requirement_of_the_package_and_its_tests_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = [re.match(r"[\w.-]+", text)[0] for text in (*project["dependencies"], *extras["cluster"], *extras["test"])]  # type: ignore[index]
    missing = {name.lower() for name in names} - set(pins("requirements.lock")) - {"torch", "oneshotseglib"}
    assert not missing


def test_the_builds_of_pytorch_are_of_one_version() -> None:
    cpu, usual = pins("requirements-torch-cpu.lock")["torch"], pins("requirements-torch.lock")["torch"]
    assert cpu == f"{usual}+cpu"
    shared = pins("requirements.lock").items() & pins("requirements-torch.lock").items()
    assert {name for name, _ in shared} >= {"filelock", "jinja2", "sympy", "networkx"}
