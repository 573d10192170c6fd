"""The command line's arguments for the runs that the panel starts, made from their requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from OneShotSegLib.runner.request import PropagationRequest, SegmentationRequest
from OneShotSegLib.training.prnet.request import PRNetTrainingRequest
from OneShotSegLib.training.segmentation.request import SegmentationTrainingRequest

EVENTS = ("--events", "json")

Request = PropagationRequest | PRNetTrainingRequest | SegmentationTrainingRequest | SegmentationRequest


def propagate(request: PropagationRequest) -> list[str]:
    """Propagate scribbles to a batch."""
    arguments = ["propagate", *EVENTS, "--output", str(request.output), "--device", request.device]
    for support, scribbles in zip(request.supports, request.scribbles, strict=True):
        arguments += ["--support", str(support), "--scribbles", str(scribbles)]
    arguments += _options(request, "weights", "background_label", "method", "workers", "scheduler")
    arguments += _options(request, "network")
    arguments += ["--supports", request.reviewed] if request.reviewed != PropagationRequest.reviewed else []
    arguments += ["--retry-failed"] if request.retry_failed else []
    arguments += ["--support-cases"] if request.support_cases else []
    arguments += [word for series in request.series for word in ("--series", series)]
    # What follows is a path, even if its name begins with a dash.
    return [*arguments, "--", *map(str, request.queries)]


def train_prnet(request: PRNetTrainingRequest) -> list[str]:
    """Train PRNet on CTs without labels."""
    arguments = ["train-prnet", *EVENTS, "--output", str(request.output), "--device", request.device]
    arguments += _options(request, "steps", "fine_steps", "base_channels", "hold_out", "seed", "learning_rate")
    arguments += _options(request, "start_from", "check_every", "patience")
    return [*arguments, "--", *map(str, request.volumes)]


def train_segmentation(request: SegmentationTrainingRequest) -> list[str]:
    """Train the segmentation network on a study, without its rejected cases."""
    arguments = ["train-seg", *EVENTS, "--output", str(request.output), "--device", request.device]
    arguments += _options(request, "correction", "network", "base_channels", "steps", "batch_size", "rounds")
    arguments += _options(
        request, "hold_out", "learning_rate", "precision", "seed", "spacing", "structures", "start_from"
    )
    if request.patch_size != SegmentationTrainingRequest.patch_size:
        arguments += ["--patch", _text(request.patch_size)]
    return [*arguments, "--", str(request.study)]


def segment(request: SegmentationRequest) -> list[str]:
    """Apply the network that `train_segmentation` made."""
    arguments = ["segment", *EVENTS, "--model", str(request.model), "--output", str(request.output)]
    arguments += ["--device", request.device]
    arguments += _options(request, "overlap", "largest_component", "fill_holes")
    arguments += ["--flips"] if request.flips else []
    arguments += [word for series in request.series for word in ("--series", series)]
    return [*arguments, "--", *map(str, request.volumes)]


def suggest_support(volumes: Sequence[Path]) -> list[str]:
    """Say which CT of a batch would be the best support."""
    return ["suggest-support", *EVENTS, "--", *map(str, volumes)]


def export(name: str, study: Path, target: Path, accepted_only: bool, dataset_id: int | None = None) -> list[str]:
    """Write what was reviewed.

    Args:
        name: The command line's name of the format.
        study: The study folder.
        target: What is written.
        accepted_only: Leave out what waits for review; a zip has everything.
        dataset_id: Of an nnU-Net dataset.
    """
    arguments = ["export", name]
    if name != "zip":
        arguments.append("--accepted-only" if accepted_only else "--all")
    if dataset_id is not None:
        arguments += ["--dataset-id", str(dataset_id)]
    return [*arguments, "--", str(study), str(target)]


def report(study: Path) -> list[str]:
    """Write the report anew."""
    return ["report", "--", str(study)]


def import_weights(coarse: Path, fine: Path, output: Path) -> list[str]:
    """Turn the official checkpoints into our own."""
    return ["import-weights", "--coarse", str(coarse), "--fine", str(fine), "--output", str(output)]


def _options(request: Request, *names: str) -> list[str]:
    """The options of the same names whose values are not the request's defaults."""
    changed = [name for name in names if getattr(request, name) != getattr(type(request), name)]
    return [word for name in changed for word in (f"--{name.replace('_', '-')}", _text(getattr(request, name)))]


def _text(value: object) -> str:
    """A value as the command line reads it: several with commas between them."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
