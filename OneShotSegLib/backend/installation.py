"""Installing and repairing an environment of its own: the same steps, each of which skips what is there and whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from OneShotSegLib import __version__
from OneShotSegLib.backend import download, installed, pip, record
from OneShotSegLib.backend.compiling import compile_ahead
from OneShotSegLib.backend.host import cleaned, natively
from OneShotSegLib.backend.pip import Source, Wheel
from OneShotSegLib.backend.plan import Plan
from OneShotSegLib.backend.pythons import base_python
from OneShotSegLib.backend.record import WANTED, Layout, Record
from OneShotSegLib.doctor.machine import long_paths
from OneShotSegLib.errors import InputError
from OneShotSegLib.events import Emit, ignore_events
from OneShotSegLib.troubles import WINDOWS_PATH_LIMIT

MB, GB = 1e6, 1e9
UNPACKED = 3.5
"""Size of an installed package over that of its wheel, at most; PyTorch has 3.4."""
EMIT_SECONDS = 0.2
IMPORTED = ("numpy", "scipy", "SimpleITK", "torch", "numba")
"""What is loaded at the end, to see that it does on this machine; torch needs more of it than others."""
SECONDS = 300
DOWNLOAD_SHARE, INSTALL_SHARE, COMPILE_SHARE = 0.7, 0.95, 0.97
"""How far an installation is when all is fetched, when all is installed, and when all was loaded."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What has to be done.

    Attributes:
        missing: The wheels that are to be installed.
        whole: Name to version of the packages that are there and whole.
        wanted: Name to version of all that will be there.
        download_bytes: How much is to be fetched, as far as the servers say.
        disk_bytes: How much space is needed beside, about.
        unknown: How many wheels' size no server says.
        notes: Sentences on what is not as planned.
    """

    missing: tuple[Wheel, ...]
    whole: dict[str, str]
    wanted: dict[str, str]
    download_bytes: int
    disk_bytes: int
    unknown: int = 0
    notes: tuple[str, ...] = ()

    def sentence(self, layout: Layout) -> str:
        """What is done, with its size."""
        if not self.missing:
            return f"Nothing is missing in {layout.root}."
        least = "at least " if self.unknown else ""
        if not self.download_bytes:
            size = "nothing is downloaded" if not self.unknown else "a download of a size that is not said"
        else:
            size = f"{least}{self.download_bytes / MB:.0f} MB are downloaded"
        needed = (self.download_bytes + self.disk_bytes) / GB
        return f"{len(self.missing)} packages: {size}, about {needed:.1f} GB are needed in {layout.root}."


def prepare(plan: Plan, layout: Layout, source: Source, emit: Emit = ignore_events, said: Sequence[Path] = ()) -> Work:
    """Make the empty environment, and find out what has to be fetched; nothing is fetched but lists of packages.

    Args:
        plan: Which environment.
        layout: Where.
        source: Where packages come from.
        emit: Gets the steps.
        said: Programs to take the Python from, in place of those on the machine.

    Raises:
        InputError: If there is no Python, no network, or nothing that fits.
        OSError: If it cannot be written.
    """
    _step(emit, "python", 0.0)
    plan = _fitting(plan, source)
    if not _runs(layout, plan):
        make_environment(plan, layout, source, said)
    _step(emit, "resolve", 0.01)
    python = natively(plan.processor, [str(layout.python)])
    notes: tuple[str, ...] = ()
    command = pip.tool(python, layout.pip, source)
    try:
        wheels = pip.resolve(command, WANTED, plan.constraints, plan.index, source)
    except InputError as error:
        if plan.index is None or source.folder is not None:
            raise
        wheels = pip.resolve(command, WANTED, plan.constraints, None, source)
        notes = (f"PyTorch's own index cannot be used, the usual build is taken. {error}",)
    _step(emit, "check", 0.03)
    whole = installed.whole_packages(installed.site_packages(layout.env))
    missing = tuple(wheel for wheel in wheels if whole.get(installed.normalized(wheel.name)) != wheel.version)
    sizes = download.sizes(missing, layout.downloads)
    local = [path for wheel in missing if (path := download.local_file(wheel)) is not None]
    fetched = sum(sizes.values())
    packed = fetched + sum(path.stat().st_size for path in (*local, *_there(missing, layout)))
    return Work(
        missing=missing,
        whole=whole,
        wanted={installed.normalized(wheel.name): wheel.version for wheel in wheels},
        download_bytes=fetched,
        disk_bytes=round(packed * UNPACKED),
        unknown=len(missing) - len(sizes),
        notes=notes,
    )


def _fitting(plan: Plan, source: Source) -> Plan:
    """A plan with those of its Pythons that a folder of wheels is for."""
    there = source.pythons()
    if not there:
        return plan
    fitting = tuple(version for version in plan.pythons if version in there)
    if not fitting:
        wanted, found = ", ".join(plan.pythons), ", ".join(sorted(there))
        raise InputError(f"{source.folder}: expected PyTorch for Python {wanted}, found it for {found}.")
    return replace(plan, pythons=fitting)


def _there(wheels: Sequence[Wheel], layout: Layout) -> Iterator[Path]:
    for wheel in wheels:
        path = layout.downloads / wheel.file
        for file in (path, download.partial(path)):
            if file.is_file():
                yield file


def install(plan: Plan, layout: Layout, work: Work, emit: Emit = ignore_events) -> Record:
    """Fetch and install what is missing, and see that it loads; if it is stopped, the next call goes on from there.

    Args:
        plan: Which environment.
        layout: Where; `prepare` has been there.
        work: What `prepare` found.
        emit: Gets the steps.

    Raises:
        InputError: If the network breaks off, the disk is full, or what was installed does not load.
        OSError: If it cannot be written.
    """
    require_space(layout, work)
    layout.record.unlink(missing_ok=True)
    files = _fetch(layout, work, emit)
    require_short_paths(layout, files)
    python = natively(plan.processor, [str(layout.python)])
    if files:
        _install(python, layout, files, emit)
    _step(emit, "load", INSTALL_SHARE)
    version = load(python)
    done = Record(
        version=__version__,
        requirements=WANTED,
        processor=plan.processor,
        python=version,
        packages=work.wanted,
        reason=plan.reason,
    )
    record.write(layout, done)
    shutil.rmtree(layout.downloads, ignore_errors=True)
    _step(emit, "compile", COMPILE_SHARE)
    compile_ahead(python)
    _step(emit, "done", 1.0)
    return done


def repair(plan: Plan, layout: Layout, source: Source, emit: Emit = ignore_events, said: Sequence[Path] = ()) -> Work:
    """What has to be done to an environment that is there, however it is: as `prepare`, from nothing if need be.

    Raises:
        InputError: As of `prepare`.
        OSError: If it cannot be written.
    """
    known = record.read(layout)
    if known is not None and known.processor != plan.processor:
        shutil.rmtree(layout.env)
    return prepare(plan, layout, source, emit, said)


def remove(layout: Layout) -> int:
    """Remove an environment; how many bytes that freed. What is not of it in its folder stays.

    Raises:
        InputError: If the folder is none of an environment.
        OSError: If something cannot be removed.
    """
    freed = 0
    for path in layout.own:
        if path == layout.lock:
            continue
        if path.is_dir():
            freed += sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir() or file.is_symlink())
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    return freed


def require_space(layout: Layout, work: Work) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        InputError: If it has none.
    """
    needed = work.download_bytes + work.disk_bytes
    free = shutil.disk_usage(layout.root).free
    if free < needed:
        raise InputError(
            f"{layout.root}: expected {needed / GB:.1f} GB of free space, found {free / GB:.1f} GB: free some, or "
            "choose a folder on another disk."
        )


def require_short_paths(layout: Layout, files: Sequence[Path]) -> None:
    """Refuse what Windows could not write, before anything is installed.

    Raises:
        InputError: If a path would be too long.
    """
    if all(finding.state.value == "ok" for finding in long_paths()):
        return
    longest = max((len(name) for file in files for name in _names(file)), default=0)
    length = len(str(installed.site_packages(layout.env))) + 1 + longest
    if length >= WINDOWS_PATH_LIMIT:
        raise InputError(
            f"{layout.root}: expected paths of less than {WINDOWS_PATH_LIMIT} characters, found one of {length}: "
            "switch on Windows' long paths, or choose a folder with a shorter path."
        )


def _names(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as wheel:
        return wheel.namelist()


def _runs(layout: Layout, plan: Plan) -> bool:
    if not layout.python.exists():
        return False
    try:
        return _version(natively(plan.processor, [str(layout.python)])).rpartition(".")[0] in plan.pythons
    except InputError:
        return False


def make_environment(plan: Plan, layout: Layout, source: Source, said: Sequence[Path]) -> None:
    """Make the empty environment, in place of one that may be there.

    Raises:
        InputError: If there is no Python for it.
    """
    base = base_python(plan, layout, source, said)
    shutil.rmtree(layout.env, ignore_errors=True)
    layout.record.unlink(missing_ok=True)
    command = natively(plan.processor, [str(base.path), "-I", "-m", "venv", str(layout.env)])
    done = pip.run(command, cleaned(dict(os.environ)))
    if done.returncode:
        raise InputError(f"{layout.env}: no environment could be made of {base.path}: {pip.why_it_failed(done, 'it')}.")


def _version(python: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            [*python, "-I", "-c", "import platform; print(platform.python_version())"],
            env=cleaned(dict(os.environ)),
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{python[-1]}: the Python does not start: {error}.") from error
    if done.returncode:
        raise InputError(f"{python[-1]}: the Python does not start: {pip.why_it_failed(_merged(done), 'it')}.")
    return done.stdout.strip()


def _merged(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, done.stderr or done.stdout)


def _fetch(layout: Layout, work: Work, emit: Emit) -> list[Path]:
    bar = Bar(emit, "download", 0.05, DOWNLOAD_SHARE, work.download_bytes)
    files = []
    for wheel in sorted(work.missing, key=lambda wheel: wheel.name.lower() != pip.TORCH):
        bar.detail = f"{wheel.name} {wheel.version}"
        files.append(download.fetch(wheel, layout.downloads, bar.add))
    return files


def _install(python: Sequence[str], layout: Layout, files: Sequence[Path], emit: Emit) -> None:
    site = installed.site_packages(layout.env)
    installed.remove_unfinished(site)
    bar = Bar(emit, "install", DOWNLOAD_SHARE, INSTALL_SHARE, len(files))
    before = installed.count(site)
    pip.install(python, files, lambda: bar.at(max(installed.count(site) - before, 0)))


def load(python: Sequence[str]) -> str:
    """Load the packages in a process of their own; the Python's version.

    Raises:
        InputError: If one does not load, with the reason.
    """
    code = f"import json, platform\nfor name in {IMPORTED!r}:\n    try:\n        __import__(name)\n"
    code += "    except Exception as error:\n        raise SystemExit(f'{name} does not load: {error}')\n"
    code += "print(platform.python_version())"
    variables = {**cleaned(dict(os.environ)), "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            [*python, "-I", "-c", code], env=variables, capture_output=True, encoding="utf-8", timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"The packages were installed, but did not load in {SECONDS} s: an antivirus program may be reading each "
            "of their files; install again when it is done."
        ) from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}, without a word"])[-1]
        raise InputError(f"The packages were installed, but {reason}: oneshotseg doctor says more.")
    return done.stdout.strip().splitlines()[-1]


class Bar:
    """Turns bytes and packages into `step` events, a few per second.

    Attributes:
        detail: What is under way.
    """

    def __init__(self, emit: Emit, step: str, first: float, last: float, total: int) -> None:
        self._emit, self._name, self._first, self._last = emit, step, first, last
        self._total, self._done = max(total, 1), 0
        self._emitted = 0.0
        self.detail = ""

    def add(self, count: int) -> None:
        """So much more is done."""
        self.at(self._done + count)

    def at(self, done: int) -> None:
        """So much is done in all."""
        self._done = done
        now = time.monotonic()
        if now - self._emitted >= EMIT_SECONDS:
            self._emitted = now
            share = min(self._done / self._total, 1.0)
            fraction = self._first + (self._last - self._first) * share
            _step(self._emit, self._name, fraction, self.detail, done=self._done, total=self._total)


def _step(emit: Emit, name: str, fraction: float, detail: str = "", **fields: int) -> None:
    emit("step", case="environment", step=f"{name} {detail}".strip(), fraction=round(fraction, 4), **fields)
