"""Train the shipped ``phantom`` weights from scratch: ``make phantom-weights``.

The patients are other ones than those of the demo and the tests (another seed). The same command gives the same weights
on the same kind of machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from shipping import ship

from OneShotSegLib import phantom
from OneShotSegLib.cli.prnet_progress import TrainingProgress
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE
from OneShotSegLib.training.prnet.command import train_weights
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest

PATIENTS = 44
SEED = 71
STEPS = 1200
FINE_STEPS = 600
DESTINATION = Path(__file__).parents[2] / "Resources" / "Weights" / "phantom"


def main() -> None:
    """Make the patients, train both stages, and store them in half precision."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    work = Path(tempfile.gettempdir()) / "oneshotseg-phantom-training"
    cohort = work / "cohort"
    if not (cohort / "ct").is_dir():
        phantom.write_cohort(cohort, PATIENTS, seed=SEED)
    train_weights(
        PRNetTrainingRequest(volumes=[cohort / "ct"], output=work / "weights", steps=STEPS, fine_steps=FINE_STEPS),
        TrainingProgress(),
    )
    for name in (COARSE_FILE, FINE_FILE):
        print(ship(work / "weights" / name, DESTINATION / name))


if __name__ == "__main__":
    main()
