"""Pairs learnt from per second: our trainer against the published trainer's way, in one run on one machine.

    python Testing/benchmarks/training_pairs.py [--volumes FOLDER] [--steps 3] [--threads 2]

The published way reads one prepared volume from disk per sample and learns one relation from two full passes. Ours
keeps the volumes in memory and learns all relations among 8 patches of a volume, of which 2 go through the decoder.
Three comparisons: each as it is used (other networks and patch sizes), and twice with the same network and patches for
both, so that the ratio is due to the way alone. Volumes: phantom patients, or a folder of CTs. Reading is from the file
cache, which favours the published way; its several loading processes are left out, for they would share the same cores.
Relations among the same 8 patches are not independent of each other; how much faster a network gets good is another
question than how many relations it sees.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from machine import Took, describe, time_of
from published import COARSE as PUBLISHED
from published import PublishedTrainer

from OneShotSegLib import phantom
from OneShotSegLib.imaging.ct import prepare_ct
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.input_search import find_volumes
from OneShotSegLib.networks.checkpoint import PRNetInfo
from OneShotSegLib.training.prnet.trainer import COARSE, PRNetTrainer, TrainingSettings
from OneShotSegLib.training.prnet.volumes import load_training_volumes


@dataclass(kw_only=True)
class TimedTraining:
    """One way of training, timed."""

    name: str
    info: PRNetInfo
    pairs: int
    took: Took

    @property
    def per_cpu_second(self) -> float:
        return self.pairs / self.took.cpu

    def line(self) -> str:
        size = " x ".join(str(n) for n in self.info.patch_size)
        spacing = " x ".join(f"{n:g}" for n in self.info.spacing)
        seconds = f"{self.took.clock:.2f} | {self.took.cpu:.2f}"
        rates = f"{self.pairs / self.took.clock:.2f} | {self.per_cpu_second:.2f}"
        return (
            f"| {self.name} | {self.info.base_channels} | {size} at {spacing} mm | {self.pairs} | {seconds} | {rates} |"
        )


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    random.seed(0)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        cts = find_volumes(options.volumes) if options.volumes else _phantoms(Path(folder))
        cts = cts[: options.count]
        files = {info.patch_size: _prepared(cts, info, Path(folder)) for info in (PUBLISHED, COARSE)}
        print(f"{describe()}; {len(cts)} volumes, {options.steps} steps each\n")
        rows = {}
        for network, info, steps in (("published", PUBLISHED, 1), ("ours", COARSE, options.steps)):
            plain = replace(info, official_wiring=False)
            rows["published", network] = _published(plain, files[info.patch_size], options.batch, steps)
            rows["ours", network] = _ours(plain, cts, 2 if network == "ours" else 1, steps, Path(folder))
    _print(rows)


def _published(info: PRNetInfo, files: list[Path], batch: int, steps: int) -> TimedTraining:
    trainer = PublishedTrainer(info, files, batch)
    return TimedTraining(name="published way", info=info, pairs=batch, took=time_of(trainer.train_step, steps))


def _ours(info: PRNetInfo, cts: list[Path], volumes: int, steps: int, folder: Path) -> TimedTraining:
    (loaded,) = load_training_volumes(cts, [info], torch.device("cpu"))
    settings = TrainingSettings(volumes_per_step=volumes)
    trainer = PRNetTrainer(info, settings, loaded, loaded[:1], folder / "unused.safetensors")
    count = settings.patches_per_volume
    pairs = volumes * count * (count - 1) // 2
    return TimedTraining(name="ours", info=info, pairs=pairs, took=time_of(trainer.train_step, steps))


def _print(rows: dict[tuple[str, str], TimedTraining]) -> None:
    print("| way | channels | patch | pairs per step | s per step | CPU s per step | pairs per s | pairs per CPU s |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows.values():
        print(row.line())
    print("\n| pairs per CPU second, ours over the published way | |\n| --- | ---: |")
    for text, ours, theirs in (
        ("each with the network and patches it is used with", "ours", "published"),
        ("both with our network and patches", "ours", "ours"),
        ("both with the published network and patches", "published", "published"),
    ):
        print(f"| {text} | {rows['ours', ours].per_cpu_second / rows['published', theirs].per_cpu_second:.0f} |")


def _phantoms(folder: Path) -> list[Path]:
    files = phantom.write_cohort(folder / "phantoms", 3)
    return [files.support, *files.queries]


def _prepared(cts: list[Path], info: PRNetInfo, folder: Path) -> list[Path]:
    """The CTs on a network's grid in 0-1 on disk, compressed, as the published preparation leaves them."""
    result = []
    for number, path in enumerate(cts):
        result.append(folder / f"{info.base_channels}_{number}.nii.gz")
        write_volume(prepare_ct(read_volume(path), info.spacing, info.window), result[-1])
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=Path, help="a folder of CTs; phantom patients if left out")
    parser.add_argument("--count", type=int, default=3, help="volumes to use")
    parser.add_argument("--steps", type=int, default=3, help="steps timed with our network (1 with the published one)")
    parser.add_argument("--batch", type=int, default=4, help="samples of a published step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
