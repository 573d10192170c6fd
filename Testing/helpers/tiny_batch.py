"""A batch that takes a second a case: real steps on coarse phantoms, by one trained network and one untrained.

What is tested with it is what becomes of files and processes, not where the masks lie. As a program,
``python tiny_batch.py FOLDER COUNT [OPTION...]``, it runs a batch with the command line's own behaviour.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from OneShotSegLib import phantom
from OneShotSegLib.method.alignment import AlignmentSettings
from OneShotSegLib.method.denoising import DenoisingSettings
from OneShotSegLib.method.propagation import PropagationSettings
from OneShotSegLib.method.settings import DEFAULT, Method
from OneShotSegLib.networks.checkpoint import PRNetInfo, save_prnet
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE, resolve_weights
from OneShotSegLib.phantom import CohortFiles
from OneShotSegLib.runner.request import PropagationRequest
from OneShotSegLib.scoring import propagation as scoring

COARSENESS = 4.0
QUICK = Method(
    name="quick",
    propagation=PropagationSettings(starts=4, coarse_passes=1, points_per_label=3),
    alignment=AlignmentSettings(enabled=False),
    denoising=DenoisingSettings(points_per_label=2),
    expansion=replace(DEFAULT.expansion, spacing=(6.0, 6.0, 6.0)),
    check_region=False,  # its networks have learnt nothing
)


@dataclass(frozen=True)
class TinyBatch:
    """A cohort and weights on disk.

    Attributes:
        files: Coarse phantoms, the first with scribbles.
        weights: A weights folder.
    """

    files: CohortFiles
    weights: Path

    def request(self, study: Path, **changes: object) -> PropagationRequest:
        """What to run on it."""
        files = self.files
        request = PropagationRequest(
            supports=[files.support],
            scribbles=[files.scribbles],
            queries=files.queries,
            output=study,
            weights=str(self.weights),
            device="cpu",
            method=QUICK,
        )
        return replace(request, **changes)  # type: ignore[arg-type]


def make(folder: Path, count: int) -> TinyBatch:
    """Write a cohort of ``count`` queries and weights, unless they are there."""
    weights = folder / "weights"
    names = [folder / "ct" / f"phantom_{index:02d}.nii.gz" for index in range(count + 1)]
    if not (weights / FINE_FILE).exists():
        phantom.write_cohort(folder, count + 1, coarseness=COARSENESS)
        _write_weights(weights)
    files = CohortFiles(
        support=names[0],
        scribbles=folder / "scribbles.seg.nrrd",
        queries=tuple(names[1:]),
        references=folder / "reference",
    )
    return TinyBatch(files, weights)


def _write_weights(folder: Path) -> None:
    """The phantom's coarse network, and beside it an untrained small one of a short range."""
    torch.manual_seed(0)
    info = PRNetInfo(
        stage="fine",
        base_channels=2,
        patch_size=(16, 32, 16),
        spacing=(6.0, 6.0, 6.0),
        position_range=(10.0, 10.0, 10.0),
    )
    save_prnet(folder / FINE_FILE, info.build(), info)
    shutil.copyfile(resolve_weights("phantom") / COARSE_FILE, folder / COARSE_FILE)


def score_briefly() -> None:
    """Spend less on scores in this process: they are not what is tested."""
    scoring.CYCLE_POINTS_PER_LABEL = 1


def main() -> None:
    """Run a batch as the command line would, with the quick settings and JSON events."""
    from OneShotSegLib.cli import main as command_line
    from OneShotSegLib.method import settings

    settings.METHODS["default"] = QUICK
    score_briefly()
    batch = make(Path(sys.argv[1]), int(sys.argv[2]))
    files = batch.files
    words = ["--support", files.support, "--scribbles", files.scribbles, "--weights", batch.weights]
    sys.argv = ["oneshotseg", "propagate", *map(str, words), "--events", "json", *sys.argv[3:]]
    if not any(word.endswith(".gz") for word in sys.argv[-1:]):
        sys.argv += [str(query) for query in files.queries]
    command_line()


if __name__ == "__main__":
    main()
