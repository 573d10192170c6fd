"""The command line with quick settings of the method: what is tested with it is what becomes of inputs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from OneShotSegLib.cli import main
from OneShotSegLib.method import settings
from OneShotSegLib.method.alignment import AlignmentSettings
from OneShotSegLib.method.denoising import DenoisingSettings
from OneShotSegLib.method.propagation import PropagationSettings
from OneShotSegLib.scoring import propagation as scoring

if __name__ == "__main__":
    default = settings.METHODS["default"]
    settings.METHODS["default"] = replace(
        default,
        propagation=PropagationSettings(starts=6, points_per_label=8),
        alignment=AlignmentSettings(enabled=False),
        denoising=DenoisingSettings(points_per_label=2),
        expansion=replace(default.expansion, spacing=(4.0, 4.0, 4.0)),
    )
    scoring.CYCLE_POINTS_PER_LABEL = 2
    main()
