"""pip as it is in an environment, never changed: what it would install, and the installation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from OneShotSegLib.backend.host import cleaned
from OneShotSegLib.errors import InputError

TORCH_INDEX = "https://download.pytorch.org/whl"
TORCH_INDEX_VARIABLE = "ONESHOTSEG_TORCH_INDEX"
"""Names another index of PyTorch's builds: a mirror."""
TORCH = "torch"
FOR_PYTHON = re.compile(r"-cp3(\d+)-cp3")
RESOLVES_ALONE = (26, 0)
"""The pip from which on a dry run reads what packages say of themselves; older ones fetch the packages whole for it."""
UNWANTED = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PYTHONPATH", "PYTHONHOME")
"""Settings that send packages elsewhere than into the environment."""
QUIET = ("--disable-pip-version-check", "--no-input", "--retries", "2")
WAIT_SECONDS = 0.2
NETWORK_WORDS = (
    *("NewConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError", "Connection aborted"),
    *("Connection refused", "Connection broken", "ConnectionReset", "NameResolutionError", "Max retries exceeded"),
    *("Temporary failure in name resolution", "IncompleteRead", "timed out", "dns error", "error sending request"),
    *("client error (Connect)", "Failed to fetch", "Could not fetch"),
)
FULL_WORDS = ("No space left on device", "There is not enough space", "Disk quota exceeded")
NETWORK = (
    "the network cannot be reached, or broke off: see that it is there and HTTPS_PROXY is set if it needs a proxy, "
    "then install again; what was fetched is kept"
)
FULL = "the disk is full: free some space, then install again; what was fetched is kept"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where packages come from.

    Attributes:
        folder: A folder of wheels, for a machine without a network; None for what pip is set up for.
    """

    folder: Path | None = None

    def pythons(self) -> set[str]:
        """The versions of Python that the folder's PyTorch is for ("3.12"); empty if it does not say, or is none."""
        files = [] if self.folder is None else self.folder.glob(f"{TORCH}-*.whl")
        return {f"3.{found[1]}" for file in files if (found := FOR_PYTHON.search(file.name))}

    def options(self) -> list[str]:
        """The options that say so to pip."""
        return [] if self.folder is None else ["--no-index", "--find-links", str(self.folder)]


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A package that is to be installed.

    Attributes:
        name: Its name.
        version: Its version.
        url: Where its wheel is.
        sha256: The wheel's hash; '' if the index says none.
    """

    name: str
    version: str
    url: str
    sha256: str = ""

    @property
    def file(self) -> str:
        """The wheel's file name."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]


def tool(python: Sequence[str], folder: Path, source: Source) -> list[str]:
    """The command of a pip whose dry run fetches nothing: the environment's, or a newer one in a folder of its own.

    Args:
        python: The environment's Python; its pip stays as it is.
        folder: Where the newer one goes.
        source: Where packages come from.
    """
    own = [*python, "-m", "pip"]
    newer = folder / "pip"
    if source.folder is None and not newer.is_dir() and _version(own) < RESOLVES_ALONE:
        words = ["install", *QUIET, "--quiet", "--only-binary=:all:", "--no-deps", "--target", str(folder), "pip"]
        run([*own, *words], environment())
    return [*python, str(newer)] if (newer / "__main__.py").is_file() else own


def _version(command: Sequence[str]) -> tuple[int, ...]:
    found = re.match(r"pip (\d+)\.(\d+)", run([*command, "--version"], environment()).stdout)
    return (int(found[1]), int(found[2])) if found else ()


def resolve(
    command: Sequence[str], requirements: Sequence[str], constraints: Sequence[str], index: str | None, source: Source
) -> list[Wheel]:
    """What pip would install into an empty environment, in the newest versions that fit.

    Args:
        command: The command of a pip, run by the environment's Python.
        requirements: What is wanted.
        constraints: What must hold beside.
        index: The part of PyTorch's index that its build is taken from; None for the usual one.
        source: Where packages come from.

    Raises:
        InputError: If there is no network, or nothing that fits.
    """
    options: list[str] = []
    if index is not None and source.folder is None:
        address = f"{os.environ.get(TORCH_INDEX_VARIABLE) or TORCH_INDEX}/{index}"
        (wanted,) = (text for text in requirements if text.startswith(TORCH))
        (torch,) = _report(command, ["--no-deps", "--index-url", address, wanted], constraints)
        options, constraints = ["--extra-index-url", address], [*constraints, f"{TORCH}=={torch.version}"]
    return _report(command, [*source.options(), *options, *requirements], constraints)


def _report(command: Sequence[str], words: Sequence[str], constraints: Sequence[str] = ()) -> list[Wheel]:
    with tempfile.TemporaryDirectory() as folder:
        report, file = Path(folder) / "report.json", Path(folder) / "constraints.txt"
        file.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
        dry = ["--dry-run", "--ignore-installed", "--quiet", "--only-binary=:all:", "--report", str(report)]
        done = run([*command, "install", *QUIET, *dry, "--constraint", str(file), *words], environment())
        if done.returncode:
            raise InputError(f"The packages could not be resolved: {why_it_failed(done, 'the list of packages')}.")
        entries = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [_wheel(entry) for entry in entries]


def _wheel(entry: Mapping[str, dict[str, object]]) -> Wheel:
    found = entry["download_info"]
    archive = found.get("archive_info") or {}
    assert isinstance(archive, dict)
    text = str(archive.get("hash") or "").partition("sha256=")[2]
    sha256 = str((archive.get("hashes") or {}).get("sha256") or text)
    described = entry["metadata"]
    return Wheel(name=str(described["name"]), version=str(described["version"]), url=str(found["url"]), sha256=sha256)


def install(python: Sequence[str], files: Sequence[Path], while_it_runs: Callable[[], None]) -> None:
    """Install wheels, and nothing else; a package that is there already is replaced.

    Args:
        python: The environment's Python.
        files: The wheels.
        while_it_runs: Called again and again.

    Raises:
        InputError: If pip fails.
    """
    words = ["install", *QUIET, "--quiet", "--no-index", "--no-deps", "--force-reinstall", *map(str, files)]
    done = run([*python, "-m", "pip", *words], environment(), while_it_runs)
    if done.returncode:
        raise InputError(f"The packages could not be installed: {why_it_failed(done, 'a package')}.")


def environment() -> dict[str, str]:
    """The variables with which pip installs into the environment whose Python runs it, and nowhere else."""
    kept = {name: value for name, value in cleaned(dict(os.environ)).items() if name not in UNWANTED}
    return {**kept, "PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1"}


def run(
    command: Sequence[str], variables: Mapping[str, str], while_it_runs: Callable[[], None] = lambda: None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it prints is kept. If we are stopped, so is it."""
    with (
        tempfile.TemporaryFile() as out,
        subprocess.Popen(
            list(command), env=dict(variables), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while process.poll() is None:
                while_it_runs()
                _wait(process)
        except BaseException:
            process.kill()
            raise
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    return subprocess.CompletedProcess(list(command), process.returncode, text, text)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        return


def why_it_failed(done: subprocess.CompletedProcess[str], what: str) -> str:
    """Why a program that installs or fetches something failed, in a phrase."""
    text = done.stderr
    if any(words in text for words in FULL_WORDS):
        return FULL
    if any(words in text for words in NETWORK_WORDS):
        return NETWORK
    errors = [line.partition("ERROR:")[2].strip() for line in text.splitlines() if line.startswith("ERROR:")]
    last = errors[-1] if errors else (text.strip().splitlines() or [f"{what} cannot be had, without a word of why"])[-1]
    return last.rstrip(".")
