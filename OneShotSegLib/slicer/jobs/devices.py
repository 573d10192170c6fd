"""The devices that torch can use and their memory: found in a child process, to keep torch out of Slicer's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AUTO = "auto"
PROBE_MODULE = "OneShotSegLib.slicer.jobs.devices"
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device.

    Attributes:
        name: As the command line takes it: auto, cpu, cuda:0.
        label: As shown to the user.
        free: Free memory in bytes, 0 if unknown.
        total: All memory in bytes, 0 if unknown.
    """

    name: str
    label: str
    free: int = 0
    total: int = 0

    def describe(self) -> str:
        """Label and memory in one line."""
        if not self.total:
            return self.label
        return f"{self.label} ({self.free / GIB:.1f} of {self.total / GIB:.1f} GB free)"


FALLBACK = (Device(name=AUTO, label="Automatic"), Device(name="cpu", label="CPU"))


def parse_devices(text: str) -> tuple[Device, ...]:
    """The devices in what the probe printed; automatic and CPU if that cannot be read."""
    for line in text.splitlines():
        try:
            found = json.loads(line)
            devices = tuple(Device(**_known(entry)) for entry in found["devices"])
        except (ValueError, TypeError, KeyError):
            continue
        return (FALLBACK[0], *devices)
    return FALLBACK


def _known(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("name", "label", "free", "total")}


def probe_command(python: Sequence[str]) -> Sequence[str]:
    """The command that prints the devices.

    Args:
        python: The command that starts the Python to ask.
    """
    return [*python, "-m", PROBE_MODULE]


def memory() -> tuple[int, int]:
    """Free and total bytes of main memory; zeros if the system does not give them."""
    if sys.platform == "win32":
        return _windows_memory()
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
        free = page * os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else total
    except (ValueError, OSError):
        return 0, 0
    return free, total


def _windows_memory() -> tuple[int, int]:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong) for name in ("total", "free", "f1", "f2", "f3", "f4", "f5")
        ]

    status = Status(length=ctypes.sizeof(Status))
    windll: Any = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return 0, 0
    return status.free, status.total


def main(write: Callable[[str], Any] = print) -> None:
    """Print the devices as one line of JSON."""
    free, total = memory()
    devices = [{"name": "cpu", "label": "CPU", "free": free, "total": total}]
    try:
        import torch
    except ImportError:
        write(json.dumps({"devices": devices}))
        return
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        devices.append({"name": f"cuda:{number}", "label": name, "free": free, "total": total})
    write(json.dumps({"devices": devices}))


if __name__ == "__main__":
    main()
