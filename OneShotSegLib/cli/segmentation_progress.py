"""A segmentation training, told to a person."""

from __future__ import annotations

from typing import Any

from OneShotSegLib.cli.prnet_progress import TrainingProgress


class SegmentationTrainingProgress(TrainingProgress):
    """Shows the events of a training on standard error."""

    def _on_case_done(self, case: str, resumed: bool = False, **fields: Any) -> None:
        if resumed:
            self._line(f"{case}: trained before")
        else:
            self._line(
                f"{case}: trained in {fields['seconds'] / 60:.0f} minutes; the network that is kept agrees with the "
                f"labels held out by a Dice of {fields['held_out_dice']:.3f}, with itself at the check before by "
                f"{fields['stability']:.3f}"
            )
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.task = None

    def _on_finished(self, **fields: Any) -> None:
        self.bar.stop()
        self._line(f"Model: {fields['model']}")
