"""Which environment is chosen for each platform and Slicer, and that the reason is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from OneShotSegLib.backend.plan import INTEL_MAC, INTEL_MAC_PYTHONS, PYTHONS, Accelerator, Host, Kind, plan

CPU, CUDA, ROCM = Accelerator
TABLE = [
    # system, processor, accelerator -> python, processor, index, constraints, a part of the reason
    ("Linux", "x86_64", CPU, PYTHONS, "x86_64", "cpu", (), "for the CPU"),
    ("Linux", "x86_64", CUDA, PYTHONS, "x86_64", "cu126", (), "graphics card"),
    ("Linux", "x86_64", ROCM, PYTHONS, "x86_64", "rocm6.4", (), "graphics card"),
    ("Windows", "x86_64", CPU, PYTHONS, "x86_64", "cpu", (), "for the CPU"),
    ("Windows", "x86_64", CUDA, PYTHONS, "x86_64", "cu126", (), "graphics card"),
    ("Windows", "x86_64", ROCM, PYTHONS, "x86_64", "cpu", (), "for the CPU"),
    ("Windows", "arm64", CPU, PYTHONS, "arm64", "cpu", (), "for the CPU"),
    ("Darwin", "arm64", CPU, PYTHONS, "arm64", None, (), "own processor"),
    ("Darwin", "x86_64", CPU, INTEL_MAC_PYTHONS, "x86_64", None, INTEL_MAC, "ends at 2.2.2"),
]


@pytest.mark.parametrize("slicer", [(5, 10), (5, 12)])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(row[:3]))
def test_an_environment_of_its_own_fits_the_machine(row: tuple[object, ...], slicer: tuple[int, int]) -> None:
    system, processor, accelerator, python, built_for, index, constraints, reason = row
    host = Host(system=str(system), processor=str(processor), accelerator=Accelerator(str(accelerator)), slicer=slicer)
    chosen = plan(host)
    assert chosen.kind is Kind.OWN
    assert (chosen.pythons, chosen.processor, chosen.index, chosen.constraints) == (
        python,
        built_for,
        index,
        constraints,
    )
    assert str(reason) in chosen.reason
    assert f"Slicer {slicer[0]}.{slicer[1]}" in chosen.reason
    assert chosen.reason.endswith(".")


@pytest.mark.parametrize("system", ["Linux", "Windows", "Darwin"])
def test_slicer_s_own_python_is_taken_where_it_has_everything_and_a_named_one_before_all(system: str) -> None:
    host = Host(system=system, processor="x86_64", slicer=(5, 12), has_all=True)
    assert plan(host).kind is Kind.SLICER
    named = plan(replace(host, named="/opt/python"))
    assert named.kind is Kind.NAMED
    assert "/opt/python" in named.reason


def test_outside_slicer_the_reason_does_not_speak_of_slicer() -> None:
    for system in ("Linux", "Windows", "Darwin"):
        assert "Slicer" not in plan(Host(system=system, processor="x86_64")).reason


def test_the_constraints_of_intel_macs_leave_torch_s_numpy() -> None:
    assert "numpy<2" in INTEL_MAC


SYSTEMS = {"Windows": "Windows", "Linux": "Linux", "macOS": "Darwin"}


def test_the_page_says_what_is_chosen() -> None:
    page = (Path(__file__).parents[2] / "docs" / "installation.md").read_text(encoding="utf-8")
    table = page.partition("| Slicer 5.10 and 5.12 on |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) == 6
    for line in table:
        machine, torch, pythons, *_rest = (cell.strip() for cell in line.strip("|").split("|"))
        system, processor = machine.partition(",")[0].split()
        accelerator = CUDA if machine.endswith("NVIDIA") else CPU
        host = Host(system=SYSTEMS[system], processor=processor, accelerator=accelerator)
        for slicer in ((5, 10), (5, 12)):
            chosen = plan(replace(host, slicer=slicer))
            assert torch.startswith(f"index `{chosen.index}`" if chosen.index else "usual index")
            assert tuple(pythons.split(", ")) == chosen.pythons
