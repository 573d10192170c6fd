"""A training of a segmentation network on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from OneShotSegLib.cli.prnet_progress import TrainingProgress


class SegmentationTrainingProgress(TrainingProgress):
    """Shows the events of a training on standard error."""

    def _result(self, fields: Mapping[str, Any]) -> str:
        return (
            f"trained in {fields['seconds'] / 60:.0f} minutes; the network that is kept agrees with the labels held "
            f"out by a Dice of {fields['held_out_dice']:.3f}, with itself at the check before by "
            f"{fields['stability']:.3f}"
        )

    def _on_finished(self, **fields: Any) -> None:
        self.bar.stop()
        self._line(f"Model: {fields['model']}")
