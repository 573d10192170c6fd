"""The machine: system, processor, memory, space, paths, proxies."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from OneShotSegLib.doctor import processor
from OneShotSegLib.doctor.finding import Finding, error, ok, warning

GB = 1e9
LEAST_SPACE, ENOUGH_SPACE = 0.2 * GB, 2 * GB
ENOUGH_MEMORY = 4 * GB
OLDEST_PYTHON = (3, 11)
LONG_PATHS_KEY = r"SYSTEM\CurrentControlSet\Control\FileSystem"


def examine_machine(folder: Path) -> Iterator[Finding]:
    """The findings about Python and the machine.

    Args:
        folder: Where results are to go.
    """
    yield _python()
    yield ok("System", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield from _processor()
    yield from _memory(total_memory())
    yield from _space(folder)
    yield from long_paths()
    yield _proxies(getproxies())


def _python() -> Finding:
    found = f"{platform.python_version()}, {8 * struct.calcsize('P')} bit, {sys.executable}"
    if sys.version_info < OLDEST_PYTHON or struct.calcsize("P") < 8:
        return error("Python", f"expected 3.11 or newer of 64 bit, found {found}")
    return ok("Python", found)


def _processor() -> Iterator[Finding]:
    has = processor.avx()
    if has is not None and not has["avx"]:
        yield error("Processor", processor.NO_AVX)
    elif has is not None and not has["avx2"]:
        yield warning("Processor", "AVX, but no AVX2: it runs, some times slower")
    else:
        yield ok("Processor", "AVX and AVX2" if has else platform.machine())
    if processor.is_translated():
        yield warning("Rosetta", "this Python is translated for Intel: a native one (arm64) has newer libraries")


def total_memory() -> int | None:
    """The machine's memory in bytes; None where it cannot be found out."""
    try:
        if sys.platform == "win32":
            return _windows_memory()
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _windows_memory() -> int:
    import ctypes

    buffer = ctypes.create_string_buffer(64)  # MEMORYSTATUSEX: two 32-bit numbers, seven of 64 bit
    struct.pack_into("<L", buffer, 0, 64)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(buffer)  # type: ignore[attr-defined,unused-ignore]
    return int(struct.unpack_from("<Q", buffer, 8)[0])


def _memory(total: int | None) -> Iterator[Finding]:
    if total is None:
        return
    if total < ENOUGH_MEMORY:
        yield warning("Memory", f"{total / GB:.1f} GB: expected 4 GB and more; large CTs may not fit")
    else:
        yield ok("Memory", f"{total / GB:.1f} GB")


def _space(folder: Path) -> Iterator[Finding]:
    for name, place in (("Space for results", folder), ("Space for temporary files", Path(tempfile.gettempdir()))):
        yield space(name, place)


def space(name: str, folder: Path) -> Finding:
    """The free space where a folder is, or would be."""
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as found:
        return error(name, f"{place}: {found.strerror or found}")
    text = f"{free / GB:.1f} GB free in {place}"
    if free < LEAST_SPACE:
        return error(name, f"{text}: free some, or choose another folder")
    if not os.access(place, os.W_OK):
        return warning(name, f"{text}, which cannot be written to: choose another folder")
    return warning(name, f"{text}: little for a batch") if free < ENOUGH_SPACE else ok(name, text)


def long_paths() -> Iterator[Finding]:
    """Whether Windows takes paths of more than 259 characters; nothing elsewhere."""
    if sys.platform != "win32":
        return
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, LONG_PATHS_KEY) as key:
            enabled = winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1
    except OSError:
        enabled = False
    if enabled:
        yield ok("Long paths", "switched on")
    else:
        yield warning("Long paths", "switched off: keep studies in folders with short paths, or switch them on")


def _proxies(found: dict[str, str]) -> Finding:
    """The proxies, without what is secret in them; they concern the installation alone."""
    shown = [f"{kind} by {_without_secrets(address)}" for kind, address in sorted(found.items()) if kind != "no"]
    if not shown:
        return ok("Proxy", "none; a network is needed for the installation only")
    return ok("Proxy", f"{', '.join(shown)}; pip and uv use it in an installation, nothing else needs a network")


def _without_secrets(address: str) -> str:
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        return (parts.hostname or "?") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "an address that cannot be read"
