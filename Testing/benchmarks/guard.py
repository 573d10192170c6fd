"""Counts what a case costs, in operations and not in seconds, and compares it with what it cost before.

    python Testing/benchmarks/guard.py            compare with operations.json; exit status 1 if a count rose by a tenth
    python Testing/benchmarks/guard.py --renew    write operations.json anew

One phantom query with one scribbled support and one corrected case, settings ``default``. Counted for each step are the
operations and bytes of the PyTorch calls, the voxels that the compiled loops go through, and the CTs that are read. The
counts are those of any machine: a change that makes a case a tenth more costly is seen however busy the machine is.
What NumPy and SciPy do is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from machine import Counter

from OneShotSegLib import phantom
from OneShotSegLib.geodesic import kernels as geodesic
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.method import descriptor_kernels as descriptors
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import MaskedCT, ScribbledCT
from OneShotSegLib.networks.weights import resolve_weights

STORED = Path(__file__).with_name("operations.json")
MOST = 1.1
COARSENESS = 2.0
Figures = dict[str, dict[str, float]]

# What a compiled loop goes through, by its arguments.
ELEMENTS: Mapping[tuple[Any, str], Callable[..., float]] = {
    (descriptors, "sample"): lambda *a: a[10].size * (1 + len(a[6])),
    (descriptors, "self_similarity"): lambda *a: a[1].size,
    (descriptors, "write_words"): lambda *a: a[0].size,
    (descriptors, "block_sums"): lambda *a: a[0][0].size * a[5].shape[0] * a[3][0] * len(a[2]),
    (descriptors, "choose"): lambda *a: a[0].size,
    (geodesic, "lower_to_exact"): lambda *a: a[1].size,
}


class MaskRead:
    """A corrected case that counts how often it is read."""

    fingerprint = ""
    ct_fingerprint = ""

    def __init__(self, masked: MaskedCT) -> None:
        self.masked, self.name, self.reads = masked, masked.name, 0

    def read(self) -> MaskedCT:
        """The case."""
        self.reads += 1
        return self.masked


def measure() -> Figures:
    """The counts of each step, and of the supports before the first one."""
    support, query, corrected = (phantom.make_patient(number, coarseness=COARSENESS) for number in range(3))
    scribbles = LabelMap(phantom.scribbles(support), (*support.present, phantom.BACKGROUND))
    mask = MaskRead(MaskedCT(name="corrected", ct=corrected.ct, mask=LabelMap(corrected.reference, corrected.present)))
    found: Figures = {}
    elements: Counts[str] = Counts()
    with Counter() as torch_calls, counted_elements(elements):
        name, before = "supports", (0.0, 0.0)

        def step(following: str) -> None:
            nonlocal name, before
            now = torch_calls.read()
            one = found.setdefault(name, {})
            values = {"GFLOP": now[0] - before[0], "GB": now[1] - before[1]} | dict(elements)
            for key, value in values.items():
                one[key] = round(one.get(key, 0) + value, 4)
            elements.clear()
            name, before = following, now

        weights = resolve_weights("phantom")
        engine = Engine([ScribbledCT(support.ct, scribbles)], weights, DEFAULT, masks=[mask])
        step("read")
        engine.segment("query", query.ct, step)
        step("")
    found["place"]["reads of the corrected case"] = mask.reads
    return {step: {key: value for key, value in one.items() if value} for step, one in found.items()}


@contextmanager
def counted_elements(elements: Counts[str]) -> Iterator[None]:
    """While the block lasts, add up what the compiled loops go through, by their names."""
    real = {(module, name): getattr(module, name) for module, name in ELEMENTS}

    def counting(name: str, function: Callable[..., Any], size: Callable[..., float]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            elements[name] += int(size(*arguments))
            return function(*arguments)

        return run

    try:
        for (module, name), size in ELEMENTS.items():
            setattr(module, name, counting(name, real[module, name], size))
        yield
    finally:
        for (module, name), function in real.items():
            setattr(module, name, function)


def what_rose(before: Figures, now: Figures) -> list[str]:
    """A sentence for each count that is over a tenth higher than before, or new."""
    sentences = []
    for step, figures in now.items():
        for name, value in figures.items():
            known = before.get(step, {}).get(name, 0)
            if value > MOST * known:
                sentences.append(f"{step}: expected at most {known:g} {name} and a tenth, found {value:g}.")
    return sentences


def main() -> None:
    """Compare or renew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renew", action="store_true", help="write the file anew")
    options = parser.parse_args()
    torch.set_num_threads(1)
    now = measure()
    if options.renew:
        STORED.write_text(json.dumps(now, indent=1) + "\n")
        return
    rose = what_rose(json.loads(STORED.read_text()), now)
    print("\n".join(rose) or "No count is over a tenth higher than before.")
    sys.exit(1 if rose else 0)


if __name__ == "__main__":
    main()
