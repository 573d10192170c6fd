"""Damaged files of every format by the thousand: each read ends in a result or in one sentence."""

from __future__ import annotations

import io
import os
import random
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from common import Tally, batch, run_forked

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.networks.checkpoint import load_prnet
from OneShotSegLib.networks.official_checkpoint import read_official
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import read_quality
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.dicom_series import write_series

BATCH = 50
SLOW_SECONDS = 60.0
"""A read that takes longer is counted as stuck."""


def corrupt(folder: Path, times: int, seed: int) -> Tally:
    """So many damaged files of each format."""
    formats = _formats(folder)
    tally = Tally(fault=f"damaged files of {len(formats)} formats ({', '.join(formats)})")
    slowest = 0.0
    for name, (whole, read) in formats.items():
        for first in range(0, times, BATCH):
            log = folder / "outcomes"
            log.write_text("")
            pid = os.fork()
            if not pid:
                _read_some(whole, read, range(first, min(first + BATCH, times)), seed, folder / "damaged", log)
            _, status = os.waitpid(pid, 0)
            lines = log.read_text().splitlines()
            tally.injected += min(first + BATCH, times) - first
            for line in lines:
                kind, _, rest = line.partition(": ")
                if kind == "seconds":
                    slowest = max(slowest, float(rest))
                    continue
                tally.note(kind)
                if kind not in ("results", "sentences"):
                    tally.lost.append(f"{name}: {rest}")
            if status:
                tally.lost.append(f"{name}: the process died with {status} after {len(lines)} lines of {first}..")
    tally.note("seconds at most for one file", round(slowest))
    return tally


def _read_some(whole: Path, read: Callable[[Path], object], numbers: range, seed: int, folder: Path, log: Path) -> None:
    # Reading allocates at most what the file can hold; the limit catches allocations that a damaged header asks for.
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + 12 * 2**30, resource.RLIM_INFINITY))
    with log.open("a", buffering=1) as outcomes:
        for number in numbers:
            shutil.rmtree(folder, ignore_errors=True)
            place = _damaged(whole, folder, random.Random(f"{seed} {whole.name} {number}"))
            began = time.monotonic()
            try:
                read(place)
                kind = "results"
            except InputError as error:
                kind = "sentences" if "\n" not in str(error) else f"several lines: {error!r}"
            except BaseException as error:  # the very thing that is looked for
                kind = f"other errors: number {number}: {type(error).__name__}: {str(error)[:100]!r}"
            took = time.monotonic() - began
            if took > SLOW_SECONDS:
                kind = f"stuck: number {number}"
            if took > 1:
                outcomes.write(f"seconds: {took:.1f}\n")
            outcomes.write(kind.replace("\n", " ") + "\n")
    os._exit(0)


def _damaged(whole: Path, folder: Path, chance: random.Random) -> Path:
    """A copy of a file, or of a folder of files, with one of them damaged."""
    place = folder / whole.name
    if whole.is_dir():
        shutil.copytree(whole, place)
        victim = chance.choice(sorted(path for path in place.iterdir() if path.is_file()))
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(whole, place)
        victim = place
    victim.write_bytes(_damage(bytearray(victim.read_bytes()), chance))
    return place


def _damage(data: bytearray, chance: random.Random) -> bytes:
    how = chance.randrange(5)
    end = chance.choice([len(data), min(len(data), 600)])  # the header as often as the rest
    if how == 0:
        return bytes(data[: chance.randrange(end)])
    for _ in range(chance.choice([1, 3, 30])):
        at = chance.randrange(end)
        if how == 1:
            data[at] ^= 1 << chance.randrange(8)
        elif how == 2:
            data[at] = chance.choice([0, 255, 127, 128, ord("-"), ord("9"), ord("\n")])
        elif how == 3:
            data[at : at + chance.randrange(16)] = chance.randbytes(chance.randrange(16))
        else:
            data[at : at + 4] = chance.choice([b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\xc0\x7f", b"9999"])
    return bytes(data)


def _formats(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """A whole file of each format, and what reads it."""
    tiny = batch(folder, 2)
    study = folder / "study"
    os.waitpid(run_forked(tiny.request(study)), 0)
    whole = folder / "whole"
    ct = read_volume(tiny.files.support)
    formats: dict[str, tuple[Path, Callable[[Path], object]]] = {}
    for suffix in (".nii.gz", ".nii", ".nrrd", ".mha"):
        write_volume(ct, whole / f"ct{suffix}")
        formats[suffix] = (whole / f"ct{suffix}", read_volume)
    formats["DICOM"] = (write_series(whole / "series", ct.with_array(ct.array), "Nobody"), read_volume)
    formats[".seg.nrrd"] = (tiny.files.scribbles, read_label_map)
    formats["safetensors"] = (tiny.weights / "coarse.safetensors", load_prnet)
    formats["official .tar"] = (_official(tiny.weights, whole / "fine.tar"), lambda path: read_official(path))
    formats["study.json"] = (study / "study.json", lambda path: StudyDescription.read(StudyPaths(path.parent)))
    formats["quality.json"] = (study / "cases" / "phantom_01" / "quality.json", read_quality)
    formats["review.csv"] = (study / "review.csv", ReviewLedger.load)
    return formats


def _official(weights: Path, path: Path) -> Path:
    network, _ = load_prnet(weights / "coarse.safetensors")
    buffer = io.BytesIO()
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, buffer)
    path.write_bytes(buffer.getvalue())
    return path
