"""A Python to make an environment of: one that is on the machine, or one that uv fetches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from OneShotSegLib.backend.host import cleaned, natively
from OneShotSegLib.backend.pip import Source, run, why_it_failed
from OneShotSegLib.backend.plan import Plan
from OneShotSegLib.backend.record import Layout
from OneShotSegLib.errors import InputError

SECONDS = 30
EXAMINE = (
    "import importlib.util as u, json, platform, struct, sys; "
    "print(json.dumps({'version': '%d.%d' % sys.version_info[:2], 'machine': platform.machine().lower(), "
    "'bits': 8 * struct.calcsize('P'), 'venv': all(map(u.find_spec, ('venv', 'ensurepip'))), "
    "'cpython': platform.python_implementation() == 'CPython'}))"
)
PLACES = {
    "win32": (
        "{LOCALAPPDATA}/Programs/Python/Python3*/python.exe",
        "{ProgramFiles}/Python3*/python.exe",
        "{USERPROFILE}/*conda3/python.exe",
    ),
    "darwin": (
        "/opt/homebrew/bin/python3.*",
        "/usr/local/bin/python3.*",
        "/Library/Frameworks/Python.framework/Versions/3.*/bin/python3",
        "{HOME}/.pyenv/versions/3.*/bin/python3",
        "{HOME}/*conda3/bin/python3",
    ),
    "linux": (
        "/usr/bin/python3.*",
        "/usr/local/bin/python3.*",
        "{HOME}/.pyenv/versions/3.*/bin/python3",
        "{HOME}/*conda3/bin/python3",
    ),
}
NOT_SLICER = "slicer"
ARM = ("arm64", "aarch64")


@dataclass(frozen=True)
class BasePython:
    """A Python that an environment can be made of.

    Attributes:
        path: The program.
        version: "3.12".
    """

    path: Path
    version: str


def base_python(plan: Plan, layout: Layout, source: Source, said: Sequence[Path] = ()) -> BasePython:
    """The best Python on this machine for a plan, or else one that is fetched.

    Args:
        plan: Which versions, and for which processor.
        layout: Where a fetched one goes.
        source: Where wheels come from.
        said: Programs to look at in place of those on the machine; for a Python that the user names as the base.

    Raises:
        InputError: If there is none, and none can be fetched.
    """
    found = best(plan, said or candidates())
    if found is None and said:
        wanted = ", ".join(plan.pythons)
        raise InputError(f"{said[0]}: expected a Python {wanted} of 64 bit with venv, found none.")
    return found or fetch(plan, layout, source)


def best(plan: Plan, programs: Iterable[Path]) -> BasePython | None:
    """The Python whose version comes first in the plan; None if none fits."""
    fitting = [found for program in programs if (found := examine(plan, program)) is not None]
    return min(fitting, key=lambda found: plan.pythons.index(found.version), default=None)


def candidates() -> Iterator[Path]:
    """The programs that may be Pythons: on the path, and where they are usually installed."""
    names = [f"python3.{minor}" for minor in (12, 13, 11)] + ["python3", "python"]
    found = [Path(there) for name in names if (there := shutil.which(name))]
    for place in PLACES.get(sys.platform, PLACES["linux"]):
        found += _matches(place)
    seen: set[Path] = set()
    for program in found:
        real = program.resolve()
        if real not in seen and _may_be_started(program):
            seen.add(real)
            yield program


def _matches(place: str) -> list[Path]:
    try:
        pattern = Path(place.format_map(os.environ))
    except KeyError:
        return []
    root = Path(pattern.anchor)
    found = root.glob(str(pattern.relative_to(root)))
    return sorted(program for program in found if not program.name.endswith("config"))


def _may_be_started(program: Path) -> bool:
    """Not Slicer's, whose libraries are found by its launcher alone; not what asks the user to install something."""
    if NOT_SLICER in str(program).lower():
        return False
    if sys.platform == "darwin" and program.parent == Path("/usr/bin"):
        return False  # without Xcode it opens a dialog
    return not (sys.platform == "win32" and "WindowsApps" in program.parts)  # nor one that opens the store


def examine(plan: Plan, program: Path) -> BasePython | None:
    """A Python if it fits the plan, else None."""
    command = natively(plan.processor, [str(program), "-I", "-c", EXAMINE])
    try:
        done = subprocess.run(
            command, env=cleaned(dict(os.environ)), capture_output=True, encoding="utf-8", timeout=SECONDS
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    is_arm = found["machine"] in ARM
    fits = found["version"] in plan.pythons and found["bits"] == 64 and found["venv"] and found["cpython"]
    if not fits or is_arm != (plan.processor in ARM):
        return None
    return BasePython(program, found["version"])


def fetch(plan: Plan, layout: Layout, source: Source) -> BasePython:
    """Have uv fetch a Python, into the environment's own folder.

    Raises:
        InputError: If that is not possible.
    """
    name = f"cpython-{plan.pythons[0]}-{_platform(plan.processor)}"
    uv = _uv(layout, source)
    environment = {**cleaned(dict(os.environ)), "UV_PYTHON_INSTALL_DIR": str(layout.pythons)}
    environment |= {"UV_PYTHON_INSTALL_BIN": "0", "UV_NO_CONFIG": "1", "UV_PYTHON_INSTALL_REGISTRY": "0"}
    done = run([str(uv), "python", "install", name], environment)
    pattern = "*/python.exe" if os.name == "nt" else "*/bin/python3"
    found = best(plan, sorted(layout.pythons.glob(pattern)))
    if done.returncode or found is None:
        raise InputError(
            f"No Python {', '.join(plan.pythons[:-1])} or {plan.pythons[-1]} was found on this machine, and none could "
            f"be fetched ({why_it_failed(done, 'Python')}): install one from python.org, then install again."
        )
    return found


def _platform(processor: str | None) -> str:
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    return f"{system}-{'aarch64' if processor in ARM else 'x86_64'}-{'gnu' if system == 'linux' else 'none'}"


def _uv(layout: Layout, source: Source) -> Path:
    """uv: the one on the path, or a wheel of it in a folder of its own, installed by this Python's pip."""
    there = shutil.which("uv")
    if there:
        return Path(there)
    found = _uv_in(layout.uv)
    if found is None:
        options = ["--no-deps", "--only-binary=:all:", "--target", str(layout.uv), *source.options()]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        done = run([*pip, *options, "uv"], dict(os.environ))
        found = _uv_in(layout.uv)
        if done.returncode or found is None:
            raise InputError(f"No Python was found to make an environment of, and {why_it_failed(done, 'uv')}")
    return found


def _uv_in(folder: Path) -> Path | None:
    programs = (folder / place / name for place in ("bin", "Scripts") for name in ("uv", "uv.exe"))
    return next((program for program in programs if program.is_file()), None)
