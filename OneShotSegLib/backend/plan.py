"""Which environment the Slicer module's child processes run in, and why; nothing is installed or imported here.

There are three: a Python that the user names, Slicer's own Python, and an environment of the extension's own. Slicer's
own is taken where it has everything already; nothing is ever installed into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The environments to choose from."""

    NAMED = "named"
    SLICER = "slicer"
    OWN = "own"


class Accelerator(StrEnum):
    """What the machine computes with."""

    CPU = "cpu"
    CUDA = "cuda"
    ROCM = "rocm"


@dataclass(frozen=True, kw_only=True)
class Host:
    """The machine and the Slicer on it.

    Attributes:
        system: "Linux", "Windows" or "Darwin", as `platform.system` says.
        processor: That of the machine itself, "x86_64" or "arm64", whatever Slicer is built for.
        slicer: Slicer's version, (5, 12); None outside Slicer.
        accelerator: What the machine has.
        has_all: Whether Slicer's Python has all packages that the computation needs.
        named: A Python that the user named; None for none.
    """

    system: str
    processor: str
    slicer: tuple[int, int] | None = None
    accelerator: Accelerator = Accelerator.CPU
    has_all: bool = False
    named: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The choice.

    Attributes:
        kind: Which environment.
        reason: Why, one sentence.
        pythons: Versions of Python that an environment of its own may have, the best first; none for one that is there.
        processor: What its packages are built for; None for one that is there.
        index: The part of PyTorch's index ("cpu", "cu126", "rocm6.4"); None for the usual one.
        constraints: What must hold beside OneShotSeg's own requirements.
    """

    kind: Kind
    reason: str
    pythons: tuple[str, ...] = ()
    processor: str | None = None
    index: str | None = None
    constraints: tuple[str, ...] = ()


PYTHONS = ("3.12", "3.13", "3.11")
"""Those for which every package has wheels; highdicom's pyjpegls has none for 3.14 yet."""
INTEL_MAC_PYTHONS = ("3.11", "3.12")
INDICES: Mapping[Accelerator, str] = {Accelerator.CPU: "cpu", Accelerator.CUDA: "cu126", Accelerator.ROCM: "rocm6.4"}
INTEL_MAC = ("torch<2.3", "numpy<2", "numba<0.63")
"""PyTorch's last version for Intel Macs, the numpy that it was built with, and the numba that has wheels there."""


def plan(host: Host) -> Plan:
    """The environment for a machine and its Slicer."""
    if host.named:
        return Plan(kind=Kind.NAMED, reason=f"You named {host.named}.")
    if host.has_all:
        return Plan(kind=Kind.SLICER, reason="Slicer's own Python has all that is needed.")
    return own_plan(host)


def own_plan(host: Host) -> Plan:
    """The environment of the extension's own for a machine."""
    if host.system == "Darwin":
        return _on_a_mac(host)
    index = _index(host)
    return Plan(
        kind=Kind.OWN,
        reason=f"{_words(host)} lacks packages, and what it brings is not to be changed; {_device(index)}.",
        pythons=PYTHONS,
        processor=host.processor,
        index=index,
    )


def _on_a_mac(host: Host) -> Plan:
    if host.processor == "arm64":
        return Plan(
            kind=Kind.OWN,
            reason=f"{_words(host)} is built for Intel Macs, for which PyTorch ends at 2.2.2; a Python for this "
            "Mac's own processor has the present one, and is faster.",
            pythons=PYTHONS,
            processor="arm64",
        )
    return Plan(
        kind=Kind.OWN,
        reason=f"PyTorch for Intel Macs ends at 2.2.2, which needs an older numpy than {_words(host)} has.",
        pythons=INTEL_MAC_PYTHONS,
        processor="x86_64",
        constraints=INTEL_MAC,
    )


def _index(host: Host) -> str:
    """The part of PyTorch's index; ROCm has builds for Linux alone."""
    usable = host.accelerator is not Accelerator.ROCM or host.system == "Linux"
    return INDICES[host.accelerator if usable and host.processor == "x86_64" else Accelerator.CPU]


def _device(index: str) -> str:
    return "it is for the CPU" if index == "cpu" else f"it is for the graphics card ({index})"


def _words(host: Host) -> str:
    return f"Slicer {'.'.join(map(str, host.slicer))}" if host.slicer else "this Python"
