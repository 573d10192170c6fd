"""Train the shipped ``headneck`` weights further, from the best ones there are.

    python Testing/benchmarks/train_headneck_weights.py --cohort COHORT [--steps N] [--channels C] [--device cuda]

Goes on from ``Resources/Weights/headneck`` (``--fresh`` begins anew, which another width needs) on the CTs of the
cohort's train cases and its pool, without labels; the last eight are held out. A run that was cut off goes on where it
was. In the end both are measured alike on the held-out CTs; with ``--ship``, a trained stage replaces the shipped one
where its error is smaller. On several GPUs: put ``torchrun --nproc-per-node N`` in place of ``python``.

Whether new weights give better pseudo masks is measured by ``accuracy.py --weights FOLDER`` on the validation cases
before they are shipped; the table of versions is in ``docs/accuracy.md``.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

import torch
from shipping import ship

from OneShotSegLib.cli.prnet_progress import TrainingProgress
from OneShotSegLib.networks.checkpoint import load_prnet
from OneShotSegLib.networks.device import choose_device
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE
from OneShotSegLib.training.prnet.command import train_weights
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.prnet.trainer import PRNetTrainer
from OneShotSegLib.training.prnet.volumes import load_training_volumes

DESTINATION = Path(__file__).parents[2] / "Resources" / "Weights" / "headneck"
HELD_OUT = 8


def main() -> None:
    """Train, compare on the held-out CTs, and ship what is better."""
    options = _options()
    volumes = training_cts(options.cohort)
    request = PRNetTrainingRequest(
        volumes=volumes,
        output=options.output,
        steps=options.steps,
        fine_steps=options.fine_steps,
        base_channels=options.channels,
        hold_out=HELD_OUT,
        device=options.device,
        learning_rate=options.learning_rate,
        start_from=None if options.fresh else DESTINATION,
        patience=options.patience,
    )
    train_weights(request, TrainingProgress())
    if int(os.environ.get("RANK", "0")):
        return
    device = choose_device(options.device)
    print(
        "| stage | shipped, mm per axis | trained, mm per axis | steps of the trained |\n| --- | ---: | ---: | ---: |"
    )
    for name in (COARSE_FILE, FINE_FILE):
        errors = [
            measure(folder / name, request, volumes[-HELD_OUT:], device) for folder in (DESTINATION, options.output)
        ]
        steps = load_prnet(options.output / name)[1].step
        print(f"| {Path(name).stem} | {errors[0]:.2f} | {errors[1]:.2f} | {steps} |")
        if errors[1] < errors[0] and options.ship:
            print(ship(options.output / name, DESTINATION / name))


def training_cts(cohort: Path) -> list[Path]:
    """The CTs of the train cases, then the pool's."""
    with (cohort / "cases.csv").open() as file:
        cases = [row["case"] for row in csv.DictReader(file) if row["split"] == "train"]
    return [cohort / "cases" / case / "ct.nii.gz" for case in cases] + sorted((cohort / "pool").glob("*.nii.gz"))


def measure(file: Path, request: PRNetTrainingRequest, held_out: list[Path], device: torch.device) -> float:
    """A checkpoint's error on CTs, mm per axis, as training measures it."""
    info = load_prnet(file)[1]
    (volumes,) = load_training_volumes(held_out, [info], device)
    with tempfile.TemporaryDirectory() as folder:
        settings = request.settings(info.stage, device)
        trainer = PRNetTrainer(info, settings, volumes, volumes, Path(folder) / "unused", device, start_from=file)
        return trainer.measure_error()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument(
        "--output", type=Path, default=Path(tempfile.gettempdir()) / "oneshotseg-headneck-training" / "weights"
    )
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--fine-steps", type=int, default=12000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--patience", type=int, default=16)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on from the shipped weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ship", action="store_true", help="replace the shipped stages that are worse")
    return parser.parse_args()


if __name__ == "__main__":
    main()
